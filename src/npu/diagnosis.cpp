// SPDX-License-Identifier: MIT
#include "npu/diagnosis.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <system_error>

#include "error.hpp"
#include "npu/module.hpp"
#include "npu/overlay_catalog.hpp"

namespace npuenc {
namespace {

// XRT locks the device's heap of 64 MiB in memory (amdxdna, npu1_regs.c, dev_mem_size; xdna-driver,
// src/shim/buffer.cpp: MAP_LOCKED), and then every buffer.
constexpr rlim_t heap_bytes = 64 << 20;

constexpr const char* iommu_cure =
    "enable the IOMMU (AMD-Vi) in the machine's setup, and boot without amd_iommu=off";

using Findings = std::vector<Finding>;

bool exists(const std::string& path) {
    return access(path.c_str(), F_OK) == 0;
}

// Why amdxdna, which is loaded, has refused the device: its probe needs firmware of a protocol that
// it knows (aie.c, aie_check_protocol) and, where memory is shared by address, an IOMMU
// (iommu_dev_enable_feature with IOMMU_DEV_FEAT_SVA in aie2_pci.c, aie2_init, of Linux 6.14).
Finding refused_device(const PciNpu& npu) {
    if (!npu.behind_iommu)
        return {Severity::error, "the driver amdxdna needs an IOMMU, and there is none",
                iommu_cure};
    return {
        Severity::error,
        "the driver amdxdna has refused it, mostly for firmware that is missing or not of its age",
        "update linux-firmware (amdnpu/1502_00) and the kernel; `dmesg | grep amdxdna` says why"};
}

std::optional<Finding> driver_problem(const PciNpu& npu, const std::string& root) {
    if (npu.driver == npu_driver_name)
        return {};
    if (!npu.driver.empty())
        return Finding{Severity::error, "it is bound to the driver " + npu.driver,
                       "bind it to amdxdna"};
    if (exists(root + "/sys/module/amdxdna"))
        return refused_device(npu);
    const std::string release = first_word(root + "/proc/sys/kernel/osrelease");
    return Finding{Severity::error,
                   "there is no kernel driver for it" +
                       (release.empty() ? "" : " (this is Linux " + release + ')'),
                   "load the module amdxdna, which Linux has from 6.14 on"};
}

std::optional<Finding> node_problem(const PciNpu& npu, const std::string& root) {
    if (npu.node.empty())
        return Finding{Severity::error, "its driver has made no device node",
                       "reload amdxdna; `dmesg | grep amdxdna` says why"};
    const std::string node = "/dev/accel/" + npu.node;
    if (access((root + node).c_str(), R_OK | W_OK) == 0)
        return {};
    if (errno == EACCES)
        return Finding{Severity::error, "no permission to open " + node,
                       "add the user to the group that owns it, mostly render "
                       "(usermod -aG render USER), and log in again"};
    return Finding{Severity::error, node + ": " + std::generic_category().message(errno),
                   "let udev make it, or hand it to the container (--device=" + node + ")"};
}

// Whether the kernel lets this process lock as much memory as it likes.
bool may_lock_everything(const std::string& root) {
    constexpr unsigned cap_ipc_lock = 14; // linux/capability.h
    std::ifstream status(root + "/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("CapEff:"))
            return std::strtoull(line.c_str() + std::strlen("CapEff:"), nullptr, 16) >>
                       cap_ipc_lock &
                   1;
    return geteuid() == 0;
}

std::optional<Finding> limit_problem(const std::string& root) {
    rlimit limit;
    if (may_lock_everything(root) || getrlimit(RLIMIT_MEMLOCK, &limit) != 0 ||
        limit.rlim_cur >= heap_bytes)
        return {};
    return Finding{Severity::error,
                   "this process may lock " + std::to_string(limit.rlim_cur >> 10) +
                       " KiB of memory (ulimit -l), and an NPU's heap alone takes 65536",
                   "put \"* - memlock unlimited\" into /etc/security/limits.d/npu.conf, for "
                   "services LimitMEMLOCK=infinity, and log in again"};
}

// A driver that is bound has checked the firmware's protocol, 5.7 or later (amdxdna, npu1_regs.c,
// npu1_fw_feature_table), which its version does not tell. So no version is an error by itself.
Finding firmware_finding(const std::string& version) {
    // The one that linux-firmware had when Linux got the driver: npu.sbin.1.5.2.380 in
    // amdnpu/1502_00.
    constexpr std::array<unsigned, 4> first = {1, 5, 2, 380};
    std::array<unsigned, 4> parts;
    if (std::sscanf(version.c_str(), "%u.%u.%u.%u", &parts[0], &parts[1], &parts[2], &parts[3]) !=
        4)
        return {Severity::note, "firmware of unknown version", {}};
    if (parts < first)
        return {Severity::warning, "firmware " + version + " is older than 1.5.2.380",
                "update linux-firmware"};
    return {Severity::note, "firmware " + version, {}};
}

Findings runtime_of(const Module& module) {
    Findings findings;
    const std::vector<npuenc_module_device> devices = module.devices();
    if (!devices.empty() && devices[0].runtime[0])
        findings.push_back({Severity::note, devices[0].runtime, {}});
    for (const npuenc_module_device& device : devices)
        if (device.status != NPUENC_OK)
            findings.push_back({Severity::error,
                                "XRT cannot use the NPU at " + std::string(device.bus_address) +
                                    ": " + device.reason,
                                {}});
    return findings;
}

} // namespace

std::string sentence(const Finding& finding) {
    return finding.cure.empty() ? finding.text : finding.text + ": " + finding.cure;
}

std::vector<Finding> diagnose_npu(const PciNpu& npu, const std::string& root) {
    if (!npu.generation->supported)
        return {{Severity::error, "npuenc has no programs for this generation of NPUs", {}}};
    if (const auto problem = driver_problem(npu, root))
        return {*problem};
    Findings findings;
    if (const auto problem = node_problem(npu, root))
        findings.push_back(*problem);
    if (const auto problem = limit_problem(root))
        findings.push_back(*problem);
    // amdxdna, amdxdna_pci_drv.c, amdxdna_sva_init: opening the node fails with EINVAL then.
    if (!npu.behind_iommu)
        findings.push_back({Severity::warning,
                            "Linux shows no IOMMU for it, which amdxdna needs to share memory",
                            iommu_cure});
    findings.push_back(firmware_finding(npu.firmware));
    return findings;
}

std::vector<Finding> diagnose_runtime() {
    Findings findings;
    try {
        findings = runtime_of(Module::instance());
    } catch (const Error& error) {
        findings.push_back({Severity::error, error.what(), {}});
    }
    const OverlayCatalog overlays;
    for (const char* name : OverlayCatalog::names()) {
        try {
            findings.push_back({Severity::note, "overlay " + overlays.get(name).path, {}});
        } catch (const Error& error) {
            findings.push_back({Severity::error, error.what(), {}});
        }
    }
    return findings;
}

} // namespace npuenc
