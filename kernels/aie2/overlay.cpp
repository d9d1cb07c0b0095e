// SPDX-License-Identifier: MIT
#include "kernels/aie2/overlay.hpp"

#include <algorithm>
#include <iterator>

#include "kernels/aie2/array/array_error.hpp"
#include "kernels/aie2/array/check_programs.hpp"
#include "kernels/aie2/array/configuration.hpp"
#include "kernels/aie2/array/validate.hpp"
#include "kernels/aie2/container/pdi.hpp"
#include "kernels/aie2/container/xclbin.hpp"

namespace npuenc::aie2 {
namespace {

struct Entry {
    const char* name;
    Overlay (*make)();
};

constexpr Entry entries[] = {
    {"gemm_s8_s32", overlay_gemm_s8_s32},
    {"gemm_s8_s8", overlay_gemm_s8_s8},
    {"gemm_s8_s16", overlay_gemm_s8_s16},
    {"gemm_bf16", overlay_gemm_bf16},
    {"attention_s8_64x64", overlay_attention_s8_64x64},
    {"matmul_s8_16x16", overlay_matmul_s8_16x16},
};

// Where public npu1 overlays may begin: the partition lies in columns 1 to 4 of the five.
std::vector<uint16_t> start_columns(int width) {
    std::vector<uint16_t> columns;
    for (int first = 1; first + width <= 1 + max_columns; ++first)
        columns.push_back(static_cast<uint16_t>(first));
    return columns;
}

} // namespace

std::vector<std::string> overlay_names() {
    std::vector<std::string> names;
    std::transform(std::begin(entries), std::end(entries), std::back_inserter(names),
                   [](const Entry& entry) { return entry.name; });
    return names;
}

Overlay make_overlay(const std::string& name) {
    for (const Entry& entry : entries) {
        if (name == entry.name)
            return entry.make();
    }
    throw ArrayError("there is no overlay " + name);
}

std::vector<std::string> find_faults(const Overlay& overlay) {
    std::vector<std::string> faults = find_faults(overlay.plan);
    const std::vector<std::string> findings = check_programs(overlay.plan);
    faults.insert(faults.end(), findings.begin(), findings.end());
    return faults;
}

std::vector<uint8_t> write_overlay(const Overlay& overlay) {
    const size_t n_faults = find_faults(overlay).size();
    if (n_faults > 0)
        throw ArrayError(overlay.plan.name() + " has " + std::to_string(n_faults) +
                         (n_faults == 1 ? " fault" : " faults"));
    const Kernel kernel = dpu_kernel(overlay.buffers);
    ArrayImage image;
    image.id = 1;
    image.kernels = {kernel.id};
    image.pdi = write_pdi(write_cdo(configure(overlay.plan)));
    Xclbin file;
    file.columns = static_cast<uint16_t>(overlay.plan.columns());
    file.start_columns = start_columns(overlay.plan.columns());
    file.images = {std::move(image)};
    file.kernels = {kernel};
    return write_xclbin(file);
}

} // namespace npuenc::aie2
