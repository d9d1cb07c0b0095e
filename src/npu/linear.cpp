// SPDX-License-Identifier: MIT
// Linear layers, and convolutions through overlapping rows: eight rows at a time go from the
// caller's memory to the array's buffer, and the other way, while they are in the L1 cache.
#include <algorithm>
#include <cstring>

#include "device/linear_finish.hpp"
#include "error.hpp"
#include "npu/npu_device.hpp"
#include "npu/timer.hpp"
#include "npu/weight.hpp"

namespace npuenc {
namespace {

// Rows of x as the product takes them: normalised if asked, then in the weight's precision.
class Input {
  public:
    Input(const npuenc_kernels& kernels, const NpuWeight& weight, const Linear& shape,
          bool in_16_bits, const void* x)
        : kernels_(kernels), shape_(shape), n_(weight.n_in()), depth_(weight.depth()),
          precision_(weight.precision()),
          fixed_point_(precision_ == NPUENC_PRECISION_BF16 && in_16_bits),
          x_(static_cast<const char*>(x)) {}

    // Of a thread: a row as f32, the same normalised, and a band in the weight's precision.
    size_t scratch_bytes() const {
        return round_up(size_product(n_, 2 * sizeof(float)) + size_product(band_rows, narrow_row()),
                        cache_line);
    }

    struct Band {
        const void* values;
        size_t ld;
    };

    // `count` rows from row `first` on. Where sums are integers: with the scale of each into
    // scales[].
    Band band(size_t first, size_t count, char* scratch, float* scales) const {
        if (precision_ == NPUENC_PRECISION_BF16 && is_bf16() && !fixed_point_)
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
                    kernels_.rows.quantise_bf16(1, n_, reinterpret_cast<const uint16_t*>(at(row)),
                                                0, reinterpret_cast<int8_t*>(to));
            else
                scales[i] = kernels_.rows.quantise_f32(1, n_, f32(row, wide), 0,
                                                       reinterpret_cast<int8_t*>(to));
            if (fixed_point_)
                scales[i] = fixed_point::end_row(kernels_.rows, n_, fixed_point::Side::x,
                                                 reinterpret_cast<uint16_t*>(to));
        }
        return {narrow, depth_};
    }

  private:
    size_t narrow_row() const {
        return depth_ * (precision_ == NPUENC_PRECISION_INT8 ? sizeof(int8_t) : sizeof(uint16_t));
    }
    bool is_bf16() const { return shape_.x_type == NPUENC_BF16 && !shape_.norm.weight; }
    const char* at(size_t row) const { return x_ + row * shape_.ldx * element_size(shape_.x_type); }

    // The row itself where it is f32 already, else in memory for two rows.
    const float* f32(size_t row, float* wide) const {
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

    const npuenc_kernels& kernels_;
    const Linear& shape_;
    const size_t n_, depth_;
    const npuenc_precision precision_;
    const bool fixed_point_;
    const char* const x_;
};

// What becomes of the sums.
class Output {
  public:
    Output(const npuenc_kernels& kernels, const NpuWeight& weight, const Linear& shape,
           bool in_16_bits, void* y)
        : kernels_(kernels), integers_(in_16_bits || weight.precision() == NPUENC_PRECISION_INT8),
          whole_(
              finish_of(shape, weight.precision(), weight.scales(in_16_bits), weight.bias(), y)) {}

    // A band of a product, at this offset of its sums; row 0 of the product is row `first` of the
    // call. scales: of the product's rows, for integers.
    void finish(const Product& product, const char* sums, const CBand& band, size_t offset,
                size_t first, const float* scales) const {
        alignas(cache_line) char of_band[band_rows * output_group * sizeof(int32_t)];
        product.add_up_c_band(kernels_.unpack, offset, sums, of_band, output_group);
        const size_t row = band.band * band_rows, column = band.n_group * output_group;
        const size_t rows = std::min(band_rows, product.m() - row);
        const size_t columns = std::min(output_group, product.n() - column);
        npuenc_finish how = shifted(whole_, first + row, column);
        if (integers_) {
            how.row_scale = scales + row;
            kernels_.finish.s32(rows, columns, reinterpret_cast<const int32_t*>(of_band),
                                output_group, &how);
        } else {
            kernels_.finish.f32(rows, columns, reinterpret_cast<const float*>(of_band),
                                output_group, &how);
        }
    }

