// SPDX-License-Identifier: MIT
// Every way in which npuenc-xrt.so cannot be had says what to do; afterwards it still can be.
#include "npu/module.hpp"

#include "npu/diagnosis.hpp"
#include "support.hpp"

using namespace npuenc;

namespace {

void assert_refused_at(const char* part, int line) {
    assert_error_at([] { Module::instance(); }, NPUENC_E_UNSUPPORTED, part, __FILE__, line);
    // The same among what a doctor would say, on one line.
    bool found = false;
    for (const Finding& finding : diagnose_runtime())
        found = found || (finding.severity == Severity::error &&
                          finding.text.find(part) != std::string::npos &&
                          finding.text.find('\n') == std::string::npos);
    if (!found)
        _fail(__FILE__, line);
}
#define assert_refused(part) assert_refused_at(part, __LINE__)

void a_module_that_is_not_there(void**) {
    assert_refused(NPUENC_LIBDIR "/npuenc/npuenc-xrt.so: No such file or directory: install "
                                 "npuenc-xrt, or name its directory in NPUENC_MODULE_PATH");
    const Directory empty;
    const Variable variable("NPUENC_MODULE_PATH", empty.string());
    assert_refused((empty.string() + "/npuenc-xrt.so: No such file or directory").c_str());
    const Variable below("NPUENC_MODULE_PATH", "/dev/null");
    assert_refused("/dev/null/npuenc-xrt.so: Not a directory: install npuenc-xrt");
}

void a_file_that_is_no_module(void**) {
    const Directory directory;
    const Variable variable("NPUENC_MODULE_PATH", directory.string());
    for (const std::string& text :
         {std::string(), std::string("hello, world"), std::string(10000, 'x'),
          std::string("\x7f"
                      "ELF")}) {
        write_text(directory / "npuenc-xrt.so", text);
        assert_refused("npuenc-xrt is damaged: reinstall it");
    }
    std::filesystem::remove(directory / "npuenc-xrt.so");
    std::filesystem::create_directory(directory / "npuenc-xrt.so");
    assert_refused("npuenc-xrt is damaged: reinstall it");
}

void a_module_without_its_xrt(void**) {
    {
        const Installed module("needs_xrt");
        assert_refused("XRT is missing: install XRT 2.25 or later");
        assert_refused("libxrt_of_a_test.so.2");
    }
    const Installed module("needs_new_xrt");
    assert_refused("XRT is too old for npuenc-xrt: install XRT 2.25 or later");
    assert_refused("xrt_of_next_year");
}

void a_module_for_a_newer_system(void**) {
    const Installed module("needs_new_library");
    assert_refused("the C or C++ library of this system is older than XRT or npuenc-xrt needs");
    assert_refused("version `GLIBCXX_9.9.99' not found");
}

void a_module_of_another_version(void**) {
    for (const char* name : {"other_version", "other_table", "no_table"}) {
        const Installed module(name);
        assert_refused((module.file().string() + " is of another version than libnpuenc: install "
                                                 "npuenc-xrt of version " NPUENC_VERSION)
                           .c_str());
    }
}

void xrt_without_devices(void**) {
    const Installed module("lists");
    const Variable variable("XCL_EMULATION_MODE", "sw_emu");
    assert_refused("XCL_EMULATION_MODE is set, with which XRT offers no NPU: unset it");
}

// Runs last: it stays loaded.
void a_good_module_is_loaded_once(void**) {
    const Module* module;
    {
        const Installed installed("lists");
        module = &Module::instance();
    }
    assert_ptr_equal(module, &Module::instance()); // the file has gone
    const std::vector<npuenc_module_device> devices = module->devices();
    assert_int_equal(devices.size(), 11);
    for (const npuenc_module_device& device : devices)
        assert_string_equal(device.runtime, "XRT 2.25.0");

    const std::vector<Finding> findings = diagnose_runtime();
    assert_true(findings[0].severity == Severity::note);
    assert_string_equal(findings[0].text.c_str(), "XRT 2.25.0");
    assert_true(findings[1].severity == Severity::error);
    assert_string_equal(findings[1].text.c_str(),
                        "XRT cannot use the NPU at 0000:0a:00.1: it was told so");

    const Variable variable("XCL_EMULATION_MODE", "");
    assert_refused("XCL_EMULATION_MODE is set");
}

void a_module_whose_list_fails(void**) {
    const Installed module("fails");
    assert_error(Module::instance().devices(), NPUENC_E_DEVICE, "it was told to fail");
    const Finding finding = diagnose_runtime()[0];
    assert_true(finding.severity == Severity::error);
    assert_string_equal(finding.text.c_str(), "it was told to fail");
}

} // namespace

// A process loads one module: "fails" is a process of its own.
int main(int argc, char** argv) {
    if (argc < 2)
        return 2;
    modules = argv[1];
    const CMUnitTest refusals[] = {
        cmocka_unit_test(a_module_that_is_not_there),
        cmocka_unit_test(a_file_that_is_no_module),
        cmocka_unit_test(a_module_without_its_xrt),
        cmocka_unit_test(a_module_for_a_newer_system),
        cmocka_unit_test(a_module_of_another_version),
        cmocka_unit_test(xrt_without_devices),
        cmocka_unit_test(a_good_module_is_loaded_once),
    };
    const CMUnitTest failure[] = {cmocka_unit_test(a_module_whose_list_fails)};
    return argc == 3 ? cmocka_run_group_tests(failure, nullptr, nullptr)
                     : cmocka_run_group_tests(refusals, nullptr, nullptr);
}
