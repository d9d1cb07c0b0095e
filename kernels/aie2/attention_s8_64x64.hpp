// SPDX-License-Identifier: MIT
// Attention of one head over 64 positions of 64 dimensions, on one core: out = softmax(Q K^T) V,
// all int8.
//
// Messages, as the host has them: Q || K || V in (each 64 x 64 int8, row-major, 12,288 bytes), out
// (64 x 64 int8, row-major, 4,096 bytes).
//
// In data memory a matrix of 64 columns lies in 8 panels of 8 columns, the rows of a panel one
// after another: 4 or 8 neighbouring rows of a panel are then the 4x8 and 8x8 tiles of the MAC, and
// the core's DMA does all of the re-tiling with three dimensions (in words of 4 bytes):
//   input, 192 rows (Q, K, V): {2 at step 1}, {8 at step 384}, {192 at step 2}
//   output, 64 rows:           {2 at step 1}, {8 at step 128}, {64 at step 2}
// Stream order is the order of the message. In memory: byte = panel * rows * 8 + row * 8 + column
// in the panel.
//
// Locks (own ids): 0 input empty (init 2), 1 input full (0), 4 output empty (2), 5 output full (0).
// S2MM0: BD for input 0 <-> BD for input 1, acquire lock 0 by -1, release lock 1 by +1. MM2S0: BD
// for output 0 <-> BD for output 1, acquire lock 5 by -1, release lock 4 by +1. The core starts
// with buffers 0 and alternates.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "kernels/aie2/attention_parameters.hpp"
#include "kernels/aie2/program/program.hpp"

namespace npuenc::aie2 {

struct AttentionS8 {
    static constexpr uint32_t positions = 64, dimensions = 64;
    static constexpr uint32_t input_bytes = 3 * positions * dimensions;
    static constexpr uint32_t output_bytes = positions * dimensions;

    // Addresses in the core's data memory.
    static constexpr std::array<uint32_t, 2> input_address = {0x0000, 0x4000};
    static constexpr std::array<uint32_t, 2> output_address = {0x8000, 0x9000};
    static constexpr uint32_t parameters_address = 0xC000; // see AttentionParameters
    // Where attention_s8_initial_data() must lie when the core starts, up to work_address; what is
    // behind it, up to work_end, is the core's own too.
    static constexpr uint32_t initial_address = 0xC000;
    static constexpr uint32_t work_address = 0xC380;
    static constexpr uint32_t work_end = 0xD000;

    struct Dimension {
        uint32_t size, step; // step in words
    };
    static constexpr std::array<Dimension, 3> input_pattern = {{{2, 1}, {8, 384}, {192, 2}}};
    static constexpr std::array<Dimension, 3> output_pattern = {{{2, 1}, {8, 128}, {64, 2}}};
};

std::vector<uint8_t> attention_s8_initial_data(
    const AttentionParameters& parameters = attention_parameters(default_attention_scale));

Program attention_s8_64x64();

} // namespace npuenc::aie2
