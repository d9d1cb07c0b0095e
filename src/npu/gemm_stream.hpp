// SPDX-License-Identifier: MIT
// The instruction streams of npuenc's overlays.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/aie2/attention_parameters.hpp"
#include "npu/gemm_tiling.hpp"
#include "npu/instruction_stream.hpp"

namespace npuenc {

// Buffer arguments of a product.
constexpr uint32_t gemm_a_argument = 0, gemm_b_argument = 1, gemm_c_argument = 2;

// With `before`, A is the results of that product as it leaves them; K then is all of their groups
// of columns, to the end of the last. Throws Error E_INVALID where A cannot be that.
InstructionStream gemm_stream(const GemmTiling& tiling, const GemmTiling* before = nullptr);

// An overlay whose one core takes problems from a channel and gives results to another.
struct OneToOneOverlay {
    const char* name;
    uint32_t input_bytes, output_bytes; // of one problem
};

inline constexpr OneToOneOverlay attention_s8_64x64{"attention_s8_64x64", 12288, 4096};
inline constexpr OneToOneOverlay matmul_s8_16x16{"matmul_s8_16x16", 512, 256};

// `count` problems, one after another in both buffers. Throws Error E_INVALID for none and
// E_UNSUPPORTED for more than a buffer of 2 GB holds.
InstructionStream one_to_one_stream(const OneToOneOverlay& overlay, size_t count,
                                    uint32_t input_argument = 0, uint32_t output_argument = 1);

// The same of attention_s8_64x64, which is told its scales before.
InstructionStream attention_stream(const aie2::AttentionParameters& parameters, size_t count);

} // namespace npuenc
