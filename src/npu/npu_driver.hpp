// SPDX-License-Identifier: MIT
// NPUs: those on the PCI bus, with what XRT says of them.
#pragma once

#include <string>
#include <utility>

#include "device/driver.hpp"

namespace npuenc {

class NpuDriver final : public Driver {
  public:
    // What the CPU does for an NPU is done by a device of `host`, which must outlive the driver.
    // `root` is that of pci_npu.hpp.
    explicit NpuDriver(const Driver& host, std::string root = {})
        : host_(host), root_(std::move(root)) {}

    npuenc_device_type type() const override { return NPUENC_DEVICE_NPU; }
    std::vector<DeviceDescription> list() const override;
    std::string absence() const override;

    // Runs the self-test, and refuses a device that fails it.
    std::unique_ptr<Device> open(const DeviceDescription& description,
                                 unsigned n_threads) const override;

  private:
    const Driver& host_;
    const std::string root_;
};

} // namespace npuenc
