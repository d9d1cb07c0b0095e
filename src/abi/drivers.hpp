// SPDX-License-Identifier: MIT
// The drivers of this build, best first: the order in which AUTO tries them.
#pragma once

#include <array>

#include "cpu/cpu_driver.hpp"
#include "npu/npu_driver.hpp"

namespace npuenc {

class Drivers {
  public:
    std::array<const Driver*, 2> by_preference() const { return {&npu_, &cpu_}; }

    // As npuenc_device_get numbers them: the CPU is always there and always first.
    std::vector<DeviceDescription> devices() const {
        std::vector<DeviceDescription> all = cpu_.list();
        for (DeviceDescription& npu : npu_.list())
            all.push_back(std::move(npu));
        return all;
    }

  private:
    CpuDriver cpu_;
    NpuDriver npu_{cpu_};
};

} // namespace npuenc
