// SPDX-License-Identifier: MIT
// What is wrong with an NPU's set-up, found in made-up /sys, /dev and /proc.
#include "npu/diagnosis.hpp"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "system.hpp"

using namespace npuenc;

namespace {

constexpr const char* device_path = "sys/bus/pci/devices/0000:c5:00.1";

// The findings of one severity as text, "; " between them.
std::string texts(const std::vector<Finding>& findings, Severity severity) {
    std::string text;
    for (const Finding& finding : findings)
        if (finding.severity == severity)
            text += (text.empty() ? "" : "; ") + sentence(finding);
    return text;
}

void assert_error_says_at(const System& system, const std::string& text, int line) {
    const std::string found = texts(system.findings(), Severity::error);
    if (found != text) {
        print_error("\"%s\"; expected \"%s\"\n", found.c_str(), text.c_str());
        _fail(__FILE__, line);
    }
}
#define assert_error_says(system, text) assert_error_says_at(system, text, __LINE__)

void a_system_where_nothing_is_wrong(void**) {
    const System system;
    const std::vector<PciNpu> npus = system.npus();
    assert_int_equal(npus.size(), 1);
    assert_string_equal(npus[0].bus_address.c_str(), System::address);
    assert_string_equal(npus[0].name.c_str(), "NPU Phoenix");
    assert_string_equal(npus[0].driver.c_str(), "amdxdna");
    assert_string_equal(npus[0].firmware.c_str(), "1.5.5.391");
    assert_string_equal(npus[0].node.c_str(), "accel0");
    assert_true(npus[0].behind_iommu);
    assert_string_equal(npus[0].generation->isa, "npu1");
    assert_error_says(system, "");
    assert_string_equal(texts(system.findings(), Severity::warning).c_str(), "");
    assert_string_equal(texts(system.findings(), Severity::note).c_str(), "firmware 1.5.5.391");
}

void several_devices_on_the_bus(void**) {
    const System system;
    system.add("0000:00:01.0", "0x8086", "0x1502");
    system.add("0001:01:00.1", "0x1022", "0x17f0");
    system.add("0000:00:02.0", "0x1022", "0x15e8");
    system.add("0000:01:00.1", "0x1022", "0x1502");
    const std::vector<PciNpu> npus = system.npus();
    assert_int_equal(npus.size(), 3);
    assert_string_equal(npus[0].bus_address.c_str(), "0000:01:00.1");
    assert_string_equal(npus[1].bus_address.c_str(), System::address);
    assert_string_equal(npus[2].bus_address.c_str(), "0001:01:00.1");
    assert_string_equal(texts(diagnose_npu(npus[2], system.root.string()), Severity::error).c_str(),
                        "npuenc has no programs for this generation of NPUs");
}

void no_npu_at_all(void**) {
    const System system;
    system.remove(device_path);
    assert_int_equal(system.npus().size(), 0);
    assert_string_equal(absence_of_npus(system.root.string()).c_str(),
                        "the PCI bus has no AMD NPU");
    system.remove("sys");
    assert_int_equal(system.npus().size(), 0);
    assert_non_null(
        std::strstr(absence_of_npus(system.root.string()).c_str(), "the PCI bus cannot be seen"));
}

void no_driver(void**) {
    const System system;
    system.bind("");
    system.remove("sys/module/amdxdna");
    assert_error_says(system, "there is no kernel driver for it (this is Linux 6.14.2-1-amd64): "
                              "load the module amdxdna, which Linux has from 6.14 on");
    system.remove("proc");
    assert_error_says(system, "there is no kernel driver for it: "
                              "load the module amdxdna, which Linux has from 6.14 on");
}

void another_driver(void**) {
    const System system;
    system.bind("vfio-pci");
    assert_error_says(system, "it is bound to the driver vfio-pci: bind it to amdxdna");
}

void a_driver_that_refuses_the_device(void**) {
    const System system;
    system.bind("");
    assert_error_says(system,
                      "the driver amdxdna has refused it, mostly for firmware that is missing or "
                      "not of its age: update linux-firmware (amdnpu/1502_00) and the kernel; "
                      "`dmesg | grep amdxdna` says why");
    std::filesystem::remove_all(system.device() / "iommu");
    assert_error_says(system, "the driver amdxdna needs an IOMMU, and there is none: enable the "
                              "IOMMU (AMD-Vi) in the machine's setup, and boot without "
                              "amd_iommu=off");
    system.bind("amdxdna");
    assert_error_says(system, "");
    assert_non_null(std::strstr(texts(system.findings(), Severity::warning).c_str(), "no IOMMU"));
}

void old_firmware(void**) {
    const System system;
    const auto says = [&](const char* version, Severity severity) {
        write_text(system.device() / "fw_version", version);
        return texts(system.findings(), severity);
    };
    const char* cure = ": update linux-firmware";
    for (const char* version : {"1.0.0.63", "1.5.2.379", "0.9.9.999"})
        assert_string_equal(
            says(version, Severity::warning).c_str(),
            (std::string("firmware ") + version + " is older than 1.5.2.380" + cure).c_str());
    for (const char* version : {"1.5.2.380", "1.5.10.1", "255.0.4.33"})
        assert_string_equal(says(version, Severity::warning).c_str(), "");
    for (const char* version : {"", "new", "1.5.2"})
        assert_string_equal(says(version, Severity::note).c_str(), "firmware of unknown version");
    assert_error_says(system, "");
}

void no_device_node(void**) {
    const System system;
    system.remove("dev");
    assert_error_says(system, "/dev/accel/accel0: No such file or directory: let udev make it, or "
                              "hand it to the container (--device=/dev/accel/accel0)");
    std::filesystem::remove_all(system.device() / "accel");
    assert_error_says(system, "its driver has made no device node: reload amdxdna; "
                              "`dmesg | grep amdxdna` says why");
}

// What `body` says as a user that has no rights; of root the kernel asks for none.
std::string as_nobody(const std::function<std::string()>& body) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        constexpr uid_t nobody = 65534;
        const std::string text =
            geteuid() == 0 && setuid(nobody) != 0 ? std::string("setuid failed") : body();
        _exit(write(ends[1], text.data(), text.size()) != static_cast<ssize_t>(text.size()));
    }
    close(ends[1]);
    std::string text(4096, '\0');
    const ssize_t n = read(ends[0], text.data(), text.size());
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    text.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return text;
}

