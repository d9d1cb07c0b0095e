// SPDX-License-Identifier: MIT
#include "measurement.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>

#include "child_process.hpp"
#include "first_window.hpp"

namespace npuenc {
namespace {

using Clock = std::chrono::steady_clock;

uint64_t nanoseconds_since(Clock::time_point start) {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count());
}

uint64_t peak_memory() {
    struct rusage usage {};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

// Calls `run` often enough, and `fastest` after each run that is faster than those before it.
template <typename Run, typename Fastest>
Times repeat(const Run& run, const Fastest& fastest) {
    constexpr size_t least_runs = 10, most_runs = 1000;
    constexpr uint64_t least_ns = 1'000'000'000;
    run();
    std::vector<uint64_t> times;
    const Clock::time_point begin = Clock::now();
    while (times.size() < least_runs ||
           (times.size() < most_runs && nanoseconds_since(begin) < least_ns)) {
        const Clock::time_point start = Clock::now();
        run();
        const uint64_t took = nanoseconds_since(start);
        if (times.empty() || took < *std::min_element(times.begin(), times.end()))
            fastest();
        times.push_back(took);
    }
    std::sort(times.begin(), times.end());
    return {static_cast<uint32_t>(times.size()), times.front(), times[times.size() / 2]};
}

void take_profile(EncodeMeasurement& result, const npuenc_run* run) {
    check(npuenc_run_op_count(run, &result.n_operators));
    if (result.n_operators > std::size(result.operators))
        fail(exit_failed, "the model has %u operators, more than the %zu that a profile can list",
             result.n_operators, std::size(result.operators));
    for (uint32_t i = 0; i < result.n_operators; ++i) {
        npuenc_op_info& info = result.operators[i];
        info.struct_size = sizeof info;
        check(npuenc_run_op_get(run, i, &info));
    }
}

void encode_repeatedly(const EncodeTask& task, EncodeMeasurement& result) {
    const Context context(task.device_type, task.n_threads);
    const Clock::time_point start = Clock::now();
    const Model model(context, task.model_path, task.precision);
    result.load_ns = nanoseconds_since(start);
    result.device = context.device();
    result.n_threads = context.info().n_threads;
    result.model = model.info();

    FirstWindow window(model, task.pcm);
    const RunHandle run = context.make_run();
    const auto encode = [&] { window.encode(run.get()); };
    result.times = repeat(encode, [&] {
        if (task.profile)
            take_profile(result, run.get());
    });
    result.macs = stats_of(run.get()).macs;
    result.peak_bytes = peak_memory();
}

void multiply_repeatedly(const ProductType& type, uint32_t size, int32_t device_type,
                         uint32_t n_threads, ProductMeasurement& result) {
    const Context context(device_type, n_threads);
    npuenc_matmul_desc desc{};
    desc.struct_size = sizeof desc;
    desc.a_type = desc.b_type = type.a_type;
    desc.c_type = type.c_type;
    desc.m = desc.n = desc.k = size;
    const size_t elements = size_t{size} * size;
    const size_t a_bytes = elements * (type.a_type == NPUENC_F32    ? 4
                                       : type.a_type == NPUENC_BF16 ? 2
                                                                    : 1);
    // 0x3c3c3c3c is a small normal number in f32, its halves are in bf16, and its quarters 60.
    const std::vector<uint32_t> a(a_bytes / 4, 0x3c3c3c3c), b(a_bytes / 4, 0x3c3c3c3c);
    std::vector<uint32_t> c(elements);
    const auto multiply = [&] {
        return npuenc_matmul(context.get(), &desc, a.data(), a_bytes, b.data(), a_bytes, c.data(),
                             c.size() * sizeof c[0], nullptr);
    };
    result.supported = multiply() != NPUENC_E_UNSUPPORTED;
    if (result.supported)
        result.times = repeat([&] { check(multiply()); }, [] {});
}

} // namespace

EncodeMeasurement measure_encode(const EncodeTask& task) {
    return in_child<EncodeMeasurement>(
        [&](EncodeMeasurement& result) { encode_repeatedly(task, result); });
}

ProductMeasurement measure_product(const ProductType& type, uint32_t size, int32_t device_type,
                                   uint32_t n_threads) {
    return in_child<ProductMeasurement>([&](ProductMeasurement& result) {
        multiply_repeatedly(type, size, device_type, n_threads, result);
    });
}

} // namespace npuenc
