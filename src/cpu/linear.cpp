// SPDX-License-Identifier: MIT
// Linear layers, and convolutions through overlapping rows.
#include "cpu/cpu_device.hpp"
#include "device/linear_finish.hpp"
#include "error.hpp"

namespace npuenc {

namespace {

// Rows of x as the product takes them: normalised if asked, then in the weight's precision.
class Input {
  public:
    Input(const npuenc_kernels& kernels, const npuenc_gemm& gemm, const PackedWeight& weight,
          const Linear& shape, const void* x)
        : kernels_(kernels), gemm_(gemm), shape_(shape), n_(weight.n_in()),
          precision_(weight.precision()), x_(static_cast<const char*>(x)) {}

    void need_scratch(Scratch::Sizes& sizes) const {
        if (shape_.x_type != NPUENC_F32)
            sizes.need<float>(Scratch::staging, n_);
        if (shape_.norm.weight)
            sizes.need<float>(Scratch::row, n_);
        if (precision_ == NPUENC_PRECISION_BF16 || precision_ == NPUENC_PRECISION_INT8)
            sizes.need<uint16_t>(Scratch::narrow, n_);
    }

    // Whether rows of x are packed rows already.
    bool is_packed() const {
        return packing_copies() && !shape_.norm.weight && shape_.x_type != NPUENC_F16 &&
               are_packed(gemm_, element_size(shape_.x_type), n_, stride());
    }
    const char* at(size_t row) const { return x_ + row * stride(); }
    size_t stride() const { return shape_.ldx * element_size(shape_.x_type); }

    // Packs one row. int8: quantises it, and returns its scale.
    float pack(size_t row, const Scratch& scratch, void* packed) const {
        switch (precision_) {
        case NPUENC_PRECISION_BF16:
            pack_bf16(row, scratch, packed);
            return 1;
        case NPUENC_PRECISION_INT8:
            return pack_int8(row, scratch, packed);
        default:
            pack_f32(row, scratch, packed);
            return 1;
        }
    }

  private:
    // Else the kernels multiply other types than those of the precision.
    bool packing_copies() const {
        return n_ % gemm_.k_group == 0 &&
               ((precision_ == NPUENC_PRECISION_F32 && gemm_.a_size == 4) ||
                (precision_ == NPUENC_PRECISION_BF16 && gemm_.a_size == 2) ||
                (precision_ == NPUENC_PRECISION_INT8 && gemm_.a_size == 1 && !gemm_.shifted_a));
    }

    // The values themselves where they are f32 already, else in scratch memory.
    const float* values(size_t row, const Scratch& scratch) const {
        const void* x = at(row);
        if (shape_.x_type == NPUENC_F32)
            return static_cast<const float*>(x);
        float* wide = scratch.get<float>(Scratch::staging);
        const auto convert = shape_.x_type == NPUENC_BF16 ? kernels_.convert.bf16_to_f32
                                                          : kernels_.convert.f16_to_f32;
        convert(n_, static_cast<const uint16_t*>(x), wide);
        return wide;
    }

    void normalise(size_t row, const Scratch& scratch, float* normal) const {
        kernels_.rows.layer_norm(n_, values(row, scratch), shape_.norm.weight, shape_.norm.bias,
                                 normal);
    }

    // Normalised, if asked.
    const float* f32(size_t row, const Scratch& scratch) const {
        if (!shape_.norm.weight)
            return values(row, scratch);
        float* normal = scratch.get<float>(Scratch::row);
        normalise(row, scratch, normal);
        return normal;
    }

    void pack_f32(size_t row, const Scratch& scratch, void* packed) const {
        if (shape_.norm.weight && packing_copies())
            normalise(row, scratch, static_cast<float*>(packed));
        else
            gemm_.pack_a(n_, f32(row, scratch), packed);
    }

