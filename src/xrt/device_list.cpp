// SPDX-License-Identifier: MIT
#include "xrt/device_list.hpp"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <xrt/detail/version-slim.h>
#include <xrt/experimental/xrt_system.h>
#include <xrt/experimental/xrt_version.h>

#include "xrt/failure.hpp"

namespace npuenc::module {
namespace {

// Where XRT itself looks for devices (xdna-driver, src/shim/pcidrv.cpp), a link for each.
constexpr const char* driver_directory = "/sys/bus/pci/drivers/amdxdna";

// By POSIX: directory iterators of std::filesystem can end the program when memory is short.
std::vector<std::string> addresses_with_driver() {
    std::vector<std::string> addresses;
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(driver_directory), closedir);
    while (const dirent* entry = directory ? readdir(directory.get()) : nullptr) {
        unsigned domain, bus, device, function;
        if (std::sscanf(entry->d_name, "%x:%x:%x.%x", &domain, &bus, &device, &function) == 4)
            addresses.push_back(entry->d_name);
    }
    std::sort(addresses.begin(), addresses.end());
    return addresses;
}

// The process that opened a device first; 0: none has. XRT opens a device once for a process: a
// child would get its parent's descriptor, whose commands the driver runs on the parent's memory,
// and none of the parent's threads.
std::atomic<pid_t> first_user = 0;

std::string runtime_name() {
    return "XRT " + std::to_string(::xrt::version::major()) + '.' +
           std::to_string(::xrt::version::minor()) + '.' + std::to_string(::xrt::version::patch());
}

// Throws Error E_UNSUPPORTED where XRT would not show the machine's NPUs.
void require_xrt() {
    constexpr unsigned major = XRT_MAJOR(XRT_VERSION_CODE), minor = XRT_MINOR(XRT_VERSION_CODE);
    if (XRT_VERSION(::xrt::version::major(), ::xrt::version::minor()) < XRT_VERSION_CODE)
        fail(NPUENC_E_UNSUPPORTED,
             "%s is too old: npuenc was built with XRT %u.%u. Update libxrt2 and libxrt-npu2",
             runtime_name().c_str(), major, minor);
    // XRT reads it, whoever's program this is, and shows an emulated card in place of the machine's
    // devices.
    if (std::getenv("XCL_EMULATION_MODE"))
        fail(NPUENC_E_UNSUPPORTED, "XCL_EMULATION_MODE is set in the environment, with which XRT "
                                   "shows no NPU: unset it");
    const pid_t user = first_user;
    if (user != 0 && user != getpid())
        fail(NPUENC_E_UNSUPPORTED, "this process was forked from one that had opened an NPU, which "
                                   "XRT does not survive: start a new program for it");
}

// Why a device did not open, in words that say what to do.
[[noreturn]] void explain(const std::string& bus_address, const std::exception& failure) {
    const char* address = bus_address.c_str();
    switch (error_number(failure)) {
    case EACCES:
    case EPERM: {
        // "Open /dev/accel/accel0 failed (err=-13)"
        const char* path = std::strstr(failure.what(), "/dev/");
        const std::string node(path ? path : "its device node",
                               path ? std::strcspn(path, " :") : std::strlen("its device node"));
        fail(NPUENC_E_UNSUPPORTED,
             "no permission to open the NPU %s (%s): run `sudo usermod -aG render $USER` and log "
             "in again",
             address, node.c_str());
    }
    case EAGAIN:
        // XRT maps the device's heap of 64 MiB, locked (xdna-driver, src/shim/buffer.cpp).
        fail(NPUENC_E_UNSUPPORTED,
             "the NPU %s needs 64 MiB of locked memory and more for buffers: raise the limit "
             "(`ulimit -l unlimited`, or memlock in /etc/security/limits.d)",
             address);
    case ENOMEM:
        fail(NPUENC_E_NOMEM, "the NPU %s does not open: %s", address, failure.what());
    case ENODEV:
    case ENXIO:
    case ENOENT:
        fail(NPUENC_E_UNSUPPORTED,
             "the NPU %s does not open: %s. Was it removed or its driver unloaded?", address,
             failure.what());
    case EOPNOTSUPP:
        fail(NPUENC_E_UNSUPPORTED,
             "the NPU %s does not open: %s. Its driver is older than XRT: update the kernel",
             address, failure.what());
    default:
        fail(NPUENC_E_UNSUPPORTED, "the NPU %s does not open: %s", address, failure.what());
    }
}

// Whether XRT finds the device's directory in sysfs.
bool has_attributes(const ::xrt::device& device) {
    try {
        device.get_info<::xrt::info::device::name>();
        return true;
    } catch (const std::bad_alloc&) {
        throw;
    } catch (const std::exception&) {
        return false;
    }
}

// XRT keeps the path of the directory when a device does not open, and appends to it the next time
// (xdna-driver, src/shim/platform.cpp, platform_drv::drv_open); it forgets it when the device is
// closed. What opens with a wrong path is therefore closed and opened again.
::xrt::device open_with_attributes(const std::string& bus_address) {
    ::xrt::device device(bus_address);
    if (!has_attributes(device)) {
        device = {};
        device = ::xrt::device(bus_address);
    }
    return device;
}

::xrt::device open_known(const std::string& bus_address) {
    try {
        if (::xrt::system::enumerate_devices() == 0)
            fail(NPUENC_E_UNSUPPORTED,
                 "XRT does not see the NPU %s: its plugin is missing, install libxrt-npu2",
                 bus_address.c_str());
        return open_with_attributes(bus_address);
    } catch (const Error&) {
        throw;
    } catch (const std::bad_alloc&) {
        throw;
    } catch (const std::exception& failure) {
        explain(bus_address, failure);
    }
}

template <size_t capacity>
void copy_text(char (&to)[capacity], std::string text) {
    std::replace(text.begin(), text.end(), '\n', ' '); // XRT's words may be several lines
    std::snprintf(to, capacity, "%s", text.c_str());
}

std::string name_of(const ::xrt::device& device, const std::string& bus_address) {
    try {
        return device.get_info<::xrt::info::device::name>();
    } catch (const std::exception& failure) {
        explain(bus_address, failure);
    }
}

npuenc_module_device describe(const std::string& bus_address) {
    npuenc_module_device described = {};
    copy_text(described.bus_address, bus_address);
    copy_text(described.runtime, runtime_name());
    try {
        const ::xrt::device device = open_known(bus_address);
        copy_text(described.name, name_of(device, bus_address));
    } catch (const Error& error) {
        described.status = error.status();
        copy_text(described.reason, error.what());
    }
    return described;
}

} // namespace

std::vector<npuenc_module_device> list_devices() {
    require_xrt();
    std::vector<npuenc_module_device> devices;
    for (const std::string& address : addresses_with_driver())
        devices.push_back(describe(address));
    return devices;
}

::xrt::device open_npu(const std::string& bus_address) {
    require_xrt();
    first_user = getpid();
    const std::vector<std::string> known = addresses_with_driver();
    if (std::find(known.begin(), known.end(), bus_address) == known.end())
        fail(NPUENC_E_NOT_FOUND, "there is no NPU with a driver at %s", bus_address.c_str());
    return open_known(bus_address);
}

} // namespace npuenc::module
