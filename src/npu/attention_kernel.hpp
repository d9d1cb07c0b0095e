// SPDX-License-Identifier: MIT
// The array's own attention: int8, 64 positions, heads of 64.
#pragma once

#include <optional>

#include "device/device.hpp"
#include "kernels/aie2/attention_parameters.hpp"
#include "npu/array.hpp"

namespace npuenc {

// What the kernel has to be told, or nothing where it does not do such a call. It wants no mask,
// scores whose scale is in 2^-28..2^-6, and results whose scale is that of v times a power of two,
// 2^-4 to 2^15: in finer results the error of its softmax, which is made of tangents, would show.
std::optional<aie2::AttentionParameters> attention_kernel_parameters(const Attention& shape);

// A call that attention_kernel_parameters has parameters for.
void attend_by_kernel(Array& array, Parallel& threads, const Attention& shape,
                      const aie2::AttentionParameters& parameters, const void* q, const void* k,
                      const void* v, void* out, Stats& stats);

} // namespace npuenc
