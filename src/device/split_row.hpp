// SPDX-License-Identifier: MIT
// Products of 16 significant bits by an array or instructions that multiply bf16, which has 8:
// NPUENC_PRECISION_BF16X2.
//
// A float is high + low, both bf16 to nearest, within 2^-16 of itself. So x w is the sum of high
// high, high low and low high; low low, at most 2^-16 of it, is left out. The CPU's kernels
// multiply both parts at once. For an array these are one product of three times the depth, side by
// side in K:
//   x   high | low  | high
//   W   low  | high | high
// The small ones are added up first.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/kernels.h"

namespace npuenc {

constexpr size_t split_parts = 3;

enum class SplitSide { x, weight };

// n values to split_parts * n.
inline void split_row(const npuenc_convert& convert, size_t n, const float* values, SplitSide side,
                      uint16_t* parts) {
    uint16_t* const high = parts + 2 * n;
    convert.f32_to_bf16x2(n, values, high, side == SplitSide::x ? parts + n : parts);
    std::copy_n(high, n, side == SplitSide::x ? parts : parts + n);
}

} // namespace npuenc
