// SPDX-License-Identifier: MIT
#include "device/choice.hpp"

#include "error.hpp"

namespace npuenc {
namespace {

void add_line(std::string& text, const std::string& line) {
    if (!text.empty())
        text += '\n';
    text += line;
}

std::string device_label(const DeviceDescription& device) {
    std::string label = device_type_name(device.type);
    label += ' ' + std::to_string(device.index);
    if (!device.bus_address.empty())
        label += " at " + device.bus_address;
    return label;
}

Choice open_named(const Driver& driver, uint32_t index, unsigned n_threads) {
    const std::vector<DeviceDescription> devices = driver.list();
    if (index >= devices.size()) {
        if (devices.empty())
            fail(NPUENC_E_NOT_FOUND, "no %s: %s", device_type_name(driver.type()),
                 driver.absence().c_str());
        fail(NPUENC_E_NOT_FOUND, "no %s with index %u: there are %zu",
             device_type_name(driver.type()), index, devices.size());
    }
    Choice choice;
    choice.description = devices[index];
    choice.device = driver.open(choice.description, n_threads);
    return choice;
}

Choice open_first_usable(std::span<const Driver* const> drivers, unsigned n_threads) {
    Choice choice;
    for (const Driver* driver : drivers) {
        const std::vector<DeviceDescription> devices = driver->list();
        if (devices.empty())
            add_line(choice.reason, std::string("no ") + device_type_name(driver->type()) + ": " +
                                        driver->absence());
        for (const DeviceDescription& device : devices) {
            try {
                choice.device = driver->open(device, n_threads);
                choice.description = device;
                choice.fell_back = driver != drivers.front();
                return choice;
            } catch (const Error& error) {
                // The CPU is the last resort: what keeps it from opening is the caller's answer.
                if (driver == drivers.back())
                    throw;
                add_line(choice.reason, device_label(device) + " not used: " + error.what());
            }
        }
    }
    fail(NPUENC_E_NOT_FOUND, "no usable device: %s", choice.reason.c_str());
}

} // namespace

const char* device_type_name(npuenc_device_type type) {
    return type == NPUENC_DEVICE_NPU ? "NPU" : "CPU";
}

Choice choose_device(std::span<const Driver* const> drivers, npuenc_device_type type,
                     uint32_t index, unsigned n_threads) {
    if (type == NPUENC_DEVICE_AUTO)
        return open_first_usable(drivers, n_threads);
    for (const Driver* driver : drivers)
        if (driver->type() == type)
            return open_named(*driver, index, n_threads);
    fail(NPUENC_E_NOT_FOUND, "no driver for device type %d", type);
}

} // namespace npuenc
