// SPDX-License-Identifier: MIT
// The dimensions of a Whisper encoder, named as in the paper's code.
#pragma once

#include <cstdint>
#include <string>

namespace npuenc {

struct HyperParameters {
    uint32_t n_mels = 0;  // mel bands of the input: 80 or 128
    uint32_t n_ctx = 0;   // positions of the output: 1500 in every published model
    uint32_t n_state = 0; // width of a state
    uint32_t n_head = 0;  // attention heads; n_state is a multiple of it
    uint32_t n_layer = 0; // transformer blocks

    uint32_t head_dim() const { return n_state / n_head; }
    uint32_t n_mlp() const { return 4 * n_state; }
};

// What a model file may ask for. The largest published Whisper has 1500, 1280 and 32; within these
// limits the bytes of every tensor, and of all of them, are far from overflowing 64 bits.
constexpr uint32_t max_n_ctx = 65536;
constexpr uint32_t max_n_state = 16384;
constexpr uint32_t max_n_layer = 256;

// Says which of the limits above the values break; empty when they are a Whisper encoder's.
std::string complaint(const HyperParameters& hyper_parameters);

} // namespace npuenc
