// SPDX-License-Identifier: MIT
// A weight in the panels that the CPU's tile kernels read.
#pragma once

#include "cpu/gemm.hpp"
#include "device/device.hpp"

namespace npuenc {

class PackedWeight final : public Weight {
  public:
    // Packs in parallel, a panel at a time: the only other memory is a panel's rows for each
    // thread. Int8 is symmetric with a scale for each row, absmax / 127; a row of zeros has the
    // scale 0.
    PackedWeight(const Device& owner, const npuenc_kernels& kernels, Parallel& parallel,
                 Scratch* scratch, size_t n_out, size_t n_in, npuenc_precision precision,
                 const RowReader& rows, const float* bias);
    PackedWeight(const Device& owner, const npuenc_kernels& kernels, Parallel& parallel,
                 size_t n_out, size_t n_in, const Int8Rows& rows, const float* bias);

    size_t bytes() const override {
        return panels_.bytes() + scales_.bytes() + bias_.bytes() + sizeof *this;
    }
    const Device& owner() const { return owner_; }
    template <class Gemm>
    Panels<Gemm> panels() const {
        return {static_cast<const OperandOf<Gemm>*>(panels_.data()), panel_stride_};
    }
    const float* scales() const { return static_cast<const float*>(scales_.data()); }
    const float* bias() const { return static_cast<const float*>(bias_.data()); } // may be null

  private:
    template <class Gemm>
    void allocate(const Gemm& gemm, const float* bias);
    template <class Gemm, class PackPanel>
    void for_each_panel(const Gemm& gemm, Parallel& parallel, PackPanel&& pack_panel);

    const Device& owner_;
    AlignedBuffer panels_, scales_, bias_;
    size_t panel_stride_ = 0;
};

// 127 / absmax, what a symmetric int8 row is multiplied with; 0 for a row of zeros, among which is
// counted one too small for its reciprocal.
float int8_multiplier(float absmax);

} // namespace npuenc
