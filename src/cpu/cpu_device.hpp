// SPDX-License-Identifier: MIT
// The CPU as a device: a thread pool over the micro-kernels of kernels/cpu.
#pragma once

#include <memory>
#include <string>

#include "cpu/packed_weight.hpp"
#include "cpu/team.hpp"
#include "device/device.hpp"
#include "device/shared_memory.hpp"
#include "kernels/cpu/kernels.h"

namespace npuenc {

// The kernels up to an instruction set, null for the best that the CPU has. Throws Error E_INVALID
// for an unknown name and E_UNSUPPORTED for one that this CPU lacks.
npuenc_kernels select_kernels(const char* isa);

// Precision, beyond what the operators' definitions say:
// - linear in bf16 rounds x to bf16; in bf16x2 it splits x and the weight into pairs of bf16; in
// int8 it quantises each row of x, symmetrically by its own
//   greatest magnitude. Sums are in f32 and s32; bias, GELU and addend in f32.
// - attention in bf16 or with s8 operands rounds the probabilities to bf16, where the instruction
//   set multiplies that; so it does with f32 operands in bf16x2, where q, k and v are split into
//   two bf16, and in bf16, where q times k is f32 and v is rounded to bf16; with bf16 operands in
//   int8 it quantises each row of q, and all of k of a head with one scale, and where the
//   instruction set multiplies unsigned bytes, probabilities and v by blocks of keys.
class CpuDevice final : public Device {
  public:
    // n_threads 0: those of ThreadPool::shared(). isa as for select_kernels.
    CpuDevice(unsigned n_threads, const char* isa);

    npuenc_device_type type() const override { return NPUENC_DEVICE_CPU; }
    const std::string& name() const override { return name_; }
    const char* isa() const override { return kernels_.isa; }
    Parallel& parallel() override { return team_.pool(); }

    std::unique_ptr<Weight> pack(size_t n_out, size_t n_in, npuenc_precision precision,
                                 const RowReader& rows, const float* bias, Sums sums) override;
    std::unique_ptr<Weight> pack(size_t n_out, size_t n_in, const Int8Rows& rows,
                                 const float* bias) override;

    // Nothing is added to the statistics: all that the CPU does is arithmetic.
    void matmul(const Matmul& shape, const void* a, const void* b, void* c, Stats& stats) override;
    void linear(const Weight& weight, const Linear& shape, const void* x, void* y,
                Stats& stats) override;
    void attention(const Attention& shape, const void* q, const void* k, const void* v, void* out,
                   Stats& stats) override;
    void layer_norm(size_t rows, size_t n, const float* x, const float* weight, const float* bias,
                    float* y) override;
    void convert(npuenc_dtype type, size_t n, const float* in, void* out) override;

  private:
    template <class Store>
    void multiply_matrices(const npuenc_gemm& gemm, const Matmul& shape, const void* a,
                           const void* b, void* c, Store store);

    const npuenc_kernels kernels_;
    Team team_;
    SharedMemory shared_;
    std::string name_;
};

} // namespace npuenc
