// SPDX-License-Identifier: MIT
// The weights of a Whisper encoder, packed for the devices that will use them.
#pragma once

#include <memory>
#include <vector>

#include "encoder/plan.hpp"
#include "model/model_file.hpp"

namespace npuenc {

struct Norm {
    std::vector<float> weight, bias;
};

// One residual attention block. The projections of query, key and value are one matrix, in that
// order, so that they are one product.
struct Layer {
    Norm attention_norm;
    std::unique_ptr<Weight> qkv;
    std::unique_ptr<Weight> attention_out;
    Norm mlp_norm;
    std::unique_ptr<Weight> mlp_up;
    std::unique_ptr<Weight> mlp_down;
};

// A convolution over time is a product with the rows of three neighbouring frames, so its weights
// are stored as [n_out][3][n_in].
struct EncoderWeights {
    std::unique_ptr<Weight> conv1, conv2;
    std::vector<float> positions; // [n_ctx][n_state]
    std::vector<Layer> layers;
    Norm final_norm;

    uint64_t bytes = 0;        // of memory
    uint64_t n_parameters = 0; // of the model, the key's bias not counted as it has none
};

// Reads each tensor once, row by row, straight into its packed form.
EncoderWeights load_weights(const ModelFile& file, const Plan& plan);

} // namespace npuenc
