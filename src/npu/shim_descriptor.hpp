// SPDX-License-Identifier: MIT
// A shim's DMA: its buffer descriptors, and the registers that set its channels to work.
//
// Layout and ranges are those of Xilinx/aie-rt's driver/src/global/xaiemlgbl_params.h (MIT),
// XAIEMLGBL_NOC_MODULE_DMA_*.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "npu/instruction_stream.hpp"

namespace npuenc {

constexpr uint32_t shim_channels = 2; // in each direction
constexpr uint32_t shim_descriptors = 16;
constexpr size_t descriptor_words = 8;
constexpr uint32_t max_queue_repeats = 256;

// What one descriptor moves each time a channel executes it: `length` words that lie in up to three
// dimensions, innermost first. Steps are in words of 32 bits.
struct ShimDescriptor {
    struct Dimension {
        uint32_t size = 0; // 0: all that is left, and then no further dimension has a size
        uint32_t step = 1;
    };

    static constexpr uint32_t max_size = 1023;
    static constexpr uint32_t max_step = 1u << 20;
    static constexpr uint32_t max_iterations = 64;

    uint64_t length = 0;
    Dimension inner = {}, middle = {};
    uint32_t outer_step = 1; // the size follows from the length
    // Each execution begins a step further on, and after so many at the start again.
    uint32_t iterations = 1, iteration_step = 1;
    std::optional<uint32_t> next = {}; // the descriptor executed after this one in the same task

    // Without the address: the stream patches it in. Throws Error E_INVALID for what the fields
    // cannot hold.
    std::array<uint32_t, descriptor_words> encode() const;
};

constexpr uint32_t shim_descriptor_base = 0x1d000;
constexpr uint32_t shim_descriptor_stride = 0x20;
constexpr uint32_t shim_control_base = 0x1d200;
constexpr uint32_t shim_channel_stride = 8;

// The word of a channel's control register that says whom to send tokens: the controller,
// number 15.
constexpr uint32_t token_receiver = 0xf00;
constexpr uint32_t token_receiver_mask = 0x1f00;

constexpr uint32_t shim_descriptor_address(uint32_t column, uint32_t descriptor) {
    return tile_address(column, shim_row,
                        shim_descriptor_base + descriptor * shim_descriptor_stride);
}
// What InstructionStream::patch wants.
constexpr uint32_t shim_address_word(uint32_t column, uint32_t descriptor) {
    return shim_descriptor_address(column, descriptor) + 4;
}
constexpr uint32_t shim_control(uint32_t column, DmaDirection direction, uint32_t channel) {
    return tile_address(column, shim_row,
                        shim_control_base +
                            (static_cast<uint32_t>(direction) * shim_channels + channel) *
                                shim_channel_stride);
}
constexpr uint32_t shim_queue(uint32_t column, DmaDirection direction, uint32_t channel) {
    return shim_control(column, direction, channel) + 4;
}

bool is_shim_queue(uint32_t address);
bool is_shim_descriptor_address_word(uint32_t address);

enum class Token { none, at_end };

// What a write to a queue says: execute this descriptor and those that it chains to, all of them
// `repeats` times. Throws Error E_INVALID out of range.
uint32_t queue_word(uint32_t descriptor, uint32_t repeats, Token token);

} // namespace npuenc
