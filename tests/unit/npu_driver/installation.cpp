// SPDX-License-Identifier: MIT
// A library of npuenc's that tells where it takes its files to be.
#include "npu/installation.hpp"

#include <cstring>
#include <string>

extern "C" __attribute__((visibility("default"))) void installed_overlays(char* text, size_t size) {
    std::strncpy(text, npuenc::installed_overlay_directory("npu1").c_str(), size - 1);
}
