// SPDX-License-Identifier: MIT
// A made-up system that has an NPU: what of /sys, /dev and /proc npuenc looks at.
#pragma once

#include "npu/diagnosis.hpp"
#include "npu/pci_npu.hpp"
#include "support.hpp"

namespace npuenc {

// A system with a Phoenix where nothing is wrong.
class System {
  public:
    System() {
        add(address, "0x1022", "0x1502");
        write_text(device() / "vbnv", "NPU Phoenix\n");
        write_text(device() / "fw_version", "1.5.5.391\n");
        std::filesystem::create_directories(device() / "accel/accel0");
        write_text(device() / "iommu/name", "ivhd0\n");
        bind("amdxdna");
        write_text(root / "sys/module/amdxdna/version", "0.1\n");
        write_text(root / "dev/accel/accel0", "");
        write_text(root / "proc/sys/kernel/osrelease", "6.14.2-1-amd64\n");
        capabilities("000001ffffffffff");
    }

    static constexpr const char* address = "0000:c5:00.1";

    path device() const { return root / "sys/bus/pci/devices" / address; }

    void add(const char* bus_address, const char* vendor, const char* id) const {
        const path other = root / "sys/bus/pci/devices" / bus_address;
        write_text(other / "vendor", std::string(vendor) + '\n');
        write_text(other / "device", std::string(id) + '\n');
    }

    void bind(const char* driver) const {
        std::filesystem::remove(device() / "driver");
        if (*driver)
            std::filesystem::create_symlink(path("../../../bus/pci/drivers") / driver,
                                            device() / "driver");
    }

    void capabilities(const char* effective) const {
        write_text(root / "proc/self/status",
                   std::string("Name:\tx\nCapPrm:\tffffffffffffffff\nCapEff:\t") + effective +
                       "\nCapBnd:\tffffffffffffffff\n");
    }

    void remove(const path& what) const { std::filesystem::remove_all(root / what); }

    std::vector<PciNpu> npus() const { return find_npus(root.string()); }
    std::vector<Finding> findings() const { return diagnose_npu(npus().at(0), root.string()); }

    const Directory root;
};

} // namespace npuenc
