// SPDX-License-Identifier: MIT
// Finds AMD NPUs on the PCI bus.
#pragma once

#include "device/driver.hpp"

namespace npuenc {

class NpuDriver final : public Driver {
  public:
    npuenc_device_type type() const override { return NPUENC_DEVICE_NPU; }
    std::vector<DeviceDescription> list() const override;
    std::string absence() const override;

    // This build has no module that drives an NPU: always E_UNSUPPORTED.
    std::unique_ptr<Device> open(const DeviceDescription& description,
                                 unsigned n_threads) const override;
};

} // namespace npuenc
