// SPDX-License-Identifier: MIT
// Weights into panels.
#include "cpu/packed_weight.hpp"

#include "error.hpp"

namespace npuenc {

void PackedWeight::allocate(const npuenc_gemm& gemm, const float* bias) {
    panel_stride_ = panel_stride(gemm, n_in());
    panels_ = AlignedBuffer(size_product(ceil_div(n_out(), gemm.nr), panel_stride_));
    if (precision() == NPUENC_PRECISION_INT8)
        scales_ = AlignedBuffer(size_product(n_out(), sizeof(float)));
    if (bias) {
        bias_ = AlignedBuffer(size_product(n_out(), sizeof(float)));
        std::copy_n(bias, n_out(), static_cast<float*>(bias_.data()));
    }
}

// pack_panel(first_row, rows, panel, scratch)
template <class PackPanel>
void PackedWeight::for_each_panel(const npuenc_gemm& gemm, Team& team, const Scratch::Sizes& sizes,
                                  PackPanel&& pack_panel) {
    auto* panels = static_cast<char*>(panels_.data());
    team.for_each(ceil_div(n_out(), gemm.nr), sizes, [&](size_t i, const Scratch& scratch) {
        const size_t first = i * gemm.nr;
        pack_panel(first, std::min<size_t>(gemm.nr, n_out() - first), panels + i * panel_stride_,
                   scratch);
    });
}

PackedWeight::PackedWeight(const Device& owner, const npuenc_kernels& kernels, Team& team,
                           size_t n_out, size_t n_in, npuenc_precision precision,
                           const RowReader& rows, const float* bias)
    : Weight(n_out, n_in, precision), owner_(owner) {
    Scratch::Sizes sizes;
    const auto need = [&](const npuenc_gemm& gemm, size_t narrow_size) {
        const size_t count = size_product(std::min<size_t>(gemm.nr, this->n_out()), this->n_in());
        sizes.need<float>(Scratch::staging, count);
        sizes.need<char>(Scratch::narrow, size_product(count, narrow_size));
    };
    const auto read = [&](size_t first, size_t count, const Scratch& scratch) {
        float* values = scratch.get<float>(Scratch::staging);
        rows(first, count, values);
        return values;
    };
    switch (precision) {
    case NPUENC_PRECISION_F32:
    case NPUENC_PRECISION_BF16X2: {
        const npuenc_gemm& gemm = gemm_for(kernels, precision);
        allocate(gemm, bias);
        need(gemm, 0);
        for_each_panel(gemm, team, sizes,
                       [&](size_t first, size_t count, char* panel, const Scratch& scratch) {
                           const float* values = read(first, count, scratch);
                           gemm.pack_b_rows(count, n_in, values, n_in, panel);
                       });
        break;
    }
    case NPUENC_PRECISION_BF16:
        allocate(kernels.gemm_bf16, bias);
        need(kernels.gemm_bf16, sizeof(uint16_t));
        for_each_panel(kernels.gemm_bf16, team, sizes,
                       [&](size_t first, size_t count, char* panel, const Scratch& scratch) {
                           const float* values = read(first, count, scratch);
                           auto* rounded = scratch.get<uint16_t>(Scratch::narrow);
                           kernels.convert.f32_to_bf16(count * n_in, values, rounded);
                           kernels.gemm_bf16.pack_b_rows(count, n_in, rounded, n_in, panel);
                       });
        break;
    case NPUENC_PRECISION_INT8:
        allocate(kernels.gemm_s8, bias);
        need(kernels.gemm_s8, sizeof(int8_t));
        for_each_panel(kernels.gemm_s8, team, sizes,
                       [&](size_t first, size_t count, char* panel, const Scratch& scratch) {
                           const float* values = read(first, count, scratch);
                           auto* scales = static_cast<float*>(scales_.data());
                           auto* rounded = scratch.get<int8_t>(Scratch::narrow);
                           for (size_t i = 0; i < count; ++i) {
                               scales[first + i] = kernels.rows.quantise_f32(
                                   1, n_in, values + i * n_in, 0, rounded + i * n_in);
                           }
                           kernels.gemm_s8.pack_b_rows(count, n_in, rounded, n_in, panel);
                       });
        break;
    case NPUENC_PRECISION_AUTO:
        fail(NPUENC_E_INTERNAL, "a weight to be packed in a precision that is not the CPU's");
    }
}

PackedWeight::PackedWeight(const Device& owner, const npuenc_kernels& kernels, Team& team,
                           size_t n_out, size_t n_in, const Int8Rows& rows, const float* bias)
    : Weight(n_out, n_in, NPUENC_PRECISION_INT8), owner_(owner) {
    allocate(kernels.gemm_s8, bias);
    std::copy_n(rows.scales, n_out, static_cast<float*>(scales_.data()));
    for_each_panel(
        kernels.gemm_s8, team, {}, [&](size_t first, size_t count, char* panel, const Scratch&) {
            kernels.gemm_s8.pack_b_rows(count, n_in, rows.values + first * rows.ld, rows.ld, panel);
        });
}

} // namespace npuenc
