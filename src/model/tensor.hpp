// SPDX-License-Identifier: MIT
// The tensors of a Whisper encoder, by their part in it rather than by a file format's names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "model/hyper_parameters.hpp"

namespace npuenc {

// Shapes are row-major; a "row" is one slice of the first dimension (one output channel of a
// matrix). Whisper's key projection has no bias.
enum class Role : uint8_t {
    conv1_weight,          // [n_state][n_mels][3]
    conv1_bias,            // [n_state]
    conv2_weight,          // [n_state][n_state][3]
    conv2_bias,            // [n_state]
    positions,             // [n_ctx][n_state]
    attention_norm_weight, // [n_state], and so for each layer down to mlp_down_bias
    attention_norm_bias,   // [n_state]
    query_weight,          // [n_state][n_state], rows are output channels
    query_bias,            // [n_state]
    key_weight,            // [n_state][n_state]
    value_weight,          // [n_state][n_state]
    value_bias,            // [n_state]
    output_weight,         // [n_state][n_state]
    output_bias,           // [n_state]
    mlp_norm_weight,       // [n_state]
    mlp_norm_bias,         // [n_state]
    mlp_up_weight,         // [4 n_state][n_state]
    mlp_up_bias,           // [4 n_state]
    mlp_down_weight,       // [n_state][4 n_state]
    mlp_down_bias,         // [n_state]
    final_norm_weight,     // [n_state]
    final_norm_bias,       // [n_state]
};

constexpr size_t n_roles = static_cast<size_t>(Role::final_norm_bias) + 1;

struct TensorId {
    Role role;
    uint32_t layer = 0; // 0 for a tensor that is not of a layer
};

constexpr bool is_of_layer(Role role) {
    return role >= Role::attention_norm_weight && role <= Role::mlp_down_bias;
}

// The weights of a layer's six products.
constexpr bool is_matrix(Role role) {
    return role == Role::query_weight || role == Role::key_weight || role == Role::value_weight ||
           role == Role::output_weight || role == Role::mlp_up_weight ||
           role == Role::mlp_down_weight;
}

struct Shape {
    static constexpr uint32_t max_rank = 4;

    uint32_t rank = 0;
    uint64_t dims[max_rank] = {};

    uint64_t rows() const { return dims[0]; } // of a shape_of(), whose rank is at least 1
    uint64_t row_elements() const;            // of one row
};

// The hyper-parameters are within their limits, so nothing here overflows.
Shape shape_of(Role role, const HyperParameters& hyper_parameters);

// Calls visit(TensorId) for every tensor of the encoder, by roles.
template <typename Visit>
void for_each_tensor(const HyperParameters& hyper_parameters, Visit visit) {
    for (size_t i = 0; i < n_roles; ++i) {
        const Role role = static_cast<Role>(i);
        const uint32_t n_layer = is_of_layer(role) ? hyper_parameters.n_layer : 1;
        for (uint32_t layer = 0; layer < n_layer; ++layer) {
            visit(TensorId{role, layer});
        }
    }
}

// True when both are the same but for dimensions of 1, which some converters add or drop.
bool same_shape(const Shape& a, const Shape& b);

std::string to_string(const Shape& shape); // "[384, 80, 3]"

} // namespace npuenc
