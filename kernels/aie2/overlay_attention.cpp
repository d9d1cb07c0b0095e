// SPDX-License-Identifier: MIT
// The overlay of the fused 64 x 64 attention.
#include "kernels/aie2/attention_s8_64x64.hpp"
#include "kernels/aie2/overlay.hpp"
#include "kernels/aie2/overlay_single_core.hpp"

namespace npuenc::aie2 {

Overlay overlay_attention_s8_64x64() {
    using Core = AttentionS8;
    SingleCoreKernel kernel = single_core_kernel<Core>("attention_s8_64x64", attention_s8_64x64());
    kernel.work.push_back({"parameters", Core::initial_address,
                           Core::work_address - Core::initial_address,
                           attention_s8_initial_data()});
    kernel.work.push_back({"work", Core::work_address, Core::work_end - Core::work_address, {}});

    const Manifest manifest{
        .name = kernel.name,
        .kernel = "attention",
        .types = {{"q", "int8"}, {"k", "int8"}, {"v", "int8"}, {"out", "int8"}},
        .tile = {{"positions", Core::positions}, {"dimensions", Core::dimensions}},
        .layout = {{"input_bytes", Core::input_bytes},
                   {"output_bytes", Core::output_bytes},
                   {"parameters_row", first_core_row},
                   {"parameters_address", Core::parameters_address}},
    };
    return {lay_out_single_core(std::move(kernel)), manifest, 2};
}

} // namespace npuenc::aie2
