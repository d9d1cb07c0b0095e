// SPDX-License-Identifier: MIT
// The limits of hyper-parameters.
#include "model/hyper_parameters.hpp"

namespace npuenc {
namespace {

std::string beyond(const char* name, uint32_t value, uint32_t limit) {
    return std::string(name) + " is " + std::to_string(value) + ", expected 1 to " +
           std::to_string(limit);
}

} // namespace

std::string complaint(const HyperParameters& hyper_parameters) {
    const auto& [n_mels, n_ctx, n_state, n_head, n_layer] = hyper_parameters;
    if (n_mels != 80 && n_mels != 128) {
        return "n_mels is " + std::to_string(n_mels) + ", expected 80 or 128";
    }
    if (n_ctx < 1 || n_ctx > max_n_ctx) {
        return beyond("n_ctx", n_ctx, max_n_ctx);
    }
    if (n_state < 1 || n_state > max_n_state) {
        return beyond("n_state", n_state, max_n_state);
    }
    if (n_layer < 1 || n_layer > max_n_layer) {
        return beyond("n_layer", n_layer, max_n_layer);
    }
    if (n_head < 1 || n_state % n_head != 0) {
        return "n_head is " + std::to_string(n_head) + ", which does not divide n_state " +
               std::to_string(n_state);
    }
    return {};
}

} // namespace npuenc
