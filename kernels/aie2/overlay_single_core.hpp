// SPDX-License-Identifier: MIT
// The array of a kernel that runs on one core: messages in, messages out.
#pragma once

#include <string>
#include <utility>
#include <vector>

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

// What the constants of a kernel (AttentionS8, MatmulS8) say of its messages.
template <class Core>
SingleCoreKernel single_core_kernel(std::string name, Program program) {
    SingleCoreKernel kernel{
        std::move(name),
        std::move(program),
        {Core::input_bytes, {Core::input_address.begin(), Core::input_address.end()}, {}},
        {Core::output_bytes, {Core::output_address.begin(), Core::output_address.end()}, {}},
        {}};
    for (const auto& [size, step] : Core::input_pattern)
        kernel.input.pattern.push_back({size, step});
    for (const auto& [size, step] : Core::output_pattern)
        kernel.output.pattern.push_back({size, step});
    return kernel;
}

FloorPlan lay_out_single_core(SingleCoreKernel kernel);

} // namespace npuenc::aie2
