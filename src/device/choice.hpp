// SPDX-License-Identifier: MIT
// Which device a context opens, and why not a better one.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "device/driver.hpp"

namespace npuenc {

struct Choice {
    std::unique_ptr<Device> device;
    DeviceDescription description;
    bool fell_back = false; // AUTO took another type than the first driver's
    std::string reason;     // lines; see npuenc_ctx_reason
};

// Opens device `index` of a type, or with AUTO the first usable device of the first driver that has
// one. A type that was named is opened or an Error says why not: nothing else is tried.
Choice choose_device(std::span<const Driver* const> drivers, npuenc_device_type type,
                     uint32_t index, unsigned n_threads);

const char* device_type_name(npuenc_device_type type); // "CPU", "NPU"

} // namespace npuenc
