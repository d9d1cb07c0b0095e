// SPDX-License-Identifier: MIT
// The shapes of a Whisper encoder's tensors.
#include "model/tensor.hpp"

#include <algorithm>

namespace npuenc {
namespace {

Shape squeezed(const Shape& shape) {
    Shape result;
    for (uint32_t i = 0; i < shape.rank; ++i) {
        if (shape.dims[i] != 1) {
            result.dims[result.rank++] = shape.dims[i];
        }
    }
    return result;
}

} // namespace

uint64_t Shape::row_elements() const {
    uint64_t product = 1;
    for (uint32_t i = 1; i < rank; ++i) {
        product *= dims[i];
    }
    return product;
}

Shape shape_of(Role role, const HyperParameters& hyper_parameters) {
    const uint64_t state = hyper_parameters.n_state;
    const uint64_t mlp = hyper_parameters.n_mlp();
    switch (role) {
    case Role::conv1_weight:
        return {3, {state, hyper_parameters.n_mels, 3}};
    case Role::conv2_weight:
        return {3, {state, state, 3}};
    case Role::positions:
        return {2, {hyper_parameters.n_ctx, state}};
    case Role::query_weight:
    case Role::key_weight:
    case Role::value_weight:
    case Role::output_weight:
        return {2, {state, state}};
    case Role::mlp_up_weight:
        return {2, {mlp, state}};
    case Role::mlp_up_bias:
        return {1, {mlp}};
    case Role::mlp_down_weight:
        return {2, {state, mlp}};
    default:
        return {1, {state}};
    }
}

bool same_shape(const Shape& a, const Shape& b) {
    const Shape x = squeezed(a);
    const Shape y = squeezed(b);
    return x.rank == y.rank && std::equal(x.dims, x.dims + x.rank, y.dims);
}

std::string to_string(const Shape& shape) {
    std::string text = "[";
    for (uint32_t i = 0; i < shape.rank; ++i) {
        text += (i > 0 ? ", " : "") + std::to_string(shape.dims[i]);
    }
    return text + "]";
}

} // namespace npuenc
