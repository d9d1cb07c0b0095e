// SPDX-License-Identifier: MIT
// The firmware on npusim's array.
#pragma once

#include "tests/virtual_npu/firmware/firmware.hpp"
#include "tools/npusim/array.hpp"

namespace virtual_npu {

class SimulatedFirmware final : public Firmware {
  public:
    SimulatedFirmware();

    void load(std::span<const uint8_t> pdi) override;
    Work run(std::span<const uint8_t> stream, std::span<const Argument> arguments,
             const std::atomic<bool>& stop) override;

  private:
    npusim::Array array_;
    bool loaded_ = false;
};

} // namespace virtual_npu
