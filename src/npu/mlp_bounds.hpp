// SPDX-License-Identifier: MIT
// What the array may meet in an MLP whose hidden values stay there: everything is finite.
//
// With L = 39, norms of rows of x and of both weights below 2^L, and biases, too, a hidden value is
// below 2^2L + 2^L, as GELU makes nothing larger. Of at most 2^14 of them the norm is below
// 2^(2L + 1 + 7), and a sum of the second product below 2^(3L + 8) = 2^125; by Cauchy and Schwarz
// so is each sum on the way there. What is larger, or not finite, never gets to the array:
// - a row of x is zeros there, and its results are not numbers;
// - neither are any where the first weight or its bias has such values: in exact arithmetic one
//   hidden value that is not a number makes all results that;
// - a row of the second weight is zeros, and the column of results is not a number.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "kernels/cpu/kernels.h"
#include "npu/fixed_point.hpp"

namespace npuenc::mlp_bounds {

constexpr int largest_exponent = 39;
constexpr size_t most_hidden = 16384;

// What the results of a row of bf16 are to be multiplied with: 1, or where it is beyond the bounds
// NaN, and then it is zeros.
inline float end_row(const npuenc_rows& kernels, size_t n, uint16_t* row) {
    const std::optional<int> known = fixed_point::exponent(kernels.sum_of_squares_bf16(n, row));
    if (known && *known <= largest_exponent)
        return 1;
    std::fill_n(row, n, uint16_t{0});
    return std::numeric_limits<float>::quiet_NaN();
}

inline bool takes_bias(float bias) {
    return std::fabs(bias) < std::ldexp(1.0f, largest_exponent);
}

} // namespace npuenc::mlp_bounds
