// SPDX-License-Identifier: MIT
#include "npu/gemm_packing.hpp"
#include "npu/weight.hpp"
#include "simulated_array.hpp"

namespace npuenc {
namespace {

std::vector<uint32_t> words_of(const InstructionStream& stream) {
    return {stream.words().begin(), stream.words().end()};
}

// Of zeros, but for what tells the cores how.
ArrayWork work_of(const GemmTiling& tiling, const InstructionStream& stream) {
    Serial thread;
    const std::vector<uint16_t> zeros(tiling.k() * tiling.n()); // wide enough for every type
    std::vector<uint8_t> b(tiling.b_bytes());
    pack_b(tiling, zeros.data(), tiling.n(), BLayout::k_by_n, 0, b.data(), thread);
    for (size_t strip = 0; is_next_a(tiling.overlay()) && strip < b_strips(tiling); ++strip)
        pack_gelu_tile(tiling, strip, nullptr, b.data());

    ArrayWork work{tiling.overlay().name, words_of(stream), {}};
    work.buffers.resize(3);
    work.buffers[gemm_a_argument].resize(tiling.a_bytes());
    work.buffers[gemm_b_argument] = std::move(b);
    work.buffers[gemm_c_argument].resize(tiling.c_bytes());
    return work;
}

} // namespace

ArrayWork product_work(const GemmOverlay& overlay, size_t m, size_t n, size_t k) {
    const GemmTiling tiling(overlay, m, n, k);
    return work_of(tiling, gemm_stream(tiling));
}

std::vector<ArrayWork> mlp_work(size_t rows, size_t n_in, size_t n_hidden, size_t n_out) {
    const GemmTiling first(gemm_bf16_gelu, rows, n_hidden, n_in, GemmTiling::Replayed::b);
    const GemmTiling second(gemm_bf16_f32, rows, n_out, depth_of_stayed(n_hidden),
                            GemmTiling::Replayed::a);
    return {work_of(first, gemm_stream(first)), work_of(second, gemm_stream(second, &first))};
}

ArrayWork one_to_one_work(const OneToOneOverlay& overlay, size_t count) {
    return {overlay.name,
            words_of(one_to_one_stream(overlay, count)),
            {std::vector<uint8_t>(count * overlay.input_bytes),
             std::vector<uint8_t>(count * overlay.output_bytes)}};
}

} // namespace npuenc
