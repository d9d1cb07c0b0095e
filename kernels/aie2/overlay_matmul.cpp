// SPDX-License-Identifier: MIT
// The overlay of the 16 x 16 product.
#include "kernels/aie2/matmul_s8_16x16.hpp"
#include "kernels/aie2/overlay.hpp"
#include "kernels/aie2/overlay_single_core.hpp"

namespace npuenc::aie2 {

Overlay overlay_matmul_s8_16x16() {
    using Core = MatmulS8;
    SingleCoreKernel kernel = single_core_kernel<Core>("matmul_s8_16x16", matmul_s8_16x16());
    std::vector<uint8_t> shift = matmul_s8_initial_data();
    const auto shift_bytes = static_cast<uint32_t>(shift.size());
    kernel.work.push_back({"shift", Core::shift_address, shift_bytes, std::move(shift)});

    const Manifest manifest{
        .name = kernel.name,
        .kernel = "matmul",
        .types = {{"a", "int8"}, {"b", "int8"}, {"c", "int8"}},
        .tile = {{"rows", Core::size}, {"columns", Core::size}, {"depth", Core::size}},
        .layout = {{"input_bytes", Core::input_bytes},
                   {"output_bytes", Core::output_bytes},
                   {"shift_row", first_core_row},
                   {"shift_address", Core::shift_address}},
    };
    return {lay_out_single_core(std::move(kernel)), manifest, 2};
}

} // namespace npuenc::aie2
