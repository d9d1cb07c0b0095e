// SPDX-License-Identifier: MIT
#include "attention_model.hpp"

#include <algorithm>
#include <array>
#include <cmath>

using npuenc::aie2::AttentionParameters;

namespace {

constexpr size_t n = 64;

// The value at row, column of matrix 0, 1, 2 (Q, K, V).
int value(const std::vector<uint8_t>& message, size_t matrix, size_t row, size_t column) {
    return static_cast<int8_t>(message[(matrix * n + row) * n + column]);
}

int64_t saturate(int64_t x, int bits) {
    const int64_t end = int64_t{1} << (bits - 1);
    return std::clamp(x, -end, end - 1);
}

// x / 2^shift to the nearest integer, to the even one of two.
int64_t shift_round(int64_t x, int shift) {
    if (shift == 0)
        return x;
    const int64_t unit = int64_t{1} << shift;
    const int64_t below = x >> shift;
    const int64_t twice_rest = 2 * (x - below * unit);
    const bool up = twice_rest > unit || (twice_rest == unit && below % 2 != 0);
    return below + (up ? 1 : 0);
}

// 2^21 / sum as the core finds it, in 32-bit words.
int64_t reciprocal(uint32_t sum) {
    uint32_t leading = 0;
    while (leading < 32 && (sum >> (31 - leading)) == 0)
        ++leading;
    const uint32_t y = sum << (leading - 17);
    uint32_t x = 47976 - y;
    for (int step = 0; step < 2; ++step)
        x = (x * (65536 - ((y * x) >> 14))) >> 15;
    const int up = static_cast<int>(leading) - 24;
    return ((up >= 0 ? x << up : x >> -up) + 1) >> 1;
}

std::array<int64_t, n> weights_of(const std::vector<uint8_t>& message, size_t query,
                                  const AttentionParameters& parameters) {
    std::array<int64_t, n> scores, weights;
    for (size_t key = 0; key < n; ++key) {
        int64_t sum = 0;
        for (size_t i = 0; i < n; ++i)
            sum += value(message, 0, query, i) * value(message, 1, key, i);
        scores[key] = saturate(shift_round(sum, parameters.score_shift), 16);
    }
    const int64_t largest = *std::ranges::max_element(scores);
    for (size_t key = 0; key < n; ++key) {
        const int64_t difference = std::max<int64_t>(scores[key] - largest, -32768) * 64;
        weights[key] = 0;
        for (size_t i = 0; i < parameters.intercepts.size(); ++i) {
            const int shift = parameters.slope_shift + static_cast<int>(i);
            weights[key] = std::max(weights[key], saturate(shift_round(difference, shift), 8) +
                                                      parameters.intercepts[i]);
        }
    }
    return weights;
}

} // namespace

std::vector<uint8_t> attention_model(const std::vector<uint8_t>& message,
                                     const AttentionParameters& parameters) {
    std::vector<uint8_t> output;
    for (size_t query = 0; query < n; ++query) {
        const std::array<int64_t, n> weights = weights_of(message, query, parameters);
        int64_t sum = 0;
        for (int64_t weight : weights)
            sum += weight;
        for (size_t column = 0; column < n; ++column) {
            int64_t product = 0;
            for (size_t key = 0; key < n; ++key)
                product += weights[key] * value(message, 2, key, column);
            const int64_t mean = saturate(shift_round(product, 5), 16);
            const int64_t scaled =
                shift_round(mean * reciprocal(static_cast<uint32_t>(sum)), parameters.output_shift);
            output.push_back(static_cast<uint8_t>(saturate(scaled, 8)));
        }
    }
    return output;
}

Correlation correlation(const std::vector<uint8_t>& message, const std::vector<uint8_t>& output,
                        double scale) {
    std::vector<double> exact(n * n), given(n * n);
    for (size_t query = 0; query < n; ++query) {
        std::array<double, n> scores;
        for (size_t key = 0; key < n; ++key) {
            scores[key] = 0;
            for (size_t i = 0; i < n; ++i)
                scores[key] += scale * value(message, 0, query, i) * value(message, 1, key, i);
        }
        const double largest = *std::ranges::max_element(scores);
        double sum = 0;
        for (double& score : scores)
            sum += score = std::exp(score - largest);
        for (size_t column = 0; column < n; ++column) {
            for (size_t key = 0; key < n; ++key)
                exact[query * n + column] += scores[key] / sum * value(message, 2, key, column);
            given[query * n + column] = static_cast<int8_t>(output[query * n + column]);
        }
    }
    const auto correlate = [&](size_t first, size_t count) {
        double mean_x = 0, mean_y = 0, xy = 0, xx = 0, yy = 0;
        for (size_t i = first; i < first + count; ++i) {
            mean_x += exact[i] / static_cast<double>(count);
            mean_y += given[i] / static_cast<double>(count);
        }
        for (size_t i = first; i < first + count; ++i) {
            xy += (exact[i] - mean_x) * (given[i] - mean_y);
            xx += (exact[i] - mean_x) * (exact[i] - mean_x);
            yy += (given[i] - mean_y) * (given[i] - mean_y);
        }
        return xy / std::sqrt(xx * yy);
    };
    Correlation result{correlate(0, n * n), 1};
    for (size_t query = 0; query < n; ++query)
        result.worst_row = std::min(result.worst_row, correlate(query * n, n));
    return result;
}
