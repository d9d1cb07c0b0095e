// SPDX-License-Identifier: MIT
#include "tests/virtual_npu/firmware/shim.hpp"

#include <algorithm>

#include "kernels/aie2/container/bytes.hpp"
#include "tests/virtual_npu/firmware/firmware.hpp"

namespace virtual_npu {
namespace {

using npuenc::aie2::hexadecimal;

constexpr uint32_t descriptor_base = 0x1d000, descriptor_stride = 0x20;
constexpr uint32_t channel_base = 0x1d200, channel_stride = 8; // control, then queue
constexpr uint32_t word_bytes = 4;
constexpr size_t queue_depth = 4; // beside the task that runs

// Of a channel's control register: whom to send tokens.
constexpr uint32_t controller_id = 0x1f00;

constexpr uint32_t field(uint32_t word, unsigned low, unsigned width) {
    return word >> low & ((1u << width) - 1);
}

// Word 7 of a descriptor.
constexpr uint32_t valid = 1u << 25, use_next = 1u << 26, acquire_enable = 1u << 12;
constexpr unsigned next_at = 27, release_value_at = 18;
// Word 6.
constexpr unsigned iteration_at = 26, iterations_at = 20;
// Word 2.
constexpr uint32_t enable_packet = 1u << 30;

} // namespace

void Shim::Channel::fail(const std::string& what) const {
    throw Fault(name_ + ", descriptor " + std::to_string(descriptor_) + ": " + what);
}

// With a task, if there is one.
bool Shim::Channel::start() {
    if (busy_)
        return true;
    if (queue_.empty())
        return false;
    task_ = queue_.front();
    queue_.pop_front();
    busy_ = true;
    descriptor_ = task_.descriptor;
    begin_transfer();
    return true;
}

void Shim::Channel::begin_transfer() {
    const auto& words = shim_->descriptors_[descriptor_];
    if (!(words[7] & valid))
        fail("it is not valid");
    if (words[7] & acquire_enable || field(words[7], release_value_at, 7) != 0)
        fail("functional mode does not know locks of a shim");
    if (words[2] & enable_packet)
        fail("functional mode does not know packets");
    if (words[0] == 0)
        fail("a length of 0");
    const uint32_t iteration = field(words[6], iteration_at, 6);
    if (iteration > field(words[6], iterations_at, 6))
        fail("iteration " + std::to_string(iteration) + " does not exist");
    const uint64_t start = (uint64_t{field(words[2], 0, 16)} << 32 | words[1]) & ~uint64_t{3};
    transfer_ = {.address = start + uint64_t{iteration} * (field(words[6], 0, 20) + 1) * word_bytes,
                 .length = words[0],
                 .done = 0,
                 .inner_size = field(words[3], 20, 10),
                 .inner_step = field(words[3], 0, 20) + 1,
                 .middle_size = field(words[4], 20, 10),
                 .middle_step = field(words[4], 0, 20) + 1,
                 .outer_step = field(words[5], 0, 20) + 1};
}

void Shim::Channel::end_transfer() {
    auto& words = shim_->descriptors_[descriptor_];
    const uint32_t iteration = field(words[6], iteration_at, 6);
    const uint32_t following = iteration == field(words[6], iterations_at, 6) ? 0 : iteration + 1;
    words[6] = (words[6] & ~(0x3fu << iteration_at)) | following << iteration_at;
    if (words[7] & use_next) {
        descriptor_ = field(words[7], next_at, 4);
    } else if (--task_.repeats != 0) {
        descriptor_ = task_.descriptor;
    } else {
        busy_ = false;
        tokens_ += task_.token;
        return;
    }
    begin_transfer();
}

std::span<uint8_t> Shim::Channel::next(size_t limit) {
    if (!start())
        return {};
    const Transfer& at = transfer_;
    // Words from here on without a step of another dimension.
    uint64_t words = at.length - at.done;
    uint64_t inner = at.done, middle = 0, outer = 0;
    if (at.inner_size != 0) {
        inner = at.done % at.inner_size;
        middle = at.done / at.inner_size;
        words = std::min<uint64_t>(words, at.inner_size - inner);
        if (at.middle_size != 0) {
            outer = middle / at.middle_size;
            middle %= at.middle_size;
        }
    }
    if (at.inner_step != 1)
        words = 1;
    const uint64_t address =
        at.address +
        (inner * at.inner_step + middle * at.middle_step + outer * at.outer_step) * word_bytes;
    const size_t bytes = std::min<uint64_t>(words * word_bytes, limit);
    if (bytes == 0)
        return {};
    uint8_t* first = shim_->memory_->word(address);
    const uint8_t* last = first ? shim_->memory_->word(address + bytes - word_bytes) : nullptr;
    if (last == nullptr || last != first + (bytes - word_bytes))
        fail("the transfer is outside of the buffers, at " + hexadecimal(address));
    return {first, bytes};
}

void Shim::Channel::advance(size_t bytes) {
    transfer_.done += bytes / word_bytes;
    if (transfer_.done == transfer_.length)
        end_transfer();
}

Shim::Shim(uint32_t column)
    : column_(column), channels_{Channel(*this, "S2MM 0 of shim " + std::to_string(column)),
                                 Channel(*this, "S2MM 1 of shim " + std::to_string(column)),
                                 Channel(*this, "MM2S 0 of shim " + std::to_string(column)),
                                 Channel(*this, "MM2S 1 of shim " + std::to_string(column))} {}

bool Shim::is_queue(uint32_t offset) {
    return offset >= channel_base && offset < channel_base + 2 * n_channels * channel_stride &&
           offset % channel_stride == 4;
}

bool Shim::is_address(uint32_t offset) {
    return offset >= descriptor_base &&
           offset < descriptor_base + n_descriptors * descriptor_stride &&
           offset % descriptor_stride == 4;
}

bool Shim::write(uint32_t offset, uint32_t value) {
    const uint32_t in_descriptors = offset - descriptor_base;
    if (offset % word_bytes == 0 && in_descriptors < n_descriptors * descriptor_stride) {
        descriptors_[in_descriptors / descriptor_stride]
                    [in_descriptors % descriptor_stride / word_bytes] = value;
        return true;
    }
    if (is_queue(offset)) {
        Channel& channel = channels_[(offset - channel_base) / channel_stride];
        if (value & ~0x80ff000fu)
            channel.fail("a push of " + hexadecimal(value) + " has bits that are not known");
        if (channel.queue_.size() == queue_depth)
            channel.start();
        if (channel.queue_.size() == queue_depth)
            return false;
        channel.queue_.push_back({field(value, 0, 4), field(value, 16, 8) + 1, value >> 31 != 0});
        return true;
    }
    if (is_queue(offset + 4) && !(value & ~controller_id)) {
        controls_[(offset - channel_base) / channel_stride] = value;
        return true;
    }
    throw Fault("functional mode does not know the register " + hexadecimal(offset) + " of shim " +
                std::to_string(column_) + " = " + hexadecimal(value));
}

uint32_t Shim::read(uint32_t offset) const {
    const uint32_t in_descriptors = offset - descriptor_base;
    if (offset % word_bytes == 0 && in_descriptors < n_descriptors * descriptor_stride)
        return descriptors_[in_descriptors / descriptor_stride]
                           [in_descriptors % descriptor_stride / word_bytes];
    if (is_queue(offset + 4))
        return controls_[(offset - channel_base) / channel_stride];
    return 0;
}

} // namespace virtual_npu
