// SPDX-License-Identifier: MIT
// What attention_s8_64x64 computes, bit by bit, and what softmax would have given in float64.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/aie2/attention_s8_64x64.hpp"

// The output for an input message, to the last bit.
std::vector<uint8_t> attention_model(const std::vector<uint8_t>& message,
                                     const npuenc::aie2::AttentionParameters& parameters);

struct Correlation {
    double all, worst_row;
};

// Of an output with attention in float64; `scale` times an integer score is the exponent.
Correlation correlation(const std::vector<uint8_t>& message, const std::vector<uint8_t>& output,
                        double scale);
