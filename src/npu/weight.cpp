// SPDX-License-Identifier: MIT
#include "npu/weight.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "error.hpp"
#include "npu/mlp_bounds.hpp"

namespace npuenc {
namespace {

npuenc_precision checked(npuenc_precision precision) {
    if (precision == NPUENC_PRECISION_F32)
        fail(NPUENC_E_UNSUPPORTED, "the NPU multiplies bf16 and int8, not f32");
    return precision;
}

// Of a strip, in the precision of the products.
struct Rows {
    const void* values;
    size_t ld;
};

// The least s for which sum / 2^s is within int16, whatever the row of x.
unsigned right_shift(const Rows& rows, size_t n_rows, size_t n) {
    constexpr int64_t largest_x = 127, largest_result = INT16_MAX;
    int64_t most = 0;
    for (size_t i = 0; i < n_rows; ++i) {
        const int8_t* row = static_cast<const int8_t*>(rows.values) + i * rows.ld;
        int64_t magnitudes = 0;
        for (size_t k = 0; k < n; ++k)
            magnitudes += std::abs(row[k]);
        most = std::max(most, magnitudes);
    }
    unsigned shift = 0;
    while (std::ldexp(static_cast<double>(largest_x * most), -static_cast<int>(shift)) >
           static_cast<double>(largest_result))
        ++shift;
    return shift;
}

} // namespace

void NpuWeight::allocate(const float* bias) {
    const bool int8 = precision() == NPUENC_PRECISION_INT8;
    if (int8)
        scales_ = AlignedBuffer(size_product(n_out(), sizeof(float)));
    if (int8 || sums_ == Sums::in_16_bits)
        scales_in_16_bits_ = AlignedBuffer(size_product(n_out(), sizeof(float)));
    if (bias || is_of_mlp())
        bias_ = AlignedBuffer(size_product(n_out(), sizeof(float)));
    if (bias)
        std::copy_n(bias, n_out(), bias_.as<float>());
    else if (is_of_mlp())
        std::fill_n(bias_.as<float>(), n_out(), 0.0f);
    if (sums_ == Sums::stay)
        for (size_t i = 0; i < n_out(); ++i)
            if (!mlp_bounds::takes_bias(bias_.as<float>()[i])) {
                bias_.as<float>()[i] = 0;
                beyond_bounds_ = true;
            }
}

void NpuWeight::keep_within_bounds(const npuenc_rows& kernels, size_t row, uint16_t* values) {
    const float scale = mlp_bounds::end_row(kernels, n_in(), values);
    std::fill(values + n_in(), values + depth(), uint16_t{0});
    if (scale == 1)
        return;
    if (sums_ == Sums::stay)
        beyond_bounds_ = true;
    else
        bias_.as<float>()[row] = scale;
}

// pack_strip(first row, count, memory of the thread for core_tile rows) returns Rows.
template <class PackStrip>
void NpuWeight::pack(const Owner& owner, size_t bytes_of_row, const PackStrip& pack_strip) {
    const Product of_weight = product(1, sums_ == Sums::in_16_bits); // of int8 the same for both
    buffer_ = owner.array.buffers().create(of_weight.b_bytes());
    const size_t scratch = round_up(size_product(core_tile, bytes_of_row), cache_line);
    const SharedMemory::Lease memory(owner.shared,
                                     size_product(owner.threads.n_threads(), scratch));
    owner.threads.for_each(of_weight.strips(), [&](size_t strip, unsigned thread) {
        const size_t first = std::min(strip * core_tile, n_out());
        const size_t count = std::min(core_tile, n_out() - first);
        const Rows rows = pack_strip(first, count, memory.data<char>() + thread * scratch);
        unsigned shift = 0;
        if (precision() == NPUENC_PRECISION_INT8) {
            shift = right_shift(rows, count, n_in());
            for (size_t i = first; i < first + count; ++i)
                scales_in_16_bits_.as<float>()[i] =
                    std::ldexp(scales_.as<float>()[i], static_cast<int>(shift));
        }
        of_weight.pack_b_strip(strip, rows.values, rows.ld, BLayout::n_by_k, shift, buffer_.data());
        if (sums_ == Sums::stay)
            of_weight.pack_gelu_tile(strip, bias() + first, buffer_.data());
    });
    if (sums_ == Sums::stay)
        bias_ = AlignedBuffer();
    buffer_.sync(npuenc_module_to_device, 0, buffer_.bytes(), owner.threads);
}

NpuWeight::NpuWeight(const Owner& owner, size_t n_out, size_t n_in, npuenc_precision precision,
                     const RowReader& rows, const float* bias, Sums sums)
    : Weight(n_out, n_in, checked(precision)), array_(owner.array),
      sums_(sums_of_bf16(precision, sums, n_in)) {
    allocate(bias);
    const size_t narrow_row =
        precision == NPUENC_PRECISION_INT8 ? n_in : size_product(depth(), sizeof(uint16_t));
    pack(owner, size_product(n_in, sizeof(float)) + narrow_row,
         [&](size_t first, size_t count, char* memory) {
             if (count > 0)
                 rows(first, count, reinterpret_cast<float*>(memory));
             char* narrow = memory + core_tile * n_in * sizeof(float);
             for (size_t i = 0; i < count; ++i) {
                 auto* values = reinterpret_cast<float*>(memory) + i * n_in;
                 char* to = narrow + i * narrow_row;
                 if (precision == NPUENC_PRECISION_INT8)
                     scales_.as<float>()[first + i] = owner.kernels.rows.quantise_f32(
                         1, n_in, values, 0, reinterpret_cast<int8_t*>(to));
                 else if (precision == NPUENC_PRECISION_BF16X2)
                     split_row(owner.kernels.convert, n_in, values, SplitSide::weight,
                               reinterpret_cast<uint16_t*>(to));
                 else
                     owner.kernels.convert.f32_to_bf16(n_in, values,
                                                       reinterpret_cast<uint16_t*>(to));
                 if (is_of_mlp())
                     keep_within_bounds(owner.kernels.rows, first + i,
                                        reinterpret_cast<uint16_t*>(to));
                 if (sums_ == Sums::in_16_bits)
                     scales_in_16_bits_.as<float>()[first + i] =
                         fixed_point::end_row(owner.kernels.rows, n_in, fixed_point::Side::weight,
                                              reinterpret_cast<uint16_t*>(to));
             }
             return Rows{narrow, depth()};
         });
}

NpuWeight::NpuWeight(const Owner& owner, size_t n_out, size_t n_in, const Int8Rows& rows,
                     const float* bias)
    : Weight(n_out, n_in, NPUENC_PRECISION_INT8), array_(owner.array), sums_(Sums::in_32_bits) {
    allocate(bias);
    std::copy_n(rows.scales, n_out, scales_.as<float>());
    pack(owner, 0, [&](size_t first, size_t, char*) {
        return Rows{rows.values + first * rows.ld, rows.ld};
    });
}

} // namespace npuenc
