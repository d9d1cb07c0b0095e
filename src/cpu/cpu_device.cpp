// SPDX-License-Identifier: MIT
// The CPU device: construction, and what needs no file of its own.
#include "cpu/cpu_device.hpp"

#include "error.hpp"

namespace npuenc {

namespace {

std::string names_of_usable_isas() {
    std::string names;
    for (const char* const* isa = npuenc_kernels_isas(); *isa; ++isa) {
        npuenc_kernels kernels;
        if (npuenc_kernels_init(&kernels, *isa) == NPUENC_KERNELS_OK)
            names += (names.empty() ? "" : ", ") + std::string(*isa);
    }
    return names;
}

} // namespace

npuenc_kernels select_kernels(const char* isa) {
    npuenc_kernels kernels;
    switch (npuenc_kernels_init(&kernels, isa)) {
    case NPUENC_KERNELS_OK:
        return kernels;
    case NPUENC_KERNELS_LACKING_ISA:
        fail(NPUENC_E_UNSUPPORTED, "%s cannot be used here; what can: %s", isa,
             names_of_usable_isas().c_str());
    default:
        fail(NPUENC_E_INVALID, "unknown instruction set \"%s\"; available here: %s", isa,
             names_of_usable_isas().c_str());
    }
}

CpuDevice::CpuDevice(unsigned n_threads, const char* isa)
    : kernels_(select_kernels(isa)),
      team_(n_threads ? std::make_shared<ThreadPool>(n_threads) : ThreadPool::shared()) {
    name_ = std::string("CPU ") + kernels_.isa + ", " + std::to_string(team_.n_threads()) +
            (team_.n_threads() == 1 ? " thread" : " threads");
}

std::unique_ptr<Weight> CpuDevice::pack(size_t n_out, size_t n_in, npuenc_precision precision,
                                        const RowReader& rows, const float* bias, Sums) {
    return std::make_unique<PackedWeight>(*this, kernels_, team_, n_out, n_in, precision, rows,
                                          bias);
}

std::unique_ptr<Weight> CpuDevice::pack(size_t n_out, size_t n_in, const Int8Rows& rows,
                                        const float* bias) {
    return std::make_unique<PackedWeight>(*this, kernels_, team_, n_out, n_in, rows, bias);
}

void CpuDevice::layer_norm(size_t rows, size_t n, const float* x, const float* weight,
                           const float* bias, float* y) {
    if (n == 0)
        return;
    constexpr size_t rows_per_task = 32;
    parallel().for_each(ceil_div(rows, rows_per_task), [&](size_t task, unsigned) {
        const size_t end = std::min(rows, (task + 1) * rows_per_task);
        for (size_t row = task * rows_per_task; row < end; ++row)
            kernels_.rows.layer_norm(n, x + row * n, weight, bias, y + row * n);
    });
}

void CpuDevice::convert(npuenc_dtype type, size_t n, const float* in, void* out) {
    const auto convert =
        type == NPUENC_BF16 ? kernels_.convert.f32_to_bf16 : kernels_.convert.f32_to_f16;
    constexpr size_t values_per_task = 16384;
    parallel().for_each(ceil_div(n, values_per_task), [&](size_t task, unsigned) {
        const size_t first = task * values_per_task;
        convert(std::min(values_per_task, n - first), in + first,
                static_cast<uint16_t*>(out) + first);
    });
}

} // namespace npuenc
