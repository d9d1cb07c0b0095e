// SPDX-License-Identifier: MIT
// The firmware without an array: shims' transfers, and models of npuenc's own overlays.
//
// Data move only while the controller waits, so a stream that waits for too little finds its
// results missing.
#pragma once

#include <memory>
#include <vector>

#include "tests/virtual_npu/firmware/firmware.hpp"
#include "tests/virtual_npu/firmware/overlay_model.hpp"
#include "tools/npusim/instruction_stream.hpp"

namespace virtual_npu {

class FunctionalFirmware final : public Firmware {
  public:
    void load(std::span<const uint8_t> pdi) override;
    Work run(std::span<const uint8_t> stream, std::span<const Argument> arguments,
             const std::atomic<bool>& stop) override;

  private:
    // What the operations of one run need.
    struct Run {
        OverlayModel& overlay;
        npusim::HostBuffers& buffers;
        const std::atomic<bool>& stop;
        Work work;
    };

    void execute(const npusim::Operation& operation, Run& run);
    void write(uint32_t address, uint32_t value, Run& run);
    void write_shim(Shim& shim, uint32_t offset, uint32_t value, Run& run);
    void patch(const npusim::Operation& operation, Run& run);
    void sync(const npusim::Operation& operation, Run& run);
    bool take_tokens(const npusim::Operation& operation);
    Shim& shim_at(uint32_t address);

    std::unique_ptr<OverlayModel> overlay_; // null: nothing is loaded
    std::vector<std::unique_ptr<Shim>> shims_;
};

} // namespace virtual_npu
