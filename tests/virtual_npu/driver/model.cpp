// SPDX-License-Identifier: MIT
#include "model.hpp"

#include <drm/amdxdna_accel.h>
#include <drm/drm.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>

namespace virtual_npu {
namespace {

template <typename T>
int answer(amdxdna_drm_get_info& request, const T& value) {
    std::memcpy(reinterpret_cast<void*>(static_cast<uintptr_t>(request.buffer)), &value,
                std::min<size_t>(request.buffer_size, sizeof value));
    request.buffer_size = sizeof value;
    return 0;
}

amdxdna_drm_query_clock clock(std::string_view name, uint32_t megahertz) {
    amdxdna_drm_query_clock clock{};
    std::copy_n(name.data(), std::min(name.size(), sizeof clock.name - 1), clock.name);
    clock.freq_mhz = megahertz;
    return clock;
}

} // namespace

int describe_driver(drm_version& request) {
    constexpr std::string_view name = "amdxdna";
    if (request.name)
        std::memcpy(request.name, name.data(), std::min<size_t>(request.name_len, name.size()));
    request.version_major = 0;
    request.version_minor = 6;
    request.version_patchlevel = 0;
    request.name_len = name.size();
    request.date_len = request.desc_len = 0;
    return 0;
}

// aie2_pci.c, aie2_get_info. Clocks and operations are those of npu1_regs.c, npu1_dpm_clk_table.
int describe_device(amdxdna_drm_get_info& request, bool old_firmware, unsigned contexts) {
    switch (request.param) {
    case DRM_AMDXDNA_QUERY_AIE_METADATA: {
        amdxdna_drm_query_aie_metadata metadata{};
        metadata.col_size = 1 << 25;
        metadata.cols = array_columns;
        metadata.rows = 6;
        metadata.version = {2, 0};
        metadata.core = {core_rows, 2, 2, 16, 8, {}};
        metadata.mem = {1, 1, 6, 64, 16, {}};
        metadata.shim = {1, 0, 2, 16, 16, {}};
        return answer(request, metadata);
    }
    case DRM_AMDXDNA_QUERY_AIE_VERSION:
        return answer(request, amdxdna_drm_query_aie_version{2, 0});
    case DRM_AMDXDNA_QUERY_FIRMWARE_VERSION: {
        amdxdna_drm_query_firmware_version version{};
        std::sscanf(old_firmware ? old_firmware_version : firmware_version, "%u.%u.%u.%u",
                    &version.major, &version.minor, &version.patch, &version.build);
        return answer(request, version);
    }
    case DRM_AMDXDNA_QUERY_CLOCK_METADATA:
        return answer(request, amdxdna_drm_query_clock_metadata{clock("MP-NPU Clock", 400),
                                                                clock("H Clock", 800)});
    case DRM_AMDXDNA_GET_POWER_MODE:
        return answer(request, amdxdna_drm_get_power_mode{});
    case DRM_AMDXDNA_QUERY_RESOURCE_INFO: {
        amdxdna_drm_get_resource_info resources{};
        resources.npu_clk_max = 1600;
        resources.npu_tops_max = 2 * array_columns;
        resources.npu_task_max = 6;
        resources.npu_tops_curr = resources.npu_tops_max * 800 / 1028;
        resources.npu_task_curr = contexts;
        return answer(request, resources);
    }
    }
    return -EOPNOTSUPP;
}

} // namespace virtual_npu
