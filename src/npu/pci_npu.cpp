// SPDX-License-Identifier: MIT
#include "npu/pci_npu.hpp"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string_view>
#include <utility>

namespace npuenc {
namespace {

// By POSIX: directory iterators of std::filesystem can end the program when memory is short.

constexpr const char* pci_devices = "/sys/bus/pci/devices";
constexpr const char* amd_vendor = "0x1022";

// PCI identifiers: Linux, drivers/accel/amdxdna/amdxdna_pci_drv.c.
constexpr NpuGeneration generations[] = {
    {"0x1502", "AMD NPU (Phoenix, Hawk Point)", "npu1", 5, 20, true},
    {"0x17f0", "AMD NPU (Strix, Krackan)", "npu4", 8, 32, false},
};

// Calls visit(name) for what is in a directory, in no order.
template <class Visit>
void for_each_entry(const std::string& path, const Visit& visit) {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(path.c_str()), closedir);
    while (const dirent* entry = directory ? readdir(directory.get()) : nullptr)
        if (entry->d_name[0] != '.')
            visit(entry->d_name);
}

const NpuGeneration* generation_of(const std::string& device) {
    if (first_word(device + "/vendor") != amd_vendor)
        return nullptr;
    const std::string id = first_word(device + "/device");
    for (const NpuGeneration& generation : generations)
        if (id == generation.pci_device)
            return &generation;
    return nullptr;
}

std::string driver_of(const std::string& device) {
    char link[512];
    const ssize_t length = readlink((device + "/driver").c_str(), link, sizeof link);
    const std::string target(link, length > 0 ? static_cast<size_t>(length) : 0);
    return target.substr(target.rfind('/') + 1);
}

std::string first_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

// The driver's node among those of the accel subsystem.
std::string node_of(const std::string& device) {
    std::string node;
    for_each_entry(device + "/accel", [&](const char* name) {
        if (std::string_view(name).starts_with("accel"))
            node = name;
    });
    return node;
}

// No generation: it is no NPU.
PciNpu read_npu(const std::string& device) {
    PciNpu npu;
    npu.generation = generation_of(device);
    if (!npu.generation)
        return npu;
    // amdxdna, amdxdna_sysfs.c, amdxdna_attrs
    npu.name = first_line(device + "/vbnv");
    npu.firmware = first_word(device + "/fw_version");
    npu.driver = driver_of(device);
    npu.node = node_of(device);
    npu.behind_iommu = access((device + "/iommu").c_str(), F_OK) == 0;
    return npu;
}

} // namespace

std::vector<PciNpu> find_npus(const std::string& root) {
    std::vector<PciNpu> npus;
    const std::string bus = root + pci_devices;
    for_each_entry(bus, [&](const char* bus_address) {
        PciNpu npu = read_npu(bus + '/' + bus_address);
        npu.bus_address = bus_address;
        if (npu.generation)
            npus.push_back(std::move(npu));
    });
    std::sort(npus.begin(), npus.end(),
              [](const PciNpu& a, const PciNpu& b) { return a.bus_address < b.bus_address; });
    return npus;
}

std::string absence_of_npus(const std::string& root) {
    if (access((root + pci_devices).c_str(), F_OK) != 0)
        return "the PCI bus cannot be seen (" + root + pci_devices + ")";
    return "the PCI bus has no AMD NPU";
}

std::string first_word(const std::string& path) {
    std::ifstream file(path);
    std::string word;
    file >> word;
    return word;
}

} // namespace npuenc
