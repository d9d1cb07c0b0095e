// SPDX-License-Identifier: MIT
// The NPUs that XRT shows, and why it does not open one.
#pragma once

#include <string>
#include <vector>

#include <xrt/xrt_device.h>

#include "npu/module_interface.h"

namespace npuenc::module {

// Every NPU that has the driver, in the order of addresses, usable or not. Throws Error
// E_UNSUPPORTED where XRT cannot be used at all.
std::vector<npuenc_module_device> list_devices();

// Throws Error E_NOT_FOUND, or E_UNSUPPORTED with the cure.
::xrt::device open_npu(const std::string& bus_address);

} // namespace npuenc::module
