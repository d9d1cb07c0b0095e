// SPDX-License-Identifier: MIT
// Linear layers, and convolutions through overlapping rows.
#include <cstring>
#include <type_traits>

#include "cpu/cpu_device.hpp"
#include "error.hpp"

namespace npuenc {

namespace {

size_t size_of(npuenc_dtype type) {
    return type == NPUENC_F32 ? 4 : 2;
}

// Rows of x, in f32.
class Input {
  public:
    Input(const npuenc_kernels& kernels, const Linear& shape, const void* x)
        : kernels_(kernels), type_(shape.x_type), ld_(shape.ldx), x_(static_cast<const char*>(x)) {}

    npuenc_dtype type() const { return type_; }
    size_t ld() const { return ld_; }

    template <class T>
    const T* at(size_t row, size_t col) const {
        return static_cast<const T*>(
            static_cast<const void*>(x_ + (row * ld_ + col) * size_of(type_)));
    }

    // The values themselves where they are f32, else converted into `staging`.
    const float* f32(size_t row, size_t col, size_t n, float* staging) const {
        switch (type_) {
        case NPUENC_BF16:
            kernels_.convert.bf16_to_f32(n, at<uint16_t>(row, col), staging);
            return staging;
        case NPUENC_F16:
            kernels_.convert.f16_to_f32(n, at<uint16_t>(row, col), staging);
            return staging;
        default:
            return at<float>(row, col);
        }
    }

  private:
    const npuenc_kernels& kernels_;
    npuenc_dtype type_;
    size_t ld_;
    const char* x_;
};

// What follows the sums of a row: bias, GELU, addend, and the conversion to the type of y.
class Output {
  public:
    Output(const npuenc_kernels& kernels, const PackedWeight& weight, const Linear& shape, void* y)
        : kernels_(kernels), weight_(weight), shape_(shape), y_(static_cast<char*>(y)),
          in_place_(shape.y_type == NPUENC_F32 && shape.addend != y) {}

    // Whether sums may be made in y itself: not if they would overwrite the addend.
    bool in_place() const { return in_place_; }
    size_t ld() const { return shape_.ldy; }
    float* f32(size_t row, size_t col) const { return static_cast<float*>(at(row, col)); }

    void finish(size_t row, size_t col, size_t n, float* sums) const {
        const float* bias = weight_.bias() ? weight_.bias() + col : nullptr;
        const float* addend =
            shape_.addend ? shape_.addend + row * shape_.ld_addend + col : nullptr;
        if (bias || addend || shape_.gelu)
            kernels_.rows_f32.epilogue(n, sums, bias, shape_.gelu, addend);
        void* y = at(row, col);
        if (shape_.y_type == NPUENC_BF16)
            kernels_.convert.f32_to_bf16(n, sums, static_cast<uint16_t*>(y));
        else if (shape_.y_type == NPUENC_F16)
            kernels_.convert.f32_to_f16(n, sums, static_cast<uint16_t*>(y));
        else if (sums != y)
            std::memcpy(y, sums, n * sizeof(float));
    }

  private:
    void* at(size_t row, size_t col) const {
        return y_ + (row * shape_.ldy + col) * size_of(shape_.y_type);
    }

