// SPDX-License-Identifier: MIT
// The array of a matrix product: 4 x 4 cores, each with one 64 x 64 tile of C.
#pragma once

#include "kernels/aie2/array/floor_plan.hpp"

namespace npuenc::aie2 {

// A and B tiles have 4096 bytes whatever the type, see README.md.
struct GemmKernel {
    std::string name;
    Program program;
    uint32_t c_bytes; // of the 64 x 64 result as it is sent to the host
};

FloorPlan lay_out_gemm(GemmKernel kernel);

} // namespace npuenc::aie2
