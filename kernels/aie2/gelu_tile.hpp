// SPDX-License-Identifier: MIT
// The last tile of a strip of B whose results are GELU (sum + bias) in bf16: it multiplies nothing,
// and tells the cores how.
//
// With h = sum + bias in f32, rounded to bf16, a core computes
//   GELU(h) = max(h, 0) - t Phi(-t),  t = |h|,
// and Phi, the normal distribution, as the eighth power of a cubic polynomial q of z = t s / 2^15:
//   z = round(min(t, largest) s)                          an int16, in 2^-15
//   b = (c2 + z c3) / 2^15, (c1 + z b) / 2^15, (c0 + z b) / 2^15 = q      the same
//   q^2, q^4, q^8                                                         the same
//   v = z q^8 / 2^12                                      t Phi(-t) s, in 2^-3
//   GELU = max(h, 0) - v units / 2^24,
// each division rounded to nearest even. s is a number of bf16; units is 2^21 / s but for less than
// 0.2 %, which is in the coefficients. They make the largest difference of v units / 2^24 from
// t Phi(-t), over all t, about as small as a cubic can: 1.6e-4; with the roundings above, 2.2e-4.
// An int16 becomes an f32, and the other way round, as the low bits of one whose binade is worth
// it: 1.5 * 2^23 + z, and 0.75 - v units / 2^24.
//
// After the header, all values little-endian:
//   [16] columns by fours: bf16 [4 rows, the same][4] of the bias, then [4][4] of minus what
//        rounding it to bf16 has left
//   operands of the vector unit, as `Operand` counts their bytes
#pragma once

#include <cstddef>
#include <cstdint>

namespace npuenc::gelu_tile {

// The header's first word: bit 3, and bit 1 of a last tile.
constexpr uint32_t header = 8 | 2;

constexpr size_t header_bytes = 32, message_bytes = header_bytes + 4096;
constexpr size_t columns = 4; // that share a vector of biases

// Where operands lie behind the header.
enum Operand : size_t {
    biases = 0,
    magnitude = 1024, // uint16 [32]: all bits but the sign
    largest = 1088,   // bf16 [32]
    least = 1152,     // bf16 [16] of the least normal value, [16] of 0.75
    scale = 1216,     // bf16 [16] of s, [16] of 0
    signs = 1280,     // bf16 [16] of 1, [16] of -1
    c3 = 1344,        // int16 [32]
    units = 1408,     // int16 [32]
    c2 = 1472,        // int32 [32], in 2^-30 as c1 and c0
    c1 = 1600,
    c0 = 1728,
    integers = 1856, // f32 [16] of 1.5 * 2^23
    results = 1920,  // f32 [32] of 0.75, to 2048
};

constexpr float s = 6752;
constexpr float largest_t = 4.84375; // the last bf16 whose z is an int16
constexpr int16_t c3_value = 20030, units_value = 311;
constexpr int32_t c2_value = -1025562592, c1_value = -451476538, c0_value = 983616623;

// A whole message: for `count` of 64 columns, from their biases, finite or null. The other columns
// have none.
void write(const float* bias, size_t count, char* message);

} // namespace npuenc::gelu_tile
