// SPDX-License-Identifier: MIT
// What becomes of the sums of a linear layer: eight rows at a time go from the array's buffer to
// the caller's memory while they are in the L1 cache.
#pragma once

#include "device/device.hpp"
#include "kernels/cpu/kernels.h"
#include "npu/product.hpp"
#include "npu/weight.hpp"

namespace npuenc {

class LinearOutput {
  public:
    // The kernels and the weight must outlive it.
    LinearOutput(const npuenc_kernels& kernels, const NpuWeight& weight, const Linear& shape,
                 bool in_16_bits, void* y);

    // The rows of a product, of which the first is row `first` of the call. scales: of the
    // product's rows; where sums are f32, but of an MLP, there are none.
    void finish(const Product& product, const char* sums, size_t first, const float* scales,
                Parallel& threads) const;

  private:
    void finish_band(const Product& product, const char* sums, const CBand& band, size_t first,
                     const float* scales) const;

    const npuenc_kernels& kernels_;
    const bool integers_; // what the sums are
    const bool has_row_scales_;
    const npuenc_finish whole_;
};

} // namespace npuenc
