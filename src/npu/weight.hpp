// SPDX-License-Identifier: MIT
// A weight as the array reads it, packed once into a device buffer of its own.
#pragma once

#include "aligned_buffer.hpp"
#include "device/device.hpp"
#include "device/shared_memory.hpp"
#include "device/split_row.hpp"
#include "kernels/cpu/kernels.h"
#include "npu/array.hpp"
#include "npu/fixed_point.hpp"
#include "npu/product.hpp"

namespace npuenc {

// Whether the sums of a linear layer in int8 come back in 16 bits, half of what the host has to
// read: where the result is bf16 or is added to the residual stream. Each is sum / 2^s, with the
// s for which no sum can leave int16, whatever the row of x, as the largest sum of magnitudes of 64
// rows of the weight says. That is off by at most 1/258 of the largest one; half of a row's own is
// how far rounding x to int8 may have moved its sum already.
inline bool int8_comes_in_16_bits(const Linear& shape) {
    return shape.y_type == NPUENC_BF16 || shape.addend;
}

// What multiplies rows with a weight of so many columns, and how deep it is.
inline const GemmOverlay& linear_overlay(npuenc_precision precision, bool in_16_bits) {
    if (precision == NPUENC_PRECISION_INT8)
        return in_16_bits ? gemm_s8_s16 : gemm_s8_s32;
    return in_16_bits ? gemm_bf16_s16 : gemm_bf16_f32;
}
inline size_t linear_depth(npuenc_precision precision, bool in_16_bits, size_t n_in) {
    if (precision == NPUENC_PRECISION_BF16X2)
        return split_parts * n_in;
    return precision == NPUENC_PRECISION_BF16 && in_16_bits ? fixed_point::depth(n_in) : n_in;
}
// Sums of bf16x2 have more bits than 16, and those of a weight that is cut along K are added up.
inline bool bf16_comes_in_16_bits(npuenc_precision precision, Sums sums, size_t n_in) {
    return precision == NPUENC_PRECISION_BF16 && sums == Sums::in_16_bits &&
           fixed_point::depth(n_in) <= GemmTiling::max_k_tiles * gemm_bf16_s16.k_tile;
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
              const RowReader& rows, const float* bias, Sums sums);
    NpuWeight(const Owner& owner, size_t n_out, size_t n_in, const Int8Rows& rows,
              const float* bias);

    size_t bytes() const override {
        return buffer_.bytes() + scales_.bytes() + scales_in_16_bits_.bytes() + bias_.bytes() +
               sizeof *this;
    }
    const Array& array() const { return array_; }
    // Whether the sums of its product with rows of this shape come in 16 bits.
    bool in_16_bits(const Linear& shape) const {
        return precision() == NPUENC_PRECISION_INT8 ? int8_comes_in_16_bits(shape)
                                                    : bf16_in_16_bits_;
    }
    size_t depth() const { return linear_depth(precision(), bf16_in_16_bits_, n_in()); }
    // rows x W^T.
    Product product(size_t rows, bool in_16_bits) const {
        return {linear_overlay(precision(), in_16_bits), rows, n_out(), depth(),
                Product::B::weight};
    }
    DevicePart packed() const { return {&buffer_, 0, buffer_.bytes()}; }
    // What a unit of the product is worth, beside the row's scale; null where that is f32.
    const float* scales(bool in_16_bits) const {
        return (in_16_bits ? scales_in_16_bits_ : scales_).as<float>();
    }
    const float* bias() const { return bias_.as<float>(); } // may be null

  private:
    void allocate(const float* bias);
    template <class PackStrip>
    void pack(const Owner& owner, size_t bytes_of_row, const PackStrip& pack_strip);

    const Array& array_;
    const bool bf16_in_16_bits_;
    DeviceBuffer buffer_;
    AlignedBuffer scales_, scales_in_16_bits_, bias_;
};

} // namespace npuenc
