// SPDX-License-Identifier: MIT
// A driver finds and opens the devices of one type.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <npuenc/npuenc.h>

#include "device/device.hpp"

namespace npuenc {

// As npuenc_device_info, whose fields of the same names say more.
struct DeviceDescription {
    npuenc_device_type type;
    uint32_t index = 0;
    npuenc_status status = NPUENC_OK;
    uint32_t n_cores = 0;
    uint32_t n_columns = 0;
    uint64_t memory_bytes = 0;
    std::string name;
    std::string isa;
    std::string bus_address;
    std::string driver;
    std::string firmware;
    std::string runtime;
    std::string reason; // why status is not OK, and the cure
};

struct OpenedDevice {
    std::unique_ptr<Device> device;
    DeviceDescription description;
};

class Driver {
  public:
    virtual ~Driver() = default;

    virtual npuenc_device_type type() const = 0;

    // Every device of the type, usable or not, by index; empty where there is none.
    virtual std::vector<DeviceDescription> list() const = 0;

    // In words for a person: why list() is empty.
    virtual std::string absence() const = 0;

    // Opens the device that list() describes so, with n_threads host threads (0: the default), or
    // throws Error with the status and the reason.
    virtual std::unique_ptr<Device> open(const DeviceDescription& description,
                                         unsigned n_threads) const = 0;
};

} // namespace npuenc
