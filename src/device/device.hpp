// SPDX-License-Identifier: MIT
// What a device must be able to do. The encoder and the ABI know devices by this alone.
//
// Callers have checked everything: types belong together, sizes do not overflow, buffers are large
// enough. A device throws Error E_UNSUPPORTED for what it cannot do, before it touches an output.
// All operators may be called from several threads at once. Results do not depend on the number of
// threads, nor on which other rows or batch items are computed in the same call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <npuenc/npuenc.h>

#include "device/parallel.hpp"
#include "device/stats.hpp"
#include "error.hpp"

namespace npuenc {

// In bytes.
inline size_t element_size(npuenc_dtype type) {
    return type == NPUENC_S8 ? 1 : type == NPUENC_BF16 || type == NPUENC_F16 ? 2 : 4;
}

// c[i] = a[i] b[i]; leading dimensions and strides in elements, all filled in.
struct Matmul {
    npuenc_dtype a_type, b_type, c_type;
    size_t batch, m, n, k;
    size_t lda, ldb, ldc;
    size_t stride_a, stride_b, stride_c; // stride_b 0: one B for the whole batch
    bool b_transposed;                   // b is [n][k]
    float scale;                         // of s8 results
    int32_t zero_point;
};

// out = softmax(q k^T scale + mask) v for every batch item and head.
struct Attention {
    npuenc_dtype type; // of q, k, v and the result: f32, bf16 or s8
    // Of the products: F32, BF16 or BF16X2 with f32 operands, INT8 with s8 ones, else BF16 or INT8.
    // BF16 with f32 operands is that of probabilities times v, while q times k is F32.
    npuenc_precision precision;
    size_t batch, n_head, head_dim, q_len, kv_len;
    size_t ldq, ldk, ldv, ldo;                     // from one position to the next
    size_t stride_q, stride_k, stride_v, stride_o; // from one batch item to the next
    float scale;
    npuenc_mask mask;
    const uint32_t* key_lengths; // [batch], for NPUENC_MASK_KEY_LENGTHS
    const float* added;          // for NPUENC_MASK_ADD_F32: [q_len][kv_len] at each item and head
    size_t added_stride_batch;   // elements; 0: the same for all
    size_t added_stride_head;
    float q_scale, k_scale, v_scale, out_scale; // of s8
};

// Per-channel parameters of a layer norm: (x - mean) / sqrt(variance + 1e-5) * weight + bias.
struct LayerNorm {
    const float* weight = nullptr;
    const float* bias = nullptr;
};

// y = norm(x) W^T + bias, then GELU if asked, then + addend. x may have overlapping rows (a
// convolution).
struct Linear {
    npuenc_dtype x_type, y_type; // f32, bf16 or f16
    size_t rows;
    size_t ldx, ldy;
    LayerNorm norm = {}; // of the rows of x; without a weight there is none
    bool gelu = false;
    const float* addend = nullptr; // [rows][n_out], may be y itself when that is f32
    size_t ld_addend = 0;
};

// A matrix in the layout that a device's products read, with its bias.
class Weight {
  public:
    virtual ~Weight() = default;

    size_t n_out() const { return n_out_; }
    size_t n_in() const { return n_in_; }
    npuenc_precision precision() const { return precision_; }
    virtual size_t bytes() const = 0;

  protected:
    Weight(size_t n_out, size_t n_in, npuenc_precision precision)
        : n_out_(n_out), n_in_(n_in), precision_(precision) {}

  private:
    size_t n_out_, n_in_;
    npuenc_precision precision_;
};

// How the sums of a product in bf16 come back to who finishes them: in 16 bits they may be off by
// what npu/fixed_point.hpp says. Or they do not: those of an MLP's first product stay on the
// device, where they become the operand of the second. Only an NPU looks at it, and only in bf16.
enum class Sums {
    in_32_bits,
    in_16_bits,
    stay,      // for Device::mlp, as the first weight
    of_stayed, // the second; in 32 bits
};

// Where the rows of a matrix come from while it is packed: writes rows [first, first + count) as
// f32, n_in elements each. May be called from several threads at once, and may throw.
using RowReader = std::function<void(size_t first, size_t count, float* rows)>;

// A matrix that is int8 already, with a scale for each row: packed as it is.
struct Int8Rows {
    const int8_t* values; // [n_out][n_in]
    size_t ld;
    const float* scales; // [n_out]
};

class Device {
  public:
    virtual ~Device() = default;

    virtual npuenc_device_type type() const = 0;
    virtual const std::string& name() const = 0;
    virtual const char* isa() const = 0; // as npuenc_ctx_info.isa
    virtual Parallel& parallel() = 0;    // the host threads that serve it

    // NPUENC_OK, or why nothing can run on it any more: E_CTX_LOST.
    virtual npuenc_status status() const { return NPUENC_OK; }

    // The CPU device on the same threads, for whoever places operators there; the CPU's is itself.
    virtual Device& host() { return *this; }

    // bias: n_out values or null; copied.
    virtual std::unique_ptr<Weight> pack(size_t n_out, size_t n_in, npuenc_precision precision,
                                         const RowReader& rows, const float* bias, Sums sums) = 0;
    virtual std::unique_ptr<Weight> pack(size_t n_out, size_t n_in, const Int8Rows& rows,
                                         const float* bias) = 0;

    // What an operator costs beyond the host's arithmetic is added to `stats`: submissions,
    // synchronisations, bytes, and their times.
    virtual void matmul(const Matmul& shape, const void* a, const void* b, void* c,
                        Stats& stats) = 0;
    virtual void linear(const Weight& weight, const Linear& shape, const void* x, void* y,
                        Stats& stats) = 0;
    // y = GELU(norm(x) U^T + its bias) D^T + its bias, then + addend, where U and D are in bf16 and
    // packed with Sums::stay and Sums::of_stayed: those are for this alone. The shape leads from x
    // to y, without a GELU of its own; rows of y may be those of x, where both are f32. Only a
    // device that has it for these sizes does it.
    virtual bool has_mlp(size_t /*n_in*/, size_t /*n_hidden*/, size_t /*n_out*/) const {
        return false;
    }
    virtual void mlp(const Weight& /*up*/, const Weight& /*down*/, const Linear& /*shape*/,
                     const void* /*x*/, void* /*y*/, Stats& /*stats*/) {
        fail(NPUENC_E_INTERNAL, "%s: an MLP in one", name().c_str());
    }
    virtual void attention(const Attention& shape, const void* q, const void* k, const void* v,
                           void* out, Stats& stats) = 0;
    // Rows of n values without gaps; y may be x.
    virtual void layer_norm(size_t rows, size_t n, const float* x, const float* weight,
                            const float* bias, float* y) = 0;
    // n values to bf16 or f16, rounded to nearest even.
    virtual void convert(npuenc_dtype type, size_t n, const float* in, void* out) = 0;
};

} // namespace npuenc
