// SPDX-License-Identifier: MIT
#include "xrt/device.hpp"

#include <cerrno>
#include <map>
#include <mutex>

#include "xrt/buffer.hpp"
#include "xrt/context.hpp"
#include "xrt/device_list.hpp"

namespace npuenc::module {
namespace {

// Devices that are open, by bus address. Never destroyed: a thread may still use a device while the
// process exits.
struct OpenDevices {
    std::mutex mutex;
    std::map<std::string, std::weak_ptr<Device>> by_address;
};

OpenDevices& open_devices() {
    static auto* const devices = new OpenDevices;
    return *devices;
}

} // namespace

std::shared_ptr<Device> Device::open(const std::string& bus_address) {
    OpenDevices& devices = open_devices();
    const std::lock_guard lock(devices.mutex);
    std::weak_ptr<Device>& known = devices.by_address[bus_address];
    std::shared_ptr<Device> device = known.lock();
    if (!device || device->is_lost()) {
        device = std::make_shared<Device>(bus_address);
        known = device;
    }
    return device;
}

Device::Device(const std::string& bus_address)
    : bus_address_(bus_address), xrt_(open_npu(bus_address)), contexts_(*this),
      instruction_heap_(*this) {}

void Device::require() const {
    if (lost_)
        fail(NPUENC_E_CTX_LOST, "the NPU %s has gone: it was removed, or its driver unloaded",
             bus_address_.c_str());
}

bool Device::is_there() noexcept {
    if (lost_)
        return false;
    try {
        host_memory(xrt_, npuenc_module_alignment);
    } catch (const std::exception& failure) {
        // drm_ioctl.c, drm_ioctl, of a device that was unplugged.
        if (error_number(failure) == ENODEV)
            lost_ = true;
    }
    return !lost_;
}

void Device::refuse(const char* doing, npuenc_status otherwise, const std::exception& failure) {
    if (error_number(failure) == ENODEV && !is_there())
        require();
    // XRT locks in memory what it maps.
    fail(is_short_of_memory(failure) ? NPUENC_E_NOMEM : otherwise, "%s%s",
         words(doing, failure).c_str(),
         error_number(failure) == EAGAIN ? ". Is the limit of locked memory (ulimit -l) too small?"
                                         : "");
}

} // namespace npuenc::module
