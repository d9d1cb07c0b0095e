// SPDX-License-Identifier: MIT
// An NPU as a device: products on the array, everything between them on the host's threads.
#pragma once

#include <memory>
#include <string>

#include "device/device.hpp"
#include "device/shared_memory.hpp"
#include "kernels/cpu/kernels.h"
#include "npu/array.hpp"

namespace npuenc {

class NpuWeight;

// What runs where, beyond what the operators' definitions say:
// - f32 is E_UNSUPPORTED: the array has none. Nothing else moves to the CPU unasked.
// - matmul multiplies on the array, which also makes int8 results where the scale is a power of
//   two; other conversions of results are the host's. A product that does not fit the array at once
//   is cut; where K is cut, the host adds up.
// - linear rounds x to bf16, or in bf16x2 splits it into two, in one product of three times the
//   depth (split_row.hpp); in int8 it quantises each row of x, symmetrically by its own greatest
//   magnitude. Sums come back in 32 bits, or in 16: of bf16 where the weight was packed for that
//   (fixed_point.hpp), of int8 where int8_comes_in_16_bits (weight.hpp) says so. Layer norms, these
//   conversions, and what becomes of the sums are the CPU's kernels'.
// - mlp makes GELU on the array, too, and leaves the hidden values there, in bf16 between two
//   products in bf16 with f32 sums; gelu_tile.hpp says how near it is, mlp_bounds.hpp what must be
//   within bounds.
// - attention of s8 operands with 64 positions, heads of 64, no mask and scales in the range of
//   attention_kernel_parameters is one fused kernel of the array, whose softmax is approximated by
//   tangents: its correlation with the exact one is at least 0.99. All else is two products with
//   the host's softmax between them, whose probabilities are rounded to bf16. Scores are products
//   in bf16 with f32 sums, or in int8 with s32 sums: of s8 operands, and of bf16 ones in precision
//   INT8. Results are products in bf16.
//
// A call is one submission and two synchronisations, attention by products two and four, unless it
// needs more than `most_bytes` of the device's memory at once, or mlp has more than 2304 rows: then
// parts follow each other. In statistics all that the host does on the way into the device's
// buffers counts as packing, layer norms and quantisation included, and all on the way out as
// unpacking, what becomes of the sums included; the softmax, on the way out and in again, counts as
// packing.
class NpuDevice final : public Device {
  public:
    // `host` is the CPU device on whose threads the host's work runs.
    NpuDevice(Session session, OverlayCatalog overlays, std::unique_ptr<Device> host,
              std::string name, size_t most_bytes = Array::default_most_bytes);

    npuenc_device_type type() const override { return NPUENC_DEVICE_NPU; }
    const std::string& name() const override { return name_; }
    const char* isa() const override { return host_->isa(); }
    Parallel& parallel() override { return host_->parallel(); }
    npuenc_status status() const override { return array_.status(); }
    Device& host() override { return *host_; }

    std::unique_ptr<Weight> pack(size_t n_out, size_t n_in, npuenc_precision precision,
                                 const RowReader& rows, const float* bias, Sums sums) override;
    std::unique_ptr<Weight> pack(size_t n_out, size_t n_in, const Int8Rows& rows,
                                 const float* bias) override;

    void matmul(const Matmul& shape, const void* a, const void* b, void* c, Stats& stats) override;
    void linear(const Weight& weight, const Linear& shape, const void* x, void* y,
                Stats& stats) override;
    bool has_mlp(size_t n_in, size_t n_hidden, size_t n_out) const override;
    void mlp(const Weight& up, const Weight& down, const Linear& shape, const void* x, void* y,
             Stats& stats) override;
    void attention(const Attention& shape, const void* q, const void* k, const void* v, void* out,
                   Stats& stats) override;
    void layer_norm(size_t rows, size_t n, const float* x, const float* weight, const float* bias,
                    float* y) override {
        host_->layer_norm(rows, n, x, weight, bias, y);
    }
    void convert(npuenc_dtype type, size_t n, const float* in, void* out) override {
        host_->convert(type, n, in, out);
    }

  private:
    // Throws Error E_INVALID for one of another device.
    const NpuWeight& own(const Weight& weight) const;

    std::unique_ptr<Device> host_;
    const npuenc_kernels kernels_; // of the host's instruction set
    const std::string name_;
    Array array_;
    SharedMemory shared_;
};

} // namespace npuenc
