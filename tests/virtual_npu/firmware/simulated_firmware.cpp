// SPDX-License-Identifier: MIT
#include "tests/virtual_npu/firmware/simulated_firmware.hpp"

#include <cstdint>
#include <utility>

#include "kernels/aie2/container/bytes.hpp"
#include "tools/npusim/error.hpp"

namespace virtual_npu {
namespace {

npusim::ArrayOptions array_options() {
    npusim::ArrayOptions options;
    options.core_rules = npusim::CoreRules::strict;
    // How long a command may take is for the driver to say.
    options.cycle_limit = UINT64_MAX;
    return options;
}

} // namespace

SimulatedFirmware::SimulatedFirmware() : array_(array_options()) {}

void SimulatedFirmware::load(std::span<const uint8_t> pdi) {
    loaded_ = false;
    try {
        array_.load(npusim::read_pdi(pdi));
    } catch (const npuenc::aie2::ContainerError& error) {
        throw Fault(error.what());
    } catch (const npusim::SimulationError& error) {
        throw Fault(error.what());
    }
    loaded_ = true;
}

Work SimulatedFirmware::run(std::span<const uint8_t> stream, std::span<const Argument> arguments,
                            const std::atomic<bool>& stop) {
    // What an array does after an error is not known.
    if (!std::exchange(loaded_, false))
        throw Fault("no overlay is loaded");
    // The rules of addresses are those of HostBuffers.
    npusim::HostBuffers buffers;
    for (size_t i = 0; i < arguments.size(); ++i)
        if (arguments[i].address != 0)
            buffers.bind(i, arguments[i].memory, arguments[i].address);
    npusim::RunReport report;
    try {
        report = array_.run(npusim::InstructionStream::parse(stream), buffers, &stop);
    } catch (const npusim::Deadlock& error) {
        throw Hang(error.what());
    } catch (const npusim::SimulationError& error) {
        throw Fault(error.what());
    }
    loaded_ = true;
    return {.pushes = report.pushes, .operations = report.operations, .cycles = report.cycles};
}

} // namespace virtual_npu
