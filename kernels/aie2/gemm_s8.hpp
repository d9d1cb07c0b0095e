// SPDX-License-Identifier: MIT
// int8 matrix product: the program of a core.
#pragma once

#include "kernels/aie2/program/program.hpp"

namespace npuenc::aie2 {

enum class GemmS8Result {
    s32, // the sums
    s16, // the sums, shifted right, rounded to even and saturated
    s8,  // the same
};

Program gemm_s8(GemmS8Result result);

} // namespace npuenc::aie2
