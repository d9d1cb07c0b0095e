// SPDX-License-Identifier: MIT
// The array of a matrix product: 4 x 4 cores, each with one 64 x 64 tile of C.
#pragma once

#include "kernels/aie2/array/floor_plan.hpp"

namespace npuenc::aie2 {

// A form in which the program sends a 64 x 64 result.
struct GemmResult {
    std::string name;
    int units; // of OUT
};

// A and B tiles have 4096 bytes whatever the type, see README.md.
struct GemmKernel {
    std::string name;
    Program program;
    uint32_t out_bytes; // OUT
    // The largest first: it takes all of OUT, whose units come one after the other.
    std::vector<GemmResult> results;
    struct {
        uint32_t address = 0, bytes = 0;
    } works_in = {}; // more of a core's memory, if it has any

    int out_units() const { return results.front().units; }
    uint32_t unit_bytes() const { return out_bytes / static_cast<uint32_t>(out_units()); }
};

FloorPlan lay_out_gemm(GemmKernel kernel);

} // namespace npuenc::aie2
