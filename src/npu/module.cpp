// SPDX-License-Identifier: MIT
#include "npu/module.hpp"

#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "error.hpp"
#include "npu/installation.hpp"

namespace npuenc {
namespace {

constexpr const char* file_name = "npuenc-xrt.so";

// With it set XRT offers emulated FPGAs in the place of devices: any of its values makes XRT fail
// or list a device that is none (XRT 2.25, src/runtime_src/core/common/module_loader.cpp).
constexpr const char* emulation_variable = "XCL_EMULATION_MODE";

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != text.npos;
}

// What to do about a module that the dynamic linker refuses, by what it says.
const char* load_failure(std::string_view said) {
    const bool missing = contains(said, "cannot open shared object file");
    if (missing && contains(said, "libxrt"))
        return "XRT is missing: install XRT 2.25 or later with its NPU driver "
               "(on Debian libxrt2 and libxrt-npu2)";
    if (missing)
        return "a library that XRT needs is missing: install it";
    if (contains(said, "version `GLIBC") || contains(said, "version `CXXABI"))
        return "the C or C++ library of this system is older than XRT or npuenc-xrt needs: "
               "install builds made for this system";
    if (contains(said, "undefined symbol"))
        return "XRT is too old for npuenc-xrt: install XRT 2.25 or later";
    return "npuenc-xrt is damaged: reinstall it";
}

std::string module_path() {
    const char* directory = trusted_variable("NPUENC_MODULE_PATH");
    return (directory ? std::string(directory) : installed_module_directory()) + '/' + file_name;
}

const npuenc_module& load_module() {
    const std::string path = module_path();
    if (access(path.c_str(), R_OK) != 0)
        fail(NPUENC_E_UNSUPPORTED, "%s: %s: %s", path.c_str(),
             std::generic_category().message(errno).c_str(),
             errno == ENOENT || errno == ENOTDIR ? "install npuenc-xrt, or name its directory in "
                                                   "NPUENC_MODULE_PATH"
                                                 : "npuenc-xrt has to be readable");

    // Closed again only where it is of no use: a later call may find another in its place.
    std::unique_ptr<void, int (*)(void*)> handle(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL),
                                                 dlclose);
    if (!handle) {
        const char* said = dlerror();
        const std::string detail = said ? said : "no reason was given";
        fail(NPUENC_E_UNSUPPORTED, "%s; %s", load_failure(detail), detail.c_str());
    }
    const auto get = reinterpret_cast<npuenc_module_get_fn>(dlsym(handle.get(), NPUENC_MODULE_GET));
    const npuenc_module* module = get ? get(NPUENC_MODULE_INTERFACE) : nullptr;
    if (!module || module->interface != NPUENC_MODULE_INTERFACE)
        fail(NPUENC_E_UNSUPPORTED,
             "%s is of another version than libnpuenc: install npuenc-xrt of version %d.%d.%d",
             path.c_str(), NPUENC_VERSION_MAJOR, NPUENC_VERSION_MINOR, NPUENC_VERSION_PATCH);
    (void)handle.release(); // loaded for good
    return *module;
}

} // namespace

const Module& Module::instance() {
    static constinit Module module;
    if (secure_getenv(emulation_variable))
        fail(NPUENC_E_UNSUPPORTED, "%s is set, with which XRT offers no NPU: unset it",
             emulation_variable);
    // No lock, which a fork could leave locked: threads that load at once load the same.
    if (!module.functions_.load(std::memory_order_acquire))
        module.functions_.store(&load_module(), std::memory_order_release);
    return module;
}

std::vector<npuenc_module_device> Module::devices() const {
    npuenc_module_failure failure{};
    std::vector<npuenc_module_device> devices;
    uint32_t count = 8; // of most machines more than enough
    do {
        devices.resize(count);
        const int32_t status = functions().list(
            devices.data(), static_cast<uint32_t>(devices.size()), &count, &failure);
        if (status != NPUENC_OK)
            throw Error(static_cast<npuenc_status>(status), failure.detail);
    } while (count > devices.size());
    devices.resize(count);
    return devices;
}

} // namespace npuenc
