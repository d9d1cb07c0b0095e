// SPDX-License-Identifier: MIT
// A model of base's shape with random weights, for measurements that need no real ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace npuenc {

constexpr size_t base_n_state = 512, base_n_ctx = 1500;

// A .safetensors file (the layout is that of the safetensors README) with so many layers.
std::vector<uint8_t> random_base_model(size_t n_layer);

} // namespace npuenc
