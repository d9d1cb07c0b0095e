// SPDX-License-Identifier: MIT
// The CPU that the process runs on: one device, always there.
#pragma once

#include "device/driver.hpp"

namespace npuenc {

class CpuDriver final : public Driver {
  public:
    npuenc_device_type type() const override { return NPUENC_DEVICE_CPU; }
    std::vector<DeviceDescription> list() const override;
    std::string absence() const override { return "there is always a CPU"; }

    // Uses all instruction sets that the CPU has, or up to the one that NPUENC_ISA names.
    std::unique_ptr<Device> open(const DeviceDescription& description,
                                 unsigned n_threads) const override;
};

} // namespace npuenc
