// SPDX-License-Identifier: MIT
// The array of a kernel that runs on one core: messages in, messages out.
#pragma once

#include "kernels/aie2/array/floor_plan.hpp"

namespace npuenc::aie2 {

// Messages of one size, and where in the core's memory they lie in turn.
struct MessageBuffers {
    uint32_t bytes;
    std::vector<uint32_t> addresses;
    std::vector<Dimension> pattern; // how the DMA lays a message out; innermost first
};

// More of the core's memory.
struct WorkBuffer {
    std::string name;
    uint32_t address;
    uint32_t bytes;
    std::vector<uint8_t> contents; // when the array has been configured; may be empty
};

struct SingleCoreKernel {
    std::string name;
    Program program;
    MessageBuffers input;
    MessageBuffers output;
    std::vector<WorkBuffer> work;
};

FloorPlan lay_out_single_core(SingleCoreKernel kernel);

} // namespace npuenc::aie2
