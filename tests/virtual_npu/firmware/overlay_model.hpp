// SPDX-License-Identifier: MIT
// What an overlay of npuenc makes of the array, as functional mode has it: messages in at the
// shims, messages out, by its cores' arithmetic but without their cycles.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/aie2/container/cdo.hpp"
#include "tests/virtual_npu/firmware/shim.hpp"

namespace virtual_npu {

class OverlayModel {
  public:
    virtual ~OverlayModel() = default;

    virtual uint32_t columns() const = 0;

    // Moves and computes all that can be, until the array stands still. Throws Fault, and Hang if
    // `stop` was set.
    virtual void advance(std::span<const std::unique_ptr<Shim>> shims,
                         const std::atomic<bool>& stop) = 0;

    // The host's memory goes. What the array has taken from there, it has.
    virtual void end_run() = 0;

    // A word of the data memory of a core. Throws Fault where that is not a parameter of a run.
    virtual void write_data(uint32_t column, uint32_t row, uint32_t offset, uint32_t value) = 0;
};

// The overlay with this PDI. Throws Fault for any but those that npuenc builds.
std::unique_ptr<OverlayModel> make_overlay_model(std::span<const uint8_t> pdi);

} // namespace virtual_npu
