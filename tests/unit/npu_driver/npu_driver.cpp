// SPDX-License-Identifier: MIT
// What is listed of NPUs: what Linux knows, XRT's word where there is one, and why not.
#include "npu/npu_driver.hpp"

#include "cpu/cpu_driver.hpp"
#include "system.hpp"

using namespace npuenc;

namespace {

const CpuDriver cpu;
std::string built_overlays; // their directory

std::vector<DeviceDescription> list_on(const System& system) {
    return NpuDriver(cpu, system.root.string()).list();
}

void assert_reason_at(const DeviceDescription& device, npuenc_status status, const char* part,
                      int line) {
    if (device.status != status || !std::strstr(device.reason.c_str(), part)) {
        print_error("status %d, \"%s\"; expected %d and \"%s\"\n", device.status,
                    device.reason.c_str(), status, part);
        _fail(__FILE__, line);
    }
    // An unusable device does not open, with the same words.
    assert_error_at([&] { NpuDriver(cpu).open(device, 1); }, status, part, __FILE__, line);
}
#define assert_reason(device, status, part) assert_reason_at(device, status, part, __LINE__)

void a_system_without_npus(void**) {
    const System system;
    std::filesystem::remove_all(system.device());
    assert_int_equal(list_on(system).size(), 0);
    assert_string_equal(NpuDriver(cpu, system.root.string()).absence().c_str(),
                        "the PCI bus has no AMD NPU");
}

void what_linux_alone_knows(void**) {
    const System system;
    system.add("0000:01:00.1", "0x1022", "0x17f0");
    system.bind("");
    system.remove("sys/module");
    const std::vector<DeviceDescription> devices = list_on(system);
    assert_int_equal(devices.size(), 2);
    assert_string_equal(devices[0].name.c_str(), "AMD NPU (Strix, Krackan)");
    assert_string_equal(devices[0].isa.c_str(), "npu4");
    assert_int_equal(devices[0].index, 0);
    assert_reason(devices[0], NPUENC_E_UNSUPPORTED, "no programs for this generation");

    const DeviceDescription& phoenix = devices[1];
    assert_int_equal(phoenix.type, NPUENC_DEVICE_NPU);
    assert_int_equal(phoenix.index, 1);
    assert_string_equal(phoenix.name.c_str(), "NPU Phoenix");
    assert_string_equal(phoenix.isa.c_str(), "npu1");
    assert_string_equal(phoenix.bus_address.c_str(), System::address);
    assert_string_equal(phoenix.driver.c_str(), "");
    assert_string_equal(phoenix.firmware.c_str(), "1.5.5.391");
    assert_string_equal(phoenix.runtime.c_str(), "");
    assert_int_equal(phoenix.n_columns, 5);
    assert_int_equal(phoenix.n_cores, 20);
    assert_reason(phoenix, NPUENC_E_UNSUPPORTED, "there is no kernel driver for it");
}

void a_system_without_the_module(void**) {
    const System system;
    const std::vector<DeviceDescription> devices = list_on(system);
    assert_string_equal(devices[0].driver.c_str(), "amdxdna 0.1 (Linux 6.14.2-1-amd64)");
    assert_reason(devices[0], NPUENC_E_UNSUPPORTED, "npuenc-xrt.so: No such file or directory");
    const Variable variable("XCL_EMULATION_MODE", "sw_emu");
    assert_reason(list_on(system)[0], NPUENC_E_UNSUPPORTED, "XCL_EMULATION_MODE is set");
}

// What is said of a device that Linux finds nothing wrong with.
DeviceDescription device_at(const char* bus_address) {
    const System system;
    std::filesystem::rename(system.device(), system.device().parent_path() / bus_address);
    return list_on(system)[0];
}

void xrt_has_its_say(void**) {
    const Installed module("lists");
    const Variable overlays("NPUENC_OVERLAY_PATH", built_overlays);
    const DeviceDescription seen = device_at("0000:00:00.1");
    assert_int_equal(seen.status, NPUENC_OK);
    assert_string_equal(seen.reason.c_str(), "");
    assert_string_equal(seen.name.c_str(), "NPU of XRT");
    assert_string_equal(seen.firmware.c_str(), "1.5.5.400");
    assert_string_equal(seen.runtime.c_str(), "XRT 2.25.0");
    assert_int_equal(seen.n_columns, 4);

    const DeviceDescription silent = device_at("0000:01:00.1");
    assert_int_equal(silent.status, NPUENC_OK);
    assert_string_equal(silent.name.c_str(), "NPU Phoenix");
    assert_string_equal(silent.firmware.c_str(), "1.5.5.391");
    assert_string_equal(silent.runtime.c_str(), "XRT 2.25.0");
    assert_int_equal(silent.n_columns, 5);

    const DeviceDescription broken = device_at("0000:0a:00.1");
    assert_reason(broken, NPUENC_E_DEVICE, "it was told so");
    assert_string_equal(broken.runtime.c_str(), "XRT 2.25.0");

    const DeviceDescription unseen = device_at("0000:0b:00.1");
    assert_reason(unseen, NPUENC_E_UNSUPPORTED, "XRT does not see it");
}

void overlays_are_needed(void**) {
    const Installed module("lists");
    const Directory directory;
    const Variable overlays("NPUENC_OVERLAY_PATH", directory.string());
    assert_reason(device_at("0000:00:00.1"), NPUENC_E_UNSUPPORTED,
                  "overlay gemm_s8_s32 is not in ");
    for (const char* name :
         {"gemm_s8_s32", "gemm_s8_s16", "gemm_s8_s8", "gemm_bf16", "attention_s8_64x64"}) {
        assert_reason(device_at("0000:00:00.1"), NPUENC_E_UNSUPPORTED, name);
        for (const char* end : {".json", ".xclbin"})
            std::filesystem::copy(built_overlays / path(name).concat(end), directory);
    }
    assert_int_equal(device_at("0000:00:00.1").status, NPUENC_OK);
    write_text(directory / "gemm_s8_s8.xclbin", "");
    const DeviceDescription damaged = device_at("0000:00:00.1");
    assert_reason(damaged, NPUENC_E_UNSUPPORTED, "its sha256 is not the manifest's");
    assert_string_equal(damaged.runtime.c_str(), "XRT 2.25.0");
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 3)
        return 2;
    modules = argv[1];
    built_overlays = argv[2];
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_system_without_npus),       cmocka_unit_test(what_linux_alone_knows),
        cmocka_unit_test(a_system_without_the_module), cmocka_unit_test(xrt_has_its_say),
        cmocka_unit_test(overlays_are_needed),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
