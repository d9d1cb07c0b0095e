// SPDX-License-Identifier: MIT
#include "npu/gemm_tiling.hpp"

#include <algorithm>

#include "aligned_buffer.hpp"
#include "error.hpp"

namespace npuenc {
namespace {

// An overlay may be described by a file: only what packing knows is good.
void check_overlay(const GemmOverlay& overlay) {
    const auto is = [&](const GemmOverlay& known) {
        return overlay.operand_type == known.operand_type && overlay.result == known.result &&
               overlay.k_tile == known.k_tile && overlay.a_message == known.a_message &&
               overlay.b_header == known.b_header && overlay.b_message == known.b_message &&
               overlay.c_chunk == known.c_chunk;
    };
    if (is(gemm_bf16_gelu))
        return;
    for (const GemmOverlay* known : gemm_overlays)
        if (is(*known))
            return;
    fail(NPUENC_E_UNSUPPORTED, "%s: types or sizes of messages are not those npuenc knows",
         overlay.name);
}

} // namespace

GemmTiling::GemmTiling(const GemmOverlay& overlay, size_t m, size_t n, size_t k, Replayed replayed)
    : overlay_(overlay), replayed_(replayed), m_(m), n_(n), k_(k),
      m_groups_(ceil_div(m, output_group)), n_groups_(ceil_div(n, output_group)) {
    check_overlay(overlay);
    k_tiles_ = ceil_div(k, overlay.k_tile) + (is_next_a(overlay) ? 1 : 0);
    if (m == 0 || n == 0 || k == 0)
        fail(NPUENC_E_INVALID, "%s: a product of %zu x %zu x %zu (M x N x K) is empty",
             overlay.name, m, n, k);
    const size_t more = std::max(m_groups_, n_groups_);
    if (more > max_groups)
        fail(NPUENC_E_UNSUPPORTED, "%s: %s = %zu is above %zu", overlay.name,
             m_groups_ == more ? "M" : "N", m_groups_ == more ? m : n, max_groups * output_group);
    if (chain() > max_chain && replayed == Replayed::fewer)
        fail(NPUENC_E_UNSUPPORTED, "%s: M = %zu and N = %zu are both above %zu", overlay.name, m, n,
             max_chain * output_group);
    if (chain() > max_chain)
        fail(NPUENC_E_UNSUPPORTED, "%s: %s = %zu is above %zu", overlay.name,
             replays_a() ? "N" : "M", replays_a() ? n : m, max_chain * output_group);
    if (k_tiles_ > max_k_tiles)
        fail(NPUENC_E_UNSUPPORTED, "%s: K = %zu is above %zu", overlay.name, k,
             (max_k_tiles - (is_next_a(overlay) ? 1 : 0)) * overlay.k_tile);
}

GemmCost GemmTiling::cost() const {
    return {.submissions = 1,
            .synchronisations = 2,
            .pushes = pushes(),
            .operations = operations(),
            .bytes_to_device = a_bytes() + b_bytes(),
            .bytes_from_device = c_bytes()};
}

} // namespace npuenc
