// SPDX-License-Identifier: MIT
#include "tests/virtual_npu/firmware/functional_firmware.hpp"

#include <utility>

#include "kernels/aie2/container/bytes.hpp"
#include "tools/npusim/error.hpp"
#include "tools/npusim/registers.hpp"

namespace virtual_npu {
namespace {

using npuenc::aie2::hexadecimal;
using npusim::Operation;

constexpr uint32_t shim_row = 0, first_core_row = 2;
constexpr uint32_t data_memory_bytes = 0x10000; // of a core

// Detaches the host's memory whatever happens.
class Attached {
  public:
    Attached(std::span<const std::unique_ptr<Shim>> shims, npusim::HostBuffers& buffers)
        : shims_(shims) {
        for (const auto& shim : shims_)
            shim->attach(&buffers);
    }
    ~Attached() {
        for (const auto& shim : shims_)
            shim->attach(nullptr);
    }
    Attached(const Attached&) = delete;
    Attached& operator=(const Attached&) = delete;

  private:
    std::span<const std::unique_ptr<Shim>> shims_;
};

} // namespace

void FunctionalFirmware::load(std::span<const uint8_t> pdi) {
    overlay_.reset();
    shims_.clear();
    overlay_ = make_overlay_model(pdi);
    for (uint32_t column = 0; column < overlay_->columns(); ++column)
        shims_.push_back(std::make_unique<Shim>(column));
}

Work FunctionalFirmware::run(std::span<const uint8_t> stream, std::span<const Argument> arguments,
                             const std::atomic<bool>& stop) {
    // What an array does after an error is not known: it is loaded again, or not used.
    std::unique_ptr<OverlayModel> overlay = std::move(overlay_);
    if (!overlay)
        throw Fault("no overlay is loaded");
    npusim::HostBuffers buffers;
    for (size_t i = 0; i < arguments.size(); ++i)
        if (arguments[i].address != 0)
            buffers.bind(i, arguments[i].memory, arguments[i].address);
    const Attached attached(shims_, buffers);
    Run run{*overlay, buffers, stop, {}};
    try {
        for (const Operation& operation : npusim::InstructionStream::parse(stream).operations) {
            execute(operation, run);
            ++run.work.operations;
        }
    } catch (const npusim::SimulationError& error) {
        throw Fault(error.what());
    }
    overlay->end_run();
    overlay_ = std::move(overlay);
    return run.work;
}

void FunctionalFirmware::execute(const Operation& operation, Run& run) {
    switch (operation.kind) {
    case Operation::Kind::write:
        write(operation.address, operation.value, run);
        break;
    case Operation::Kind::block_write:
        for (size_t i = 0; i < operation.words.size(); ++i)
            write(operation.address + static_cast<uint32_t>(i * sizeof(uint32_t)),
                  operation.words[i], run);
        break;
    case Operation::Kind::mask_write: {
        const uint32_t kept =
            shim_at(operation.address).read(npusim::split(operation.address).offset) &
            ~operation.mask;
        write(operation.address, kept | (operation.value & operation.mask), run);
        break;
    }
    case Operation::Kind::patch:
        patch(operation, run);
        break;
    case Operation::Kind::sync:
        sync(operation, run);
        break;
    case Operation::Kind::mask_poll:
        throw Fault("functional mode does not know MASKPOLL");
    }
}

Shim& FunctionalFirmware::shim_at(uint32_t address) {
    const npusim::Address at = npusim::split(address);
    if (at.row != shim_row || at.column >= shims_.size())
        throw Fault("there is no shim at " + hexadecimal(address));
    return *shims_[at.column];
}

void FunctionalFirmware::write(uint32_t address, uint32_t value, Run& run) {
    const npusim::Address at = npusim::split(address);
    if (at.row >= first_core_row && at.offset < data_memory_bytes)
        run.overlay.write_data(at.column, at.row, at.offset, value);
    else
        write_shim(shim_at(address), at.offset, value, run);
}

// The controller stands before a full queue until a task of it has ended.
void FunctionalFirmware::write_shim(Shim& shim, uint32_t offset, uint32_t value, Run& run) {
    if (!shim.write(offset, value)) {
        run.overlay.advance(shims_, run.stop);
        if (!shim.write(offset, value))
            throw Hang("the queue at " + hexadecimal(offset) + " of a shim stays full");
    }
    run.work.pushes += Shim::is_queue(offset);
}

// The address of a buffer argument, translated as the firmware does: see HostBuffers.
void FunctionalFirmware::patch(const Operation& operation, Run& run) {
    const uint64_t address = run.buffers.patched(operation.argument, operation.plus);
    const uint32_t offset = npusim::split(operation.address).offset;
    Shim& shim = shim_at(operation.address);
    if (!Shim::is_address(offset) || address % sizeof(uint32_t) != 0)
        throw Fault("a DDR_PATCH of " + hexadecimal(operation.address) + " with " +
                    hexadecimal(address));
    constexpr uint32_t upper_address = 0xffff;
    shim.write(offset, static_cast<uint32_t>(address));
    const uint32_t kept = shim.read(offset + sizeof(uint32_t)) & ~upper_address;
    shim.write(offset + sizeof(uint32_t),
               kept | (static_cast<uint32_t>(address >> 32) & upper_address));
}

void FunctionalFirmware::sync(const Operation& operation, Run& run) {
    if (take_tokens(operation))
        return;
    run.overlay.advance(shims_, run.stop);
    if (!take_tokens(operation))
        throw Hang("byte " + std::to_string(operation.at) +
                   " of the instruction stream waits for "
                   "a token that does not come: " +
                   npusim::to_string(operation));
}

// All or none.
bool FunctionalFirmware::take_tokens(const Operation& of) {
    const auto direction = of.direction == 0 ? Shim::to_memory : Shim::from_memory;
    if (of.row != shim_row || of.rows != 1 || of.channel >= Shim::n_channels ||
        of.column + of.columns > shims_.size())
        return false;
    for (uint32_t i = 0; i < of.columns; ++i)
        if (!shims_[of.column + i]->channel(direction, of.channel).has_token())
            return false;
    for (uint32_t i = 0; i < of.columns; ++i)
        shims_[of.column + i]->channel(direction, of.channel).take_token();
    return true;
}

} // namespace virtual_npu
