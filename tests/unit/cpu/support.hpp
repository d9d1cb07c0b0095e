// SPDX-License-Identifier: MIT
// What the tests of the CPU device share: cmocka, random operands, bounds of rounding errors.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cpu/cpu_device.hpp"
#include "error.hpp"
#include "tests/unit/random.hpp"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
extern "C" {
#include <cmocka.h>
}
#undef fail // a macro of cmocka; here it is npuenc's

namespace npuenc {

inline thread_local Stats unused_stats; // the CPU adds nothing to them

// Independent of the kernels under test; finite values only.
inline uint16_t to_bf16(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
inline float from_bf16(uint16_t value) {
    return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
}
inline std::vector<uint16_t> to_bf16(const std::vector<float>& values) {
    std::vector<uint16_t> rounded(values.size());
    for (size_t i = 0; i < values.size(); ++i)
        rounded[i] = to_bf16(values[i]);
    return rounded;
}
inline std::vector<float> from_bf16(const std::vector<uint16_t>& values) {
    std::vector<float> widened(values.size());
    for (size_t i = 0; i < values.size(); ++i)
        widened[i] = from_bf16(values[i]);
    return widened;
}

// To nearest even; finite values only.
inline uint16_t to_f16(float value) {
    const double magnitude = std::fabs(static_cast<double>(value));
    const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
    const int exponent = std::max(-14, magnitude > 0 ? std::ilogb(magnitude) : -14);
    const auto significand =
        static_cast<long>(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));
    return static_cast<uint16_t>(sign | std::min(0x7c00L, (exponent + 14L) * 1024 + significand));
}

// Half the distance from 1 to the next number.
constexpr double unit_f32 = 0x1p-24;
constexpr double unit_bf16 = 0x1p-8;

// Higham, Accuracy and Stability of Numerical Algorithms, 3.1: n roundings change a value by at
// most this much, relatively.
inline double gamma_f32(size_t n) {
    return static_cast<double>(n) * unit_f32 / (1 - static_cast<double>(n) * unit_f32);
}

inline void assert_near(double expected, double found, double bound, const char* what, size_t row,
                        size_t col) {
    if (std::fabs(expected - found) <= bound)
        return;
    std::fprintf(stderr, "%s [%zu][%zu]: expected %.9g, found %.9g, bound %.3g\n", what, row, col,
                 expected, found, bound);
    _fail(__FILE__, __LINE__);
}

// ThreadSanitizer takes a hundred times as long for a load of a vector. Who computes what depends
// on the sizes of a result and of the tiles, so that it is shown all of these, but no long sums.
#ifdef __SANITIZE_THREAD__
constexpr bool under_thread_sanitizer = true;
#else
constexpr bool under_thread_sanitizer = false;
#endif
// AddressSanitizer, too, has seen what there is to see of a sum long before its end.
#ifdef __SANITIZE_ADDRESS__
constexpr size_t long_k = 110;
#else
constexpr size_t long_k = under_thread_sanitizer ? 110 : 1100;
#endif

// The instruction sets that this machine has; under ThreadSanitizer two with tiles of different
// sizes.
inline std::vector<std::string> usable_isas() {
    std::vector<std::string> names;
    for (const char* const* isa = npuenc_kernels_isas(); *isa; ++isa) {
        npuenc_kernels kernels;
        if (npuenc_kernels_init(&kernels, *isa) == NPUENC_KERNELS_OK)
            names.emplace_back(*isa);
    }
    if (under_thread_sanitizer && names.size() > 2)
        names = {names[1], names.back()};
    return names;
}

// A device for each of them, not on the stack: a failing assertion jumps away, and threads live on.
inline std::vector<std::unique_ptr<CpuDevice>> device_of_each_isa() {
    std::vector<std::unique_ptr<CpuDevice>> devices;
    for (const std::string& isa : usable_isas())
        devices.push_back(std::make_unique<CpuDevice>(2, isa.c_str()));
    return devices;
}

template <class Body>
void with_each_isa(Body&& body) {
    for (const auto& device : device_of_each_isa())
        body(*device);
}

constexpr unsigned thread_counts[] = {1, 2, 3, 8};

inline RowReader reader_of(const std::vector<float>& values, size_t n_in) {
    return [&values, n_in](size_t first, size_t count, float* rows) {
        std::memcpy(rows, values.data() + first * n_in, count * n_in * sizeof(float));
    };
}

// An exception that reaches cmocka would say nothing but "terminate".
template <void (*test)()>
void guarded(void**) {
    try {
        test();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "unexpected: %s\n", error.what());
        _fail(__FILE__, __LINE__);
    }
}

} // namespace npuenc
