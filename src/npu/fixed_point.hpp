// SPDX-License-Identifier: MIT
// Sums of products of bf16 that come back in 16 bits, half of what the host has to read.
//
// A core adds M = 1.5 * 2^(e + 23) to a sum in f32, as one more product, the last. While the sum is
// below 2^(e + 22), the result is in M's binade, whose places are worth 2^e: it has the bits of M,
// of which the low 16 are zeros, and the sum's places, rounded to nearest. So the low 16 bits are
// the sum / 2^e as an int16, where that is at most 32767.
//
// By Cauchy and Schwarz a sum is at most |x| |w|, the Euclidean norms of a row of x and of one of
// the weight. With the least p and q for which |x| <= (1 - 2^-7) 2^p and |w| <= (1 - 2^-7) 2^q it
// is below 2^(p + q), even where the norms and the sum itself are off by rounding, and e is p + q
// - 15. x has one more column, with 2^p in it, and W one with 1.5 * 2^(q + 8). They begin a step of
// eight values along K whose others are zeros, as the array puts the products of a step on the grid
// of the largest.
//
// A result is off by half of 2^e, at most 4.1 * 2^-16 |x| |w|. Where the signs of products are
// random, a sum is about |x| |w| / sqrt(n): rounding x and w to bf16 has moved it by more.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "aligned_buffer.hpp"
#include "kernels/cpu/kernels.h"

namespace npuenc::fixed_point {

// With the last column.
inline size_t depth(size_t n_in) {
    constexpr size_t step = 8;
    return round_up(n_in, step) + 1;
}

// Within these M is an f32, and no norm is above 2^p though squares below the least f32 are lost.
constexpr int least_exponent = -49, largest_exponent = 58;

// p or q; none where it were too large, or the values are not finite.
inline std::optional<int> exponent(double sum_of_squares) {
    constexpr double part = 1 - 0x1p-7;
    int exponent = least_exponent;
    const double norm = std::sqrt(sum_of_squares) / part;
    if (!(norm < std::ldexp(1.0, largest_exponent)))
        return std::nullopt;
    if (norm > std::ldexp(1.0, least_exponent))
        std::frexp(norm, &exponent);
    return exponent;
}

enum class Side { x, weight };

// Of a row of depth(n_in) values the first n_in are there. Writes the others, and returns what the
// row's results are to be multiplied with. Where it has no exponent that is NaN, and all of the row
// zeros but the last.
inline float end_row(const npuenc_rows& kernels, size_t n_in, Side side, uint16_t* row) {
    const size_t last = depth(n_in) - 1;
    const std::optional<int> known = exponent(kernels.sum_of_squares_bf16(n_in, row));
    std::fill(row + (known ? n_in : 0), row + last, uint16_t{0});
    const int found = known.value_or(0);
    const float value = side == Side::x ? std::ldexp(1.0f, found) : std::ldexp(1.5f, found + 8);
    row[last] = static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16); // exact
    if (!known)
        return std::numeric_limits<float>::quiet_NaN();
    return std::ldexp(1.0f, side == Side::x ? found : found - 15);
}

} // namespace npuenc::fixed_point
