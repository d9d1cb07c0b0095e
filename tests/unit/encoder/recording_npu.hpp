// SPDX-License-Identifier: MIT
// An NPU that computes on the CPU, refuses what the array lacks, and notes what it was asked for.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cpu/cpu_device.hpp"
#include "error.hpp"

namespace npuenc {

// A weight of the CPU's under the precision that was asked for.
class RecordedWeight final : public Weight {
  public:
    RecordedWeight(npuenc_precision precision, std::unique_ptr<Weight> of_host)
        : Weight(of_host->n_out(), of_host->n_in(), precision), of_host_(std::move(of_host)) {}

    size_t bytes() const override { return of_host_->bytes(); }
    const Weight& of_host() const { return *of_host_; }

  private:
    std::unique_ptr<Weight> of_host_;
};

// The best one below AMX, with which a CPU has precisions of its own.
inline const char* isa_of_host() {
    const char* best = "reference";
    npuenc_kernels kernels;
    for (const char* const* isa = npuenc_kernels_isas(); *isa && std::strcmp(*isa, "amx"); ++isa)
        if (npuenc_kernels_init(&kernels, *isa) == NPUENC_KERNELS_OK)
            best = *isa;
    return best;
}

class RecordingNpu final : public Device {
  public:
    struct LinearCall {
        const Weight* weight;
        size_t rows, ldx, ldy;
    };

    struct MlpCall {
        const Weight *up, *down;
        size_t rows;
    };

    explicit RecordingNpu(unsigned n_threads, const char* isa = isa_of_host())
        : host_(std::make_unique<CpuDevice>(n_threads, isa)) {}

    npuenc_device_type type() const override { return NPUENC_DEVICE_NPU; }
    const std::string& name() const override { return name_; }
    const char* isa() const override { return host_->isa(); }
    Parallel& parallel() override { return host_->parallel(); }
    Device& host() override { return *host_; }

    std::unique_ptr<Weight> pack(size_t n_out, size_t n_in, npuenc_precision precision,
                                 const RowReader& rows, const float* bias, Sums sums) override {
        if (precision == NPUENC_PRECISION_F32)
            fail(NPUENC_E_UNSUPPORTED, "a weight in f32");
        packed.push_back(sums);
        const npuenc_precision of_host =
            precision == NPUENC_PRECISION_BF16X2 ? NPUENC_PRECISION_F32 : precision;
        return std::make_unique<RecordedWeight>(
            precision, host_->pack(n_out, n_in, of_host, rows, bias, sums));
    }
    std::unique_ptr<Weight> pack(size_t n_out, size_t n_in, const Int8Rows& rows,
                                 const float* bias) override {
        return std::make_unique<RecordedWeight>(NPUENC_PRECISION_INT8,
                                                host_->pack(n_out, n_in, rows, bias));
    }

    void matmul(const Matmul& shape, const void* a, const void* b, void* c, Stats& stats) override {
        host_->matmul(shape, a, b, c, stats);
    }
    void linear(const Weight& weight, const Linear& shape, const void* x, void* y,
                Stats& stats) override {
        linears.push_back({&weight, shape.rows, shape.ldx, shape.ldy});
        ++stats.n_submissions;
        stats.n_syncs += 2;
        host_->linear(dynamic_cast<const RecordedWeight&>(weight).of_host(), shape, x, y, stats);
    }
    bool has_mlp(size_t n_in, size_t n_hidden, size_t n_out) const override {
        return n_in == n_out && n_hidden == 4 * n_in && has_mlps;
    }
    void mlp(const Weight& up, const Weight& down, const Linear& shape, const void* x, void* y,
             Stats& stats) override {
        mlps.push_back({&up, &down, shape.rows});
        ++stats.n_submissions;
        stats.n_syncs += 2;
        Linear first = shape, second = shape;
        first.y_type = second.x_type = NPUENC_BF16;
        first.ldy = second.ldx = up.n_out();
        first.gelu = true;
        first.addend = nullptr;
        second.norm = {};
        std::vector<uint16_t> hidden(shape.rows * up.n_out());
        host_->linear(dynamic_cast<const RecordedWeight&>(up).of_host(), first, x, hidden.data(),
                      stats);
        host_->linear(dynamic_cast<const RecordedWeight&>(down).of_host(), second, hidden.data(), y,
                      stats);
    }
    void attention(const Attention& shape, const void* q, const void* k, const void* v, void* out,
                   Stats& stats) override {
        if (shape.precision == NPUENC_PRECISION_F32)
            fail(NPUENC_E_UNSUPPORTED, "attention in f32");
        ++attentions;
        host_->attention(shape, q, k, v, out, stats);
    }
    void layer_norm(size_t, size_t, const float*, const float*, const float*, float*) override {
        fail(NPUENC_E_UNSUPPORTED, "a norm");
    }
    void convert(npuenc_dtype, size_t, const float*, void*) override {
        fail(NPUENC_E_UNSUPPORTED, "a conversion");
    }

    std::vector<Sums> packed; // how the sums of each weight shall come back
    std::vector<LinearCall> linears;
    std::vector<MlpCall> mlps;
    bool has_mlps = true;
    size_t attentions = 0;

  private:
    std::unique_ptr<Device> host_;
    const std::string name_ = "recording NPU";
};

} // namespace npuenc
