/* SPDX-License-Identifier: MIT
 *
 * The arithmetic probe: how fast is this machine now? A thread on each of the processors named by
 * the arguments runs fused multiply-adds of floats on registers for about 10 ms whenever a line
 * comes in; what goes out is the rate of the slowest in GFLOPS, or GFLOP/s as this machine's best
 * vectors make them. The threads sleep between lines.
 */
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

constexpr double duration = 0.010;
constexpr int chains = 12; /* more than a multiplier's latency times its width */
constexpr int steps = 1000;

template <int bytes>
struct Vector {
    typedef float type __attribute__((vector_size(bytes)));
};

/* Inlined into one function for each instruction set. Every chain begins with a value of its own,
 * or the compiler would keep one of them. */
template <int bytes>
inline __attribute__((always_inline)) float chunk(float seed) {
    typename Vector<bytes>::type sums[chains], scale = {}, step = {};
    scale += 0.999F;
    step += seed;
    for (int i = 0; i < chains; ++i)
        sums[i] = step + static_cast<float>(i);
    for (int j = 0; j < steps; ++j)
#pragma GCC unroll 12
        for (int i = 0; i < chains; ++i)
            sums[i] = sums[i] * scale + step;
    float total = 0;
    for (int i = 0; i < chains; ++i)
        total += sums[i][0];
    return total;
}

#if defined(__x86_64__)
__attribute__((target("avx512f,fma"))) float chunk_avx512(float seed) {
    return chunk<64>(seed);
}
__attribute__((target("avx2,fma"))) float chunk_avx2(float seed) {
    return chunk<32>(seed);
}
#endif
float chunk_plain(float seed) {
    return chunk<16>(seed);
}

struct Kernel {
    float (*run)(float);
    double flops;
};

Kernel kernel() {
    constexpr double per_float = 2.0 * chains * steps;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        return {chunk_avx512, 16 * per_float};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return {chunk_avx2, 8 * per_float};
#endif
    return {chunk_plain, 4 * per_float};
}

volatile float sink;

double rate(const Kernel& kernel) {
    using clock = std::chrono::steady_clock;
    const auto began = clock::now();
    long count = 0;
    double seconds = 0;
    do {
        sink = kernel.run(1e-3F);
        ++count;
        seconds = std::chrono::duration<double>(clock::now() - began).count();
    } while (seconds < duration);
    return static_cast<double>(count) * kernel.flops / seconds / 1e9;
}

} // namespace

int main(int argc, char** argv) {
    const int n = argc - 1;
    if (n < 1) {
        std::fputs("usage: probe PROCESSOR...\n", stderr);
        return 2;
    }
    const Kernel fastest = kernel();
    std::vector<double> rates(static_cast<size_t>(n));
    std::barrier begin(n + 1), end(n + 1);
    bool stop = false;
    std::vector<std::thread> threads;
    for (int i = 0; i < n; ++i) {
        threads.emplace_back([&, i] {
            cpu_set_t set;
            CPU_ZERO(&set);
            CPU_SET(static_cast<size_t>(std::atoi(argv[i + 1])), &set);
            pthread_setaffinity_np(pthread_self(), sizeof set, &set);
            for (;;) {
                begin.arrive_and_wait();
                if (stop)
                    return;
                rates[static_cast<size_t>(i)] = rate(fastest);
                end.arrive_and_wait();
            }
        });
    }
    for (int c; (c = std::getchar()) != EOF;) {
        if (c != '\n')
            continue;
        begin.arrive_and_wait();
        end.arrive_and_wait();
        std::printf("%.3f\n", *std::min_element(rates.begin(), rates.end()));
        std::fflush(stdout);
    }
    stop = true;
    begin.arrive_and_wait();
    for (std::thread& thread : threads)
        thread.join();
}