    void pack_bf16(size_t row, const Scratch& scratch, void* packed) const {
        if (shape_.x_type == NPUENC_BF16 && !shape_.norm.weight) {
            gemm_.pack_a(n_, at(row), packed);
            return;
        }
        if (packing_copies()) {
            kernels_.convert.f32_to_bf16(n_, f32(row, scratch), static_cast<uint16_t*>(packed));
            return;
        }
        auto* narrow = scratch.get<uint16_t>(Scratch::narrow);
        kernels_.convert.f32_to_bf16(n_, f32(row, scratch), narrow);
        gemm_.pack_a(n_, narrow, packed);
    }

    float pack_int8(size_t row, const Scratch& scratch, void* packed) const {
        auto* narrow =
            packing_copies() ? static_cast<int8_t*>(packed) : scratch.get<int8_t>(Scratch::narrow);
        const float scale = shape_.x_type == NPUENC_BF16 && !shape_.norm.weight
                                ? kernels_.rows.quantise_bf16(
                                      1, n_, reinterpret_cast<const uint16_t*>(at(row)), 0, narrow)
                                : kernels_.rows.quantise_f32(1, n_, f32(row, scratch), 0, narrow);
        if (!packing_copies())
            gemm_.pack_a(n_, narrow, packed);
        return scale;
    }

    const npuenc_kernels& kernels_;
    const npuenc_gemm& gemm_;
    const Linear& shape_;
    const size_t n_;
    const npuenc_precision precision_;
    const char* x_;
};

// Whether the sums are y, as they are.
bool changes_nothing(const npuenc_finish& finish) {
    return finish.type == npuenc_float_f32 && !finish.row_scale && !finish.col_scale &&
           !finish.bias && finish.gelu == npuenc_gelu_none && !finish.addend;
}

} // namespace

void CpuDevice::linear(const Weight& any_weight, const Linear& shape, const void* x, void* y,
                       Stats&) {
    const auto* weight = dynamic_cast<const PackedWeight*>(&any_weight);
    if (!weight || &weight->owner() != this)
        fail(NPUENC_E_INVALID, "a weight that was packed for another device");

    const size_t k = weight->n_in();
    const bool int8 = weight->precision() == NPUENC_PRECISION_INT8;
    const npuenc_gemm& gemm = gemm_for(kernels_, weight->precision());
    const Input input(kernels_, gemm, *weight, shape, x);
    const npuenc_finish finish =
        finish_of(shape, weight->precision(), weight->scales(), weight->bias(), y);
    const Split split(gemm, shape.rows, weight->n_out(), k, team_.n_threads());
    const size_t lda = row_stride(gemm, k);
    Scratch::Sizes sizes;
    sizes.need<char>(Scratch::a_rows, size_product(split.most_rows(), lda));
    sizes.need<float>(Scratch::row_scales, split.most_rows());
    input.need_scratch(sizes);
    need_sums(sizes, gemm, split.most_rows(), k);
    team_.for_each(split.n_tasks(), sizes, [&](size_t i, const Scratch& scratch) {
        const Split::Part part = split.part(i);
        char* packed = scratch.get<char>(Scratch::a_rows);
        float* scales = scratch.get<float>(Scratch::row_scales);
        const size_t y_size = element_size(shape.y_type);
        Block block = {part.rows,
                       part.first_col,
                       part.end_col,
                       k,
                       packed,
                       lda,
                       weight->panels(),
                       shifted(finish, part.first_row, part.first_col).y,
                       finish.ldy * y_size,
                       y_size,
                       !int8 && changes_nothing(finish)};
        if (input.is_packed()) {
            block.a = input.at(part.first_row);
            block.lda = input.stride();
        } else {
            for (size_t row = 0; row < part.rows; ++row)
                scales[row] = input.pack(part.first_row + row, scratch, packed + row * lda);
        }
        multiply(
            gemm, block, scratch,
            [&](size_t row, size_t rows, size_t col, size_t cols, const void* sums, size_t ld) {
                npuenc_finish here = shifted(finish, part.first_row + row, col);
                if (int8) {
                    here.row_scale = scales + row;
                    kernels_.finish.s32(rows, cols, static_cast<const int32_t*>(sums), ld, &here);
                } else {
                    kernels_.finish.f32(rows, cols, static_cast<const float*>(sums), ld, &here);
                }
            });
    });
}

} // namespace npuenc
