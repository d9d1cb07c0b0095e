// SPDX-License-Identifier: MIT
// What the device says of itself: a Phoenix with a firmware of 2025.
#pragma once

#include <cstdint>

struct amdxdna_drm_get_info;
struct drm_version;

namespace virtual_npu {

constexpr uint32_t array_columns = 5;
constexpr uint32_t core_rows = 4;

constexpr const char* product_name = "NPU Phoenix";
constexpr const char* firmware_version = "1.5.5.391";
constexpr const char* old_firmware_version = "1.0.0.63";

int describe_driver(drm_version& request);
int describe_device(amdxdna_drm_get_info& request, bool old_firmware, unsigned contexts);

} // namespace virtual_npu
