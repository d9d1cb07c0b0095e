// SPDX-License-Identifier: MIT
// The functions of the C library that this library stands before.
#pragma once

#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>

namespace virtual_npu {

inline void* find_real(const char* name) {
    void* function = dlsym(RTLD_NEXT, name);
    if (!function) {
        dprintf(STDERR_FILENO, "virtual NPU: the C library has no %s\n", name);
        _exit(127);
    }
    return function;
}

} // namespace virtual_npu

// The next `name` after this library's own.
#define VIRTUAL_NPU_REAL(name)                                                                     \
    ([] {                                                                                          \
        static const auto function =                                                               \
            reinterpret_cast<decltype(&::name)>(virtual_npu::find_real(#name));                    \
        return function;                                                                           \
    }())
