// SPDX-License-Identifier: MIT
// A weight in the panels that the CPU's tile kernels read.
#pragma once

#include "cpu/gemm.hpp"
#include "cpu/team.hpp"
#include "device/device.hpp"

namespace npuenc {

inline const npuenc_gemm& gemm_for(const npuenc_kernels& kernels, npuenc_precision precision) {
    switch (precision) {
    case NPUENC_PRECISION_INT8:
        return kernels.gemm_s8;
    case NPUENC_PRECISION_BF16:
        return kernels.gemm_bf16;
    case NPUENC_PRECISION_BF16X2:
        return kernels.gemm_bf16x2;
    default:
        return kernels.gemm_f32;
    }
}

class PackedWeight final : public Weight {
  public:
    // Packs in parallel, a panel at a time: the only other memory is a panel's rows for each
    // thread. Int8 is symmetric with a scale for each row, absmax / 127; a row of zeros has the
    // scale 0.
    PackedWeight(const Device& owner, const npuenc_kernels& kernels, Team& team, size_t n_out,
                 size_t n_in, npuenc_precision precision, const RowReader& rows, const float* bias);
    PackedWeight(const Device& owner, const npuenc_kernels& kernels, Team& team, size_t n_out,
                 size_t n_in, const Int8Rows& rows, const float* bias);

    size_t bytes() const override {
        return panels_.bytes() + scales_.bytes() + bias_.bytes() + sizeof *this;
    }
    const Device& owner() const { return owner_; }
    Panels panels() const { return {static_cast<const char*>(panels_.data()), panel_stride_}; }
    const float* scales() const { return static_cast<const float*>(scales_.data()); } // of int8
    const float* bias() const { return static_cast<const float*>(bias_.data()); }     // may be null

  private:
    void allocate(const npuenc_gemm& gemm, const float* bias);
    template <class PackPanel>
    void for_each_panel(const npuenc_gemm& gemm, Team& team, const Scratch::Sizes& sizes,
                        PackPanel&& pack_panel);

    const Device& owner_;
    AlignedBuffer panels_, scales_, bias_;
    size_t panel_stride_ = 0;
};

} // namespace npuenc
