// SPDX-License-Identifier: MIT
#include "npu/npu_driver.hpp"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>

#include "error.hpp"

namespace npuenc {
namespace {

// By POSIX: directory iterators of std::filesystem can end the program when memory is short.

constexpr const char* pci_devices = "/sys/bus/pci/devices";
constexpr const char* amd_vendor = "0x1022";
constexpr const char* no_module = "this build of npuenc has no NPU module";

struct Generation {
    const char* pci_device;
    const char* name;
    const char* isa;
    uint32_t n_columns;
    uint32_t n_cores;
    bool supported;
};

// PCI identifiers: Linux, drivers/accel/amdxdna/amdxdna_pci_drv.c.
constexpr Generation generations[] = {
    {"0x1502", "AMD NPU (Phoenix, Hawk Point)", "npu1", 5, 20, true},
    {"0x17f0", "AMD NPU (Strix, Krackan)", "npu4", 8, 32, false},
};

// The first word of a small file; empty where it cannot be read.
std::string first_word(const std::string& path) {
    std::ifstream file(path);
    std::string word;
    file >> word;
    return word;
}

std::string driver_name(const std::string& device) {
    char link[512];
    const ssize_t length = readlink((device + "/driver").c_str(), link, sizeof link);
    const std::string target(link, length > 0 ? static_cast<size_t>(length) : 0);
    return target.substr(target.rfind('/') + 1);
}

} // namespace

std::vector<DeviceDescription> NpuDriver::list() const {
    std::vector<DeviceDescription> devices;
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(pci_devices), closedir);
    while (const dirent* entry = directory ? readdir(directory.get()) : nullptr) {
        const std::string path = std::string(pci_devices) + '/' + entry->d_name;
        if (entry->d_name[0] == '.' || first_word(path + "/vendor") != amd_vendor)
            continue;
        const std::string id = first_word(path + "/device");
        for (const Generation& generation : generations) {
            if (id != generation.pci_device)
                continue;
            DeviceDescription device;
            device.type = NPUENC_DEVICE_NPU;
            device.status = NPUENC_E_UNSUPPORTED;
            device.n_columns = generation.n_columns;
            device.n_cores = generation.n_cores;
            device.name = generation.name;
            device.isa = generation.isa;
            device.bus_address = entry->d_name;
            device.driver = driver_name(path);
            device.reason =
                generation.supported ? no_module : "npuenc has no programs for this generation";
            devices.push_back(std::move(device));
        }
    }
    std::sort(devices.begin(), devices.end(),
              [](const auto& a, const auto& b) { return a.bus_address < b.bus_address; });
    for (size_t i = 0; i < devices.size(); ++i)
        devices[i].index = static_cast<uint32_t>(i);
    return devices;
}

std::string NpuDriver::absence() const {
    if (access(pci_devices, F_OK) != 0)
        return std::string("the PCI bus cannot be seen (") + pci_devices + ")";
    return "the PCI bus has no AMD NPU";
}

std::unique_ptr<Device> NpuDriver::open(const DeviceDescription& description, unsigned) const {
    fail(description.status, "%s", description.reason.c_str());
}

} // namespace npuenc
