// SPDX-License-Identifier: MIT
// Rows of x of a linear layer as the array's product takes them: normalised if asked, then in the
// weight's precision.
#pragma once

#include "device/device.hpp"
#include "device/shared_memory.hpp"
#include "kernels/cpu/kernels.h"
#include "npu/product.hpp"
#include "npu/weight.hpp"

namespace npuenc {

class LinearInput {
  public:
    // Everything that is given must outlive it.
    LinearInput(const npuenc_kernels& kernels, const NpuWeight& weight, const Linear& shape,
                const void* x);

    // For pack, of products of up to so many rows.
    size_t scratch_bytes(size_t most_rows, unsigned n_threads) const;

    // The rows of a product, of which the first is row `first` of the call, eight at a time while
    // they are in the L1 cache. Returns what results are to be multiplied with, row by row, in
    // scratch memory: where sums are integers, and of an MLP.
    float* pack(const Product& product, size_t first, Parallel& threads, char* scratch,
                char* packed) const;

  private:
    struct Band {
        const void* values;
        size_t ld;
    };
    Band band(size_t first, size_t count, char* scratch, float* scales) const;
    size_t narrow_row() const;
    size_t scratch_of_thread() const;
    bool is_bf16() const { return shape_.x_type == NPUENC_BF16 && !shape_.norm.weight; }
    const char* at(size_t row) const { return x_ + row * shape_.ldx * element_size(shape_.x_type); }
    const float* f32(size_t row, float* wide) const;

    const npuenc_kernels& kernels_;
    const Linear& shape_;
    const size_t n_, depth_;
    const npuenc_precision precision_;
    const Sums sums_;
    const char* const x_;
};

} // namespace npuenc
