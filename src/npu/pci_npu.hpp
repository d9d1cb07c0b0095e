// SPDX-License-Identifier: MIT
// The NPUs on the PCI bus, as Linux shows them, whatever their state.
//
// `root` goes before every path here and in diagnosis.hpp: empty, but for tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace npuenc {

struct NpuGeneration {
    const char* pci_device;
    const char* name;
    const char* isa;
    uint32_t n_columns;
    uint32_t n_cores;
    bool supported; // npuenc has programs for it
};

// Texts are empty where Linux does not say.
struct PciNpu {
    const NpuGeneration* generation; // static storage
    std::string bus_address;         // "0000:c5:00.1"
    std::string name;                // as the driver calls it
    std::string driver;              // that is bound to it: "amdxdna"
    std::string firmware;            // version
    std::string node;                // "accel0"
    bool behind_iommu = false;
};

constexpr const char* npu_driver_name = "amdxdna";

// By bus address.
std::vector<PciNpu> find_npus(const std::string& root = {});

// In words: why find_npus has found none.
std::string absence_of_npus(const std::string& root = {});

// The first word of a small file; empty where it cannot be read.
std::string first_word(const std::string& path);

} // namespace npuenc
