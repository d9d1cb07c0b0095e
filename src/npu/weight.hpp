// SPDX-License-Identifier: MIT
// A weight as the array reads it, packed once into a device buffer of its own.
#pragma once

#include <atomic>

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
// A stayed operand ends with its groups of columns: those of the weight there are zeros.
inline size_t depth_of_stayed(size_t n_in) {
    return round_up(n_in, output_group);
}
// As they are: sums of bf16x2 have more bits than 16, and those of a weight that is cut along K are
// added up.
inline Sums sums_of_bf16(npuenc_precision precision, Sums asked, size_t n_in) {
    const bool too_deep = asked == Sums::in_16_bits &&
                          fixed_point::depth(n_in) > GemmTiling::max_k_tiles * gemm_bf16_s16.k_tile;
    return precision != NPUENC_PRECISION_BF16 || too_deep ? Sums::in_32_bits : asked;
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
    // quantises it. Throws Error E_UNSUPPORTED for f32, and for a weight of an MLP that is too
    // large for it.
    NpuWeight(const Owner& owner, size_t n_out, size_t n_in, npuenc_precision precision,
              const RowReader& rows, const float* bias, Sums sums);
    NpuWeight(const Owner& owner, size_t n_out, size_t n_in, const Int8Rows& rows,
              const float* bias);

    size_t bytes() const override {
        return buffer_.bytes() + scales_.bytes() + scales_in_16_bits_.bytes() + bias_.bytes() +
               sizeof *this;
    }
    const Array& array() const { return array_; }
    // Of bf16; in other precisions in_32_bits.
    Sums sums() const { return sums_; }
    bool is_of_mlp() const { return sums_ == Sums::stay || sums_ == Sums::of_stayed; }
    // Whether the sums of its product with rows of this shape come in 16 bits.
    bool in_16_bits(const Linear& shape) const {
        return precision() == NPUENC_PRECISION_INT8 ? int8_comes_in_16_bits(shape)
                                                    : sums_ == Sums::in_16_bits;
    }
    size_t depth() const {
        return sums_ == Sums::of_stayed
                   ? depth_of_stayed(n_in())
                   : linear_depth(precision(), sums_ == Sums::in_16_bits, n_in());
    }
    // rows x W^T.
    Product product(size_t rows, bool in_16_bits) const {
        const Product::B as = sums_ == Sums::stay        ? Product::B::first_of_chain
                              : sums_ == Sums::of_stayed ? Product::B::second_of_chain
                                                         : Product::B::weight;
        return {sums_ == Sums::stay ? gemm_bf16_gelu : linear_overlay(precision(), in_16_bits),
                rows, n_out(), depth(), as};
    }
    // Of Sums::stay: whether no result is a number, as mlp_bounds.hpp says.
    bool is_beyond_bounds() const { return beyond_bounds_; }
    DevicePart packed() const { return {&buffer_, 0, buffer_.bytes()}; }
    // What a unit of the product is worth, beside the row's scale; null where that is f32.
    const float* scales(bool in_16_bits) const {
        return (in_16_bits ? scales_in_16_bits_ : scales_).as<float>();
    }
    // May be null. That of Sums::stay is the array's.
    const float* bias() const { return bias_.as<float>(); }

  private:
    void allocate(const float* bias);
    void keep_within_bounds(const npuenc_rows& kernels, size_t row, uint16_t* values);
    template <class PackStrip>
    void pack(const Owner& owner, size_t bytes_of_row, const PackStrip& pack_strip);

    const Array& array_;
    const Sums sums_;
    std::atomic<bool> beyond_bounds_ = false;
    DeviceBuffer buffer_;
    AlignedBuffer scales_, scales_in_16_bits_, bias_;
};

} // namespace npuenc
