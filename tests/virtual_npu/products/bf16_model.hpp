// SPDX-License-Identifier: MIT
// What a core's bf16 multiply-accumulate computes, as captured outputs of a Phoenix show it: the
// products of one step and the sum before it are put on a grid of 24 bits below the largest
// exponent, each rounded to nearest even, added without error, and rounded once more.
#pragma once

#include <cstddef>
#include <cstdint>

namespace npuenc {

// acc + sum of a[i] b[i] over the 8 products of one step; bf16 operands, f32 sums, as bits.
// Finite values only. Results below the normal range become zero.
uint32_t bf16_mac(uint32_t acc, const uint16_t a[8], const uint16_t b[8]);

} // namespace npuenc
