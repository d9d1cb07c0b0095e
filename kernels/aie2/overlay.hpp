// SPDX-License-Identifier: MIT
// An overlay: what an xclbin configures the array to be, and what a host must know about it.
#pragma once

#include <string>
#include <vector>

#include "kernels/aie2/array/floor_plan.hpp"
#include "kernels/aie2/container/manifest.hpp"

namespace npuenc::aie2 {

struct Overlay {
    FloorPlan plan;
    Manifest manifest;
    size_t buffers; // arguments of the kernel
};

// Every overlay that npuenc installs. Throws ArrayError for a name that is not among them.
std::vector<std::string> overlay_names();
Overlay make_overlay(const std::string& name);

Overlay overlay_gemm_s8_s32();
Overlay overlay_gemm_s8_s8();
Overlay overlay_gemm_s8_s16();
Overlay overlay_gemm_bf16();
Overlay overlay_attention_s8_64x64();
Overlay overlay_matmul_s8_16x16();

// What is wrong with an overlay's floor plan or programs, a line each.
std::vector<std::string> find_faults(const Overlay& overlay);

// The xclbin of an overlay, always the same bytes. Throws ArrayError for one with faults, and
// ContainerError.
std::vector<uint8_t> write_overlay(const Overlay& overlay);

} // namespace npuenc::aie2
