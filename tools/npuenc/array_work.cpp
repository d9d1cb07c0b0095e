// SPDX-License-Identifier: MIT
#include "npu/gemm_packing.hpp"
#include "simulated_array.hpp"

namespace npuenc {
namespace {

std::vector<uint32_t> words_of(const InstructionStream& stream) {
    return {stream.words().begin(), stream.words().end()};
}

} // namespace

ArrayWork product_work(const GemmOverlay& overlay, size_t m, size_t n, size_t k) {
    const GemmTiling tiling(overlay, m, n, k);
    // Of zeros, but for the headers that go with the tiles of B.
    Serial thread;
    const std::vector<uint16_t> zeros(k * n); // wide enough for every type
    std::vector<uint8_t> b(tiling.b_bytes());
    pack_b(tiling, zeros.data(), n, BLayout::k_by_n, 0, b.data(), thread);

    ArrayWork work{overlay.name, words_of(gemm_stream(tiling)), {}};
    work.buffers.resize(3);
    work.buffers[gemm_a_argument].resize(tiling.a_bytes());
    work.buffers[gemm_b_argument] = std::move(b);
    work.buffers[gemm_c_argument].resize(tiling.c_bytes());
    return work;
}

ArrayWork one_to_one_work(const OneToOneOverlay& overlay, size_t count) {
    return {overlay.name,
            words_of(one_to_one_stream(overlay, count)),
            {std::vector<uint8_t>(count * overlay.input_bytes),
             std::vector<uint8_t>(count * overlay.output_bytes)}};
}

} // namespace npuenc
