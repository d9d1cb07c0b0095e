// SPDX-License-Identifier: MIT
// bfloat16 matrix product with sums in f32: the program of a core. Results are the sums, or the low
// 16 bits of each, as the header of a tile of B says.
#pragma once

#include "kernels/aie2/program/program.hpp"

namespace npuenc::aie2 {

Program gemm_bf16();

} // namespace npuenc::aie2
