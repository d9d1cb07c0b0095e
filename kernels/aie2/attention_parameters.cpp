// SPDX-License-Identifier: MIT
#include "kernels/aie2/attention_parameters.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace npuenc::aie2 {

std::vector<uint8_t> AttentionParameters::bytes() const {
    std::vector<uint8_t> bytes;
    const auto add = [&](int32_t word) {
        for (int shift = 0; shift < 32; shift += 8)
            bytes.push_back(static_cast<uint8_t>(static_cast<uint32_t>(word) >> shift));
    };
    add(score_shift);
    add(slope_shift);
    add(output_shift);
    for (int32_t intercept : intercepts)
        add(intercept);
    return bytes;
}

AttentionParameters attention_parameters(double scale, int output_shift) {
    if (!(scale >= std::ldexp(1.0, -28) && scale <= std::ldexp(1.0, -6)))
        throw std::invalid_argument("the scale of attention's scores is not in 2^-28..2^-6");
    if (output_shift < 0 || output_shift > 31)
        throw std::invalid_argument("the output shift of attention is not in 0..31");
    // A step of the distance is about 1/256, but all scores fit in an int16 (64 * 127 * 127 / 2^5).
    const int score_shift = std::clamp(static_cast<int>(std::lround(-std::log2(scale) - 8)), 5, 20);
    const double step = std::ldexp(scale, score_shift);
    // The tangent with slope s to height * exp(-step * distance) cuts the axis at
    // s / step * (1 + log(height * step / s)). The height is such that the first tangent cuts it at
    // 127; tangents that are steeper are never the largest.
    const auto intercept = [&](double height, int shift) {
        const double slope = std::ldexp(1.0, AttentionParameters::distance_bits - shift);
        return slope / step * (1 + std::log(height * step / slope));
    };
    const auto largest = [&](double height) {
        int best = 0;
        for (int shift = 1; shift < 24; ++shift)
            if (intercept(height, shift) > intercept(height, best))
                best = shift;
        return best;
    };
    double low = 1, high = 256;
    for (int i = 0; i < 60; ++i) {
        const double middle_height = (low + high) / 2;
        (intercept(middle_height, largest(middle_height)) > 127 ? high : low) = middle_height;
    }
    AttentionParameters parameters{score_shift, largest(low), output_shift, {}};
    for (int i = 0; i < static_cast<int>(AttentionParameters::n_tangents); ++i)
        parameters.intercepts[static_cast<size_t>(i)] = static_cast<int32_t>(
            std::max(0L, std::lround(intercept(low, parameters.slope_shift + i))));
    return parameters;
}

} // namespace npuenc::aie2
