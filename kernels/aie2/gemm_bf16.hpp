// SPDX-License-Identifier: MIT
// bfloat16 matrix product with sums in f32: the program of a core.
#pragma once

#include "kernels/aie2/program/program.hpp"

namespace npuenc::aie2 {

Program gemm_bf16();

} // namespace npuenc::aie2
