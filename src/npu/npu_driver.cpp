// SPDX-License-Identifier: MIT
#include "npu/npu_driver.hpp"

#include <algorithm>
#include <string_view>

#include "error.hpp"
#include "npu/diagnosis.hpp"
#include "npu/gemm_stream.hpp"
#include "npu/gemm_tiling.hpp"
#include "npu/module.hpp"
#include "npu/npu_device.hpp"
#include "npu/overlay_catalog.hpp"
#include "npu/pci_npu.hpp"
#include "npu/self_test.hpp"

namespace npuenc {
namespace {

// With its version, where it has one, and the kernel's.
std::string driver_text(const std::string& driver, const std::string& root) {
    if (driver.empty())
        return {};
    const std::string version = first_word(root + "/sys/module/" + driver + "/version");
    const std::string release = first_word(root + "/proc/sys/kernel/osrelease");
    return driver + (version.empty() ? "" : ' ' + version) +
           (release.empty() ? "" : " (Linux " + release + ')');
}

void refuse(DeviceDescription& device, npuenc_status status, const std::string& reason) {
    device.status = status;
    device.reason = reason;
}

// What Linux alone knows of it.
DeviceDescription describe(const PciNpu& npu, uint32_t index, const std::string& root) {
    DeviceDescription device;
    device.type = NPUENC_DEVICE_NPU;
    device.index = index;
    device.n_columns = npu.generation->n_columns;
    device.n_cores = npu.generation->n_cores;
    device.name = npu.name.empty() ? npu.generation->name : npu.name;
    device.isa = npu.generation->isa;
    device.bus_address = npu.bus_address;
    device.driver = driver_text(npu.driver, root);
    device.firmware = npu.firmware;
    const std::vector<Finding> findings = diagnose_npu(npu, root);
    const auto error = std::find_if(findings.begin(), findings.end(), [](const Finding& finding) {
        return finding.severity == Severity::error;
    });
    if (error != findings.end())
        refuse(device, NPUENC_E_UNSUPPORTED, sentence(*error));
    return device;
}

void take(std::string& text, const char* said) {
    if (*said)
        text = said;
}

// Adds what XRT knows of it.
void merge(DeviceDescription& device, const std::vector<npuenc_module_device>& known) {
    const auto found = std::find_if(known.begin(), known.end(), [&](const auto& each) {
        return std::string_view(each.bus_address) == device.bus_address;
    });
    if (found == known.end()) {
        refuse(device, NPUENC_E_UNSUPPORTED,
               "XRT does not see it: install XRT's driver for NPUs (on Debian libxrt-npu2)");
        return;
    }
    take(device.name, found->name);
    take(device.firmware, found->firmware);
    take(device.runtime, found->runtime);
    if (found->n_columns != 0)
        device.n_columns = found->n_columns;
    if (found->status != NPUENC_OK)
        refuse(device, static_cast<npuenc_status>(found->status), found->reason);
}

bool is_usable(const DeviceDescription& device) {
    return device.status == NPUENC_OK;
}

// Runs a step that all devices need; its failure is that of every device that is still usable.
// Without one it does not run: XRT stays unloaded on machines where no NPU could be driven.
template <class Step>
void need(std::vector<DeviceDescription>& devices, Step&& step) {
    if (std::none_of(devices.begin(), devices.end(), is_usable))
        return;
    try {
        step();
    } catch (const Error& error) {
        for (DeviceDescription& device : devices)
            if (is_usable(device))
                refuse(device, error.status(), error.what());
    }
}

void ask_module(std::vector<DeviceDescription>& devices) {
    const std::vector<npuenc_module_device> known = Module::instance().devices();
    for (DeviceDescription& device : devices)
        if (is_usable(device))
            merge(device, known);
}

// What NpuDevice runs on.
void ask_overlays() {
    const OverlayCatalog overlays;
    for (const GemmOverlay* gemm : gemm_overlays)
        overlays.get(gemm->name);
    overlays.get(attention_s8_64x64.name);
}

} // namespace

std::vector<DeviceDescription> NpuDriver::list() const {
    std::vector<DeviceDescription> devices;
    for (const PciNpu& npu : find_npus(root_))
        devices.push_back(describe(npu, static_cast<uint32_t>(devices.size()), root_));
    need(devices, [&] { ask_module(devices); });
    need(devices, ask_overlays);
    return devices;
}

std::string NpuDriver::absence() const {
    return absence_of_npus(root_);
}

std::unique_ptr<Device> NpuDriver::open(const DeviceDescription& description,
                                        unsigned n_threads) const {
    if (description.status != NPUENC_OK)
        throw Error(description.status, description.reason);
    auto device = std::make_unique<NpuDevice>(
        Session(Module::instance().functions(), description.bus_address), OverlayCatalog(),
        host_.open(host_.list().front(), n_threads), description.name);
    run_self_test(*device);
    return device;
}

} // namespace npuenc