void no_permission(void**) {
    const System system;
    assert_int_equal(chmod(system.root.string().c_str(), 0755), 0);
    assert_int_equal(chmod((system.root / "dev/accel/accel0").c_str(), 0), 0);
    const auto errors = [&] { return texts(system.findings(), Severity::error); };
    assert_string_equal(as_nobody(errors).c_str(),
                        "no permission to open /dev/accel/accel0: add the user to the group that "
                        "owns it, mostly render (usermod -aG render USER), and log in again");
    assert_int_equal(chmod((system.root / "dev/accel/accel0").c_str(), 0666), 0);
    assert_string_equal(as_nobody(errors).c_str(), "");
}

void little_memory_to_lock(void**) {
    const System system;
    rlimit before;
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &before), 0);
    rlimit limit = before;
    limit.rlim_cur = 32 << 10;
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
    assert_error_says(system, "");
    // All but CAP_IPC_LOCK.
    system.capabilities("000001ffffffbfff");
    const std::string said = texts(system.findings(), Severity::error);
    system.remove("proc");
    const std::string without_proc = texts(system.findings(), Severity::error);
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &before), 0);
    assert_string_equal(
        said.c_str(),
        "this process may lock 32 KiB of memory (ulimit -l), and an NPU's heap alone takes 65536: "
        "put \"* - memlock unlimited\" into /etc/security/limits.d/npu.conf, for services "
        "LimitMEMLOCK=infinity, and log in again");
    assert_int_equal(without_proc.empty(), geteuid() == 0);
}

void a_sentence_fits_where_the_abi_has_room(void**) {
    const System system;
    const auto check = [&] {
        for (const Finding& finding : system.findings())
            assert_true(sentence(finding).size() < sizeof(npuenc_device_info::reason));
    };
    system.capabilities("0");
    check();
    system.remove("dev");
    check();
    system.bind("");
    check();
    std::filesystem::remove_all(system.device() / "iommu");
    check();
    system.remove("sys/module");
    check();
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_system_where_nothing_is_wrong),
        cmocka_unit_test(several_devices_on_the_bus),
        cmocka_unit_test(no_npu_at_all),
        cmocka_unit_test(no_driver),
        cmocka_unit_test(another_driver),
        cmocka_unit_test(a_driver_that_refuses_the_device),
        cmocka_unit_test(old_firmware),
        cmocka_unit_test(no_device_node),
        cmocka_unit_test(no_permission),
        cmocka_unit_test(little_memory_to_lock),
        cmocka_unit_test(a_sentence_fits_where_the_abi_has_room),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
