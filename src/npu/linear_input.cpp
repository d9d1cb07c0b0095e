// SPDX-License-Identifier: MIT
#include "npu/linear_input.hpp"

#include <algorithm>
#include <cstring>

#include "npu/mlp_bounds.hpp"

namespace npuenc {
namespace {

size_t scales_bytes(size_t rows) {
    return round_up(size_product(rows, sizeof(float)), cache_line);
}

} // namespace

LinearInput::LinearInput(const npuenc_kernels& kernels, const NpuWeight& weight,
                         const Linear& shape, const void* x)
    : kernels_(kernels), shape_(shape), n_(weight.n_in()), depth_(weight.depth()),
      precision_(weight.precision()), sums_(weight.sums()), x_(static_cast<const char*>(x)) {}

size_t LinearInput::narrow_row() const {
    return depth_ * (precision_ == NPUENC_PRECISION_INT8 ? sizeof(int8_t) : sizeof(uint16_t));
}

// A row as f32, the same normalised, and a band in the weight's precision.
size_t LinearInput::scratch_of_thread() const {
    return round_up(size_product(n_, 2 * sizeof(float)) + size_product(band_rows, narrow_row()),
                    cache_line);
}

size_t LinearInput::scratch_bytes(size_t most_rows, unsigned n_threads) const {
    return scales_bytes(most_rows) + size_product(n_threads, scratch_of_thread());
}

// The row itself where it is f32 already, else in memory for two rows.
const float* LinearInput::f32(size_t row, float* wide) const {
    const auto* values = reinterpret_cast<const float*>(at(row));
    if (shape_.x_type != NPUENC_F32) {
        const auto convert = shape_.x_type == NPUENC_BF16 ? kernels_.convert.bf16_to_f32
                                                          : kernels_.convert.f16_to_f32;
        convert(n_, reinterpret_cast<const uint16_t*>(at(row)), wide);
        values = wide;
    }
    if (!shape_.norm.weight)
        return values;
    float* normal = wide + n_;
    kernels_.rows.layer_norm(n_, values, shape_.norm.weight, shape_.norm.bias, normal);
    return normal;
}

// `count` rows from row `first` on, with the scale of each into scales[] where there are any.
LinearInput::Band LinearInput::band(size_t first, size_t count, char* scratch,
                                    float* scales) const {
    if (precision_ == NPUENC_PRECISION_BF16 && is_bf16() && sums_ == Sums::in_32_bits)
        return {at(first), shape_.ldx};
    auto* wide = reinterpret_cast<float*>(scratch);
    char* narrow = scratch + 2 * n_ * sizeof(float);
    for (size_t i = 0; i < count; ++i) {
        const size_t row = first + i;
        char* to = narrow + i * narrow_row();
        if (precision_ == NPUENC_PRECISION_BF16X2)
            split_row(kernels_.convert, n_, f32(row, wide), SplitSide::x,
                      reinterpret_cast<uint16_t*>(to));
        else if (precision_ == NPUENC_PRECISION_BF16 && is_bf16())
            std::memcpy(to, at(row), n_ * sizeof(uint16_t));
        else if (precision_ == NPUENC_PRECISION_BF16)
            kernels_.convert.f32_to_bf16(n_, f32(row, wide), reinterpret_cast<uint16_t*>(to));
        else if (is_bf16())
            scales[i] =
                kernels_.rows.quantise_bf16(1, n_, reinterpret_cast<const uint16_t*>(at(row)), 0,
                                            reinterpret_cast<int8_t*>(to));
        else
            scales[i] =
                kernels_.rows.quantise_f32(1, n_, f32(row, wide), 0, reinterpret_cast<int8_t*>(to));
        if (sums_ == Sums::in_16_bits)
            scales[i] = fixed_point::end_row(kernels_.rows, n_, fixed_point::Side::x,
                                             reinterpret_cast<uint16_t*>(to));
        else if (sums_ == Sums::stay)
            scales[i] = mlp_bounds::end_row(kernels_.rows, n_, reinterpret_cast<uint16_t*>(to));
    }
    return {narrow, depth_};
}

float* LinearInput::pack(const Product& product, size_t first, Parallel& threads, char* scratch,
                         char* packed) const {
    auto* const scales = reinterpret_cast<float*>(scratch);
    char* const of_threads = scratch + scales_bytes(product.m());
    product.pack_a_by_tasks(threads, [&](size_t band_of_product, unsigned thread) {
        const size_t row = std::min(band_of_product * band_rows, product.m());
        const auto [values, ld] = band(first + row, std::min(band_rows, product.m() - row),
                                       of_threads + thread * scratch_of_thread(), scales + row);
        product.pack_a_band(band_of_product, values, ld, packed);
    });
    return scales;
}

} // namespace npuenc
