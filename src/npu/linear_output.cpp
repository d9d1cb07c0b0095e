// SPDX-License-Identifier: MIT
#include "npu/linear_output.hpp"

#include <algorithm>

#include "device/linear_finish.hpp"

namespace npuenc {

LinearOutput::LinearOutput(const npuenc_kernels& kernels, const NpuWeight& weight,
                           const Linear& shape, bool in_16_bits, void* y)
    : kernels_(kernels), integers_(in_16_bits || weight.precision() == NPUENC_PRECISION_INT8),
      has_row_scales_(integers_ || weight.sums() == Sums::of_stayed),
      whole_(finish_of(shape, weight.precision(), weight.scales(in_16_bits), weight.bias(), y)) {}

void LinearOutput::finish_band(const Product& product, const char* sums, const CBand& band,
                               size_t first, const float* scales) const {
    const size_t row = band.band * band_rows, column = band.n_group * output_group;
    const size_t rows = std::min(band_rows, product.m() - row);
    const size_t columns = std::min(output_group, product.n() - column);
    npuenc_finish how = shifted(whole_, first + row, column);
    if (has_row_scales_)
        how.row_scale = scales + row;
    if (integers_)
        kernels_.finish.s32(rows, columns, reinterpret_cast<const int32_t*>(sums), output_group,
                            &how);
    else
        kernels_.finish.f32(rows, columns, reinterpret_cast<const float*>(sums), output_group,
                            &how);
}

void LinearOutput::finish(const Product& product, const char* sums, size_t first,
                          const float* scales, Parallel& threads) const {
    threads.for_each(product.c_tasks(), [&](size_t task, unsigned) {
        product.for_each_c_band(task, [&](const CBand& band, size_t offset) {
            alignas(cache_line) char of_band[band_rows * output_group * sizeof(int32_t)];
            product.add_up_c_band(kernels_.unpack, offset, sums, of_band, output_group);
            finish_band(product, of_band, band, first, scales);
        });
    });
}

} // namespace npuenc
