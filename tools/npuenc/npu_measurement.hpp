// SPDX-License-Identifier: MIT
// What `npuenc bench npu` measures: calls of the library on an NPU, what they cost the host, and
// whether their results are right.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "bare_products.hpp"
#include "library.hpp"

namespace npuenc {

// One warm-up, then up to ten runs, no new one after a second.
struct NpuMeasurement {
    uint32_t n_runs = 0;
    npuenc_stats cost{};        // of the run that took the host least
    uint64_t cpu_operators = 0; // ns of that run in operators that the CPU ran
};

// What the host did for the NPU.
uint64_t host_ns(const npuenc_stats& cost);

struct NpuProductType {
    const char* name;
    int32_t operand_type, result_type;
};

// An exact power of two, as the overlay for int8 results wants it.
constexpr uint32_t s8_result_shift = 11;

// c = a b of size x size matrices as one call. Failure if a single element is wrong.
NpuMeasurement measure_batched_product(const Context& context, const NpuProductType& type,
                                       uint32_t size);

// Self-attention of `length` positions in heads of 64 dimensions. The scales of int8 are such that
// 64 positions are the array's fused kernel.
NpuMeasurement measure_attention(const Context& context, int32_t type, uint32_t n_head,
                                 uint32_t length);

// One window of the model, and what the array multiplied for it.
NpuMeasurement measure_window(const Context& context, const Model& model,
                              const std::vector<float>& pcm, std::vector<ProductChain>& chains);

} // namespace npuenc
