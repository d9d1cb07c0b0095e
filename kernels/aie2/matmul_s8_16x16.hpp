// SPDX-License-Identifier: MIT
// The product of two 16 x 16 int8 matrices on one core, the smallest tile that a host can send:
// result = saturate(round to nearest even(A B / 2^shift)), int8.
//
// Messages, as the host has them: A || B in (row-major, 512 bytes), the result out (row-major, 256
// bytes).
//
// In data memory a matrix lies in 2 panels of 8 columns, the rows of a panel one after another, so
// that 4 or 8 neighbouring rows are a tile of the MAC; the core's DMA re-tiles (in words of 4
// bytes):
//   input, 32 rows (A, B): {2 at step 1}, {2 at step 64}, {32 at step 2}
//   output, 16 rows:       {2 at step 1}, {2 at step 32}, {16 at step 2}
//
// Locks (own ids): 0 input empty (init 2), 1 input full (0), 4 output empty (2), 5 output full (0).
// S2MM0: BD for input 0 <-> BD for input 1, acquire lock 0 by -1, release lock 1 by +1. MM2S0: BD
// for output 0 <-> BD for output 1, acquire lock 5 by -1, release lock 4 by +1.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "kernels/aie2/program/program.hpp"

namespace npuenc::aie2 {

struct MatmulS8 {
    static constexpr uint32_t size = 16;
    static constexpr uint32_t input_bytes = 2 * size * size;
    static constexpr uint32_t output_bytes = size * size;

    // Addresses in the core's data memory.
    static constexpr std::array<uint32_t, 2> input_address = {0x0000, 0x4000};
    static constexpr std::array<uint32_t, 2> output_address = {0x8000, 0x8100};
    // A word, 0..31, read at each message: a write of it changes the products that come after.
    static constexpr uint32_t shift_address = 0xC000;
    static constexpr uint32_t default_shift = 7;

    struct Dimension {
        uint32_t size, step; // step in words
    };
    static constexpr std::array<Dimension, 3> input_pattern = {{{2, 1}, {2, 64}, {32, 2}}};
    static constexpr std::array<Dimension, 3> output_pattern = {{{2, 1}, {2, 32}, {16, 2}}};
};

// What must be in data memory from MatmulS8::shift_address on when the core starts.
std::vector<uint8_t> matmul_s8_initial_data(uint32_t shift = MatmulS8::default_shift);

Program matmul_s8_16x16();

} // namespace npuenc::aie2
