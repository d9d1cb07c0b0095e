// SPDX-License-Identifier: MIT
#include "tests/virtual_npu/firmware/overlay_model.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>

#include "kernels/aie2/container/bytes.hpp"
#include "kernels/aie2/container/sha256.hpp"
#include "tests/virtual_npu/firmware/firmware.hpp"
#include "tests/virtual_npu/firmware/gemm_model.hpp"
#include "tests/virtual_npu/firmware/single_core_model.hpp"
#include "tools/npusim/configuration.hpp"

namespace virtual_npu {
namespace {

// Made when npuenc is built, from the overlays that it builds: so functional mode needs neither
// their files where it runs nor the time to make them again.
struct Known {
    std::string_view name;
    std::array<uint8_t, 32> sha256; // of the PDI
};
constexpr Known known_overlays[] = {
#include "tests/virtual_npu/firmware/known_overlays.inc"
};

} // namespace

std::unique_ptr<OverlayModel> make_overlay_model(std::span<const uint8_t> pdi) {
    const auto known = std::ranges::find(known_overlays, npuenc::aie2::sha256(pdi), &Known::sha256);
    const std::string_view name = known == std::end(known_overlays) ? "" : known->name;
    if (name == "gemm_s8_s32")
        return std::make_unique<GemmModel>(GemmType::s8_s32);
    if (name == "gemm_s8_s16")
        return std::make_unique<GemmModel>(GemmType::s8_s16);
    if (name == "gemm_s8_s8")
        return std::make_unique<GemmModel>(GemmType::s8_s8);
    if (name == "gemm_bf16")
        return std::make_unique<GemmModel>(GemmType::bf16);
    if (name == "attention_s8_64x64")
        return std::make_unique<SingleCoreModel>(attention_program, npusim::read_pdi(pdi).commands);
    if (name == "matmul_s8_16x16")
        return std::make_unique<SingleCoreModel>(matmul_program, npusim::read_pdi(pdi).commands);
    throw Fault("functional mode does not know this overlay");
}

} // namespace virtual_npu
