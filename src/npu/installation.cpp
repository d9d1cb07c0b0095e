// SPDX-License-Identifier: MIT
#include "npu/installation.hpp"

#include <dlfcn.h>
#include <stdlib.h>

#include <filesystem>
#include <optional>
#include <system_error>

namespace npuenc {
namespace {

using std::filesystem::path;

// As configured; an installation may have been moved as a whole.
const char* const configured_libdir = NPUENC_LIBDIR;
const char* const configured_datadir = NPUENC_DATADIR;

// The library that `address` is in, if it is npuenc's. A name that is not absolute, of a library
// that was loaded by such a name, means something else once the working directory has changed.
std::optional<path> library_of(const void* address) {
    Dl_info info;
    if (!address || !dladdr(address, &info) || !info.dli_fname)
        return {};
    const path library = info.dli_fname;
    if (!library.is_absolute() || !library.filename().native().starts_with("libnpuenc"))
        return {};
    return library;
}

// Of the library that this code is in; in a program that this code is linked into statically, as
// into npuenc's command, of the library that the program uses. A program that has none of
// libnpuenc.so has none of its files beside it. Where the loader came by a link to the directory,
// as /lib is one to usr/lib, other files are relative to where that leads.
path libdir() {
    std::optional<path> library = library_of(reinterpret_cast<const void*>(&trusted_variable));
    if (!library)
        library = library_of(dlsym(RTLD_DEFAULT, "npuenc_version"));
    if (!library)
        return configured_libdir;
    std::error_code error;
    const path directory = std::filesystem::canonical(library->parent_path(), error);
    return error ? library->parent_path() : directory;
}

} // namespace

const char* trusted_variable(const char* name) {
    const char* value = secure_getenv(name);
    return value && *value ? value : nullptr;
}

std::string installed_module_directory() {
    return libdir() / "npuenc";
}

std::string installed_overlay_directory(const char* generation) {
    const path from_libdir = path(configured_datadir).lexically_relative(configured_libdir);
    return (libdir() / from_libdir / "npuenc" / generation).lexically_normal();
}

} // namespace npuenc
