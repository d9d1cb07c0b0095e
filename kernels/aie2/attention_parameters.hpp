// SPDX-License-Identifier: MIT
// What can be changed of the fused attention while it is loaded: its scales.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace npuenc::aie2 {

// What the core reads at each message from AttentionS8::parameters_address, its own 0xC000, so that
// a write of these words changes it between two runs.
//
// The exponential of a difference of scores is the largest of eight of its tangents, whose slopes
// are powers of two: weight = max(0, max over i of intercept[i] - distance * 2^6 / 2^(slope_shift +
// i)), where distance = (largest score - score) / 2^score_shift >= 0. All roundings are to nearest
// even and all steps saturate. A score is the plain integer product of a row of Q and a row of K.
// The output is the weighted mean of V times 2^(16 - output_shift), rounded and saturated to int8.
struct AttentionParameters {
    static constexpr size_t n_tangents = 8;
    static constexpr int distance_bits = 6; // so that slopes up to 2^6 are shifts to the right

    int32_t score_shift;
    int32_t slope_shift;
    int32_t output_shift;
    std::array<int32_t, n_tangents> intercepts; // 0..127, the largest first

    std::vector<uint8_t> bytes() const; // as they lie in data memory
};

// `scale` times an integer score is the exponent of the softmax: scale of Q * scale of K /
// sqrt(64), where an integer times its scale is the value it means. 2^-6 >= scale >= 2^-28. The
// output's scale is that of V times 2^(output_shift - 16).
AttentionParameters attention_parameters(double scale, int output_shift = 16);

// Q, K, V and the output in steps of 1/32.
constexpr double default_attention_scale = 1.0 / (32 * 32 * 8);

} // namespace npuenc::aie2
