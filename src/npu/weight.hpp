// SPDX-License-Identifier: MIT
// A weight as the array reads it, packed once into a device buffer of its own.
#pragma once

#include "aligned_buffer.hpp"
#include "device/device.hpp"
#include "device/shared_memory.hpp"
#include "kernels/cpu/kernels.h"
#include "npu/array.hpp"
#include "npu/product.hpp"
#include "npu/split_row.hpp"

namespace npuenc {

// What multiplies rows with a weight of so many columns, and how deep it is.
inline const GemmOverlay& linear_overlay(npuenc_precision precision) {
    return precision == NPUENC_PRECISION_INT8 ? gemm_s8_s32 : gemm_bf16_f32;
}
inline size_t linear_depth(npuenc_precision precision, size_t n_in) {
    return precision == NPUENC_PRECISION_BF16X2 ? split_parts * n_in : n_in;
}

class NpuWeight final : public Weight {
  public:
    // What packing needs; `array` must outlive the weight.
    struct Owner {
        const npuenc_kernels& kernels;
        Array& array;
        Parallel& threads;
        SharedMemory& shared;
    };

    // bf16 rounded to nearest even, by itself or as the sum of two, or int8 as the CPU device
    // quantises it. Throws Error E_UNSUPPORTED for f32.
    NpuWeight(const Owner& owner, size_t n_out, size_t n_in, npuenc_precision precision,
              const RowReader& rows, const float* bias);
    NpuWeight(const Owner& owner, size_t n_out, size_t n_in, const Int8Rows& rows,
              const float* bias);

    size_t bytes() const override {
        return buffer_.bytes() + scales_.bytes() + bias_.bytes() + sizeof *this;
    }
    const Array& array() const { return array_; }
    size_t depth() const { return linear_depth(precision(), n_in()); }
    // rows x W^T.
    Product product(size_t rows) const {
        return {linear_overlay(precision()), rows, n_out(), depth(), Product::B::weight};
    }
    DevicePart packed() const { return {&buffer_, 0, buffer_.bytes()}; }
    const float* scales() const { return scales_.as<float>(); } // of int8, else null
    const float* bias() const { return bias_.as<float>(); }     // may be null

  private:
    void allocate(const float* bias);
    template <class PackStrip>
    void pack(const Owner& owner, size_t bytes_of_row, const PackStrip& pack_strip);

    const Array& array_;
    DeviceBuffer buffer_;
    AlignedBuffer scales_, bias_;
};

} // namespace npuenc