    const npuenc_kernels& kernels_;
    const PackedWeight& weight_;
    const Linear& shape_;
    char* y_;
    bool in_place_;
};

// What a task of the pool works on.
struct Task {
    const npuenc_kernels& kernels;
    const PackedWeight& weight;
    const Input& x;
    const Output& y;
    const Split::Part& part;
    Scratch& scratch;
};

// The block of the task. Sums in f32 are made in y where that is possible.
template <class Gemm>
Block<Gemm> block_of(const Task& task) {
    Block<Gemm> block{};
    block.rows = task.part.rows;
    block.first_col = task.part.first_col;
    block.end_col = task.part.end_col;
    block.k = task.weight.n_in();
    block.b = task.weight.panels<Gemm>();
    if constexpr (std::is_same_v<SumOf<Gemm>, float>) {
        if (task.y.in_place()) {
            block.c = task.y.f32(task.part.first_row, 0);
            block.ldc = task.y.ld();
        }
    }
    return block;
}

void linear_f32(const Task& task) {
    const npuenc_gemm_f32& gemm = task.kernels.gemm_f32;
    const Input& x = task.x;
    const size_t first_row = task.part.first_row;
    const auto pack = [&](size_t row, size_t rows, size_t k, size_t n, float* panel) {
        if (x.type() == NPUENC_F32) {
            gemm.pack_a(rows, n, x.at<float>(first_row + row, k), x.ld(), panel);
            return;
        }
        float* staging = task.scratch.get<float>(Scratch::staging, rows * n);
        for (size_t i = 0; i < rows; ++i)
            x.f32(first_row + row + i, k, n, staging + i * n);
        gemm.pack_a(rows, n, staging, n, panel);
    };
    multiply(gemm, block_of<npuenc_gemm_f32>(task), task.scratch, pack,
             [&](size_t row, size_t col, size_t n, float* sums) {
                 task.y.finish(first_row + row, col, n, sums);
             });
}

void linear_bf16(const Task& task) {
    const npuenc_gemm_bf16& gemm = task.kernels.gemm_bf16;
    const Input& x = task.x;
    const size_t first_row = task.part.first_row;
    const auto pack = [&](size_t row, size_t rows, size_t k, size_t n, uint16_t* panel) {
        if (x.type() == NPUENC_BF16) {
            gemm.pack_a(rows, n, x.at<uint16_t>(first_row + row, k), x.ld(), panel);
            return;
        }
        float* staging = task.scratch.get<float>(Scratch::staging, n);
        uint16_t* narrow = task.scratch.get<uint16_t>(Scratch::narrow, rows * n);
        for (size_t i = 0; i < rows; ++i)
            task.kernels.convert.f32_to_bf16(n, x.f32(first_row + row + i, k, n, staging),
                                             narrow + i * n);
        gemm.pack_a(rows, n, narrow, n, panel);
    };
    multiply(gemm, block_of<npuenc_gemm_bf16>(task), task.scratch, pack,
             [&](size_t row, size_t col, size_t n, float* sums) {
                 task.y.finish(first_row + row, col, n, sums);
             });
}

void linear_int8(const Task& task) {
    const npuenc_gemm_s8& gemm = task.kernels.gemm_s8;
    const npuenc_convert& convert = task.kernels.convert;
    const Input& x = task.x;
    const size_t first_row = task.part.first_row, n_in = task.weight.n_in();

    float* staging = task.scratch.get<float>(Scratch::staging, segment_bytes);
    float* scales = task.scratch.get<float>(Scratch::row_scales, 2 * task.part.rows);
    float* multipliers = scales + task.part.rows;
    for (size_t row = 0; row < task.part.rows; ++row) {
        float absmax = 0;
        for (size_t k = 0; k < n_in; k += segment_bytes) {
            const size_t n = std::min(segment_bytes, n_in - k);
            absmax = std::max(
                absmax, task.kernels.rows_f32.abs_max(n, x.f32(first_row + row, k, n, staging)));
        }
        multipliers[row] = int8_multiplier(absmax);
        scales[row] = multipliers[row] == 0 ? 0 : absmax / 127.0f;
    }

    const auto pack = [&](size_t row, size_t rows, size_t k, size_t n, int8_t* panel) {
        int8_t* narrow = task.scratch.get<int8_t>(Scratch::narrow, rows * n);
        for (size_t i = 0; i < rows; ++i)
            convert.f32_to_s8(n, x.f32(first_row + row + i, k, n, staging), multipliers[row + i], 1,
                              narrow + i * n);
        gemm.pack_a(rows, n, narrow, n, panel);
    };
    float* real = task.scratch.get<float>(Scratch::row, chunk_cols);
    multiply(gemm, block_of<npuenc_gemm_s8>(task), task.scratch, pack,
             [&](size_t row, size_t col, size_t n, int32_t* sums) {
                 float* out = task.y.in_place() ? task.y.f32(first_row + row, col) : real;
                 convert.s32_to_f32(n, sums, scales[row], task.weight.scales() + col, out);
                 task.y.finish(first_row + row, col, n, out);
             });
}

} // namespace

void CpuDevice::linear(const Weight& any_weight, const Linear& shape, const void* x, void* y) {
    const auto* weight = dynamic_cast<const PackedWeight*>(&any_weight);
    if (!weight || &weight->owner() != this)
        fail(NPUENC_E_INVALID, "a weight that was packed for another device");

    void (*run)(const Task&) = linear_f32;
    size_t mr = kernels_.gemm_f32.mr, nr = kernels_.gemm_f32.nr;
    if (weight->precision() == NPUENC_PRECISION_BF16) {
        run = linear_bf16;
        mr = kernels_.gemm_bf16.mr, nr = kernels_.gemm_bf16.nr;
    } else if (weight->precision() == NPUENC_PRECISION_INT8) {
        run = linear_int8;
        mr = kernels_.gemm_s8.mr, nr = kernels_.gemm_s8.nr;
    }
    const Input input(kernels_, shape, x);
    const Output output(kernels_, *weight, shape, y);
    const Split split(shape.rows, weight->n_out(), mr, nr, pool_.n_threads());
    pool_.for_each(split.n_tasks(), [&](size_t i, unsigned thread) {
        run({kernels_, *weight, input, output, split.part(i), scratch_[thread]});
    });
}

} // namespace npuenc