  private:
    const npuenc_kernels& kernels_;
    const bool integers_; // what the sums are
    const npuenc_finish whole_;
};

// So many rows that a submission is within its bound: whole groups, but for the last one. `group`
// is the product of one.
size_t rows_at_once(const Array& array, const Product& group, size_t rows) {
    const size_t groups = array.most_bytes() / (group.a_bytes() + group.c_bytes());
    return std::min(rows, std::max<size_t>(groups, 1) * output_group);
}

} // namespace

std::unique_ptr<Weight> NpuDevice::pack(size_t n_out, size_t n_in, npuenc_precision precision,
                                        const RowReader& rows, const float* bias, Sums sums) {
    return std::make_unique<NpuWeight>(NpuWeight::Owner{kernels_, array_, parallel(), shared_},
                                       n_out, n_in, precision, rows, bias, sums);
}

std::unique_ptr<Weight> NpuDevice::pack(size_t n_out, size_t n_in, const Int8Rows& rows,
                                        const float* bias) {
    return std::make_unique<NpuWeight>(NpuWeight::Owner{kernels_, array_, parallel(), shared_},
                                       n_out, n_in, rows, bias);
}

void NpuDevice::linear(const Weight& any_weight, const Linear& shape, const void* x, void* y,
                       Stats& stats) {
    const auto* weight = dynamic_cast<const NpuWeight*>(&any_weight);
    if (!weight || &weight->array() != &array_)
        fail(NPUENC_E_INVALID, "a weight that was packed for another device");
    array_.check();

    const bool in_16_bits = weight->in_16_bits(shape);
    const Input input(kernels_, *weight, shape, in_16_bits, x);
    const Output output(kernels_, *weight, shape, in_16_bits, y);
    const size_t most_rows = rows_at_once(array_, weight->product(1, in_16_bits), shape.rows);
    const size_t scratch = input.scratch_bytes();
    const size_t scales_bytes = round_up(size_product(most_rows, sizeof(float)), cache_line);
    const SharedMemory::Lease memory(shared_,
                                     scales_bytes + size_product(parallel().n_threads(), scratch));
    auto* const scales = memory.data<float>();

    for (size_t first = 0; first < shape.rows; first += most_rows) {
        const Product product =
            weight->product(std::min(most_rows, shape.rows - first), in_16_bits);
        Submission submission(array_, product.a_bytes(), product.c_bytes());
        product.add_to(submission, array_, submission.input(0, product.a_bytes()), weight->packed(),
                       submission.output(0, product.c_bytes()));
        {
            const Timer timer(stats.pack_ns);
            const auto pack_band = [&](size_t band, unsigned thread) {
                const size_t row = std::min(band * band_rows, product.m());
                const auto [values, ld] =
                    input.band(first + row, std::min(band_rows, product.m() - row),
                               memory.data<char>() + scales_bytes + thread * scratch, scales + row);
                product.pack_a_band(band, values, ld, submission.inputs());
            };
            product.pack_a_by_tasks(parallel(), pack_band);
        }
        submission.run(Written::past_caches, parallel(), stats);
        const Timer timer(stats.unpack_ns);
        parallel().for_each(product.c_tasks(), [&](size_t task, unsigned) {
            product.for_each_c_band(task, [&](const CBand& band, size_t offset) {
                output.finish(product, submission.outputs(), band, offset, first, scales);
            });
        });
    }
}

} // namespace npuenc
