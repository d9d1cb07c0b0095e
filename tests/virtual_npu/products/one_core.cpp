// SPDX-License-Identifier: MIT
// The overlays of one core through the bytes that ship: attention against the model of its program
// and against float64, the 16 x 16 product against the definition.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>

#include "npu/gemm_stream.hpp"
#include "product.hpp"
#include "tests/kernels/aie2/attention_model.hpp"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
extern "C" {
#include <cmocka.h>
}

using namespace npuenc;

namespace {

struct Run {
    std::vector<uint8_t> output;
    npusim::RunReport report;
};

Run run(const OneToOneOverlay& overlay, std::vector<uint8_t> input, size_t count,
        std::optional<uint64_t> jitter = {}) {
    npusim::ArrayOptions options;
    options.jitter = jitter;
    options.core_rules = npusim::CoreRules::strict;
    npusim::Array array(options);
    array.load(read_overlay(overlay.name));

    Run result{std::vector<uint8_t>(count * overlay.output_bytes, 0xa5), {}};
    npusim::HostBuffers buffers;
    buffers.bind(0, input);
    buffers.bind(1, result.output);
    const InstructionStream stream = one_to_one_stream(overlay, count);
    const auto* words = reinterpret_cast<const uint8_t*>(stream.words().data());
    result.report = array.run(npusim::InstructionStream::parse({words, stream.bytes()}), buffers);
    return result;
}

std::vector<uint8_t> normal_values(size_t n, double deviation, uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal(0, deviation);
    std::vector<uint8_t> values(n);
    for (uint8_t& value : values)
        value = static_cast<uint8_t>(
            static_cast<int8_t>(std::clamp(std::nearbyint(normal(random)), -128.0, 127.0)));
    return values;
}

std::vector<uint8_t> problem_of(const std::vector<uint8_t>& all, size_t bytes, size_t i) {
    const auto first = all.begin() + static_cast<ptrdiff_t>(i * bytes);
    return {first, first + static_cast<ptrdiff_t>(bytes)};
}

void attention_is_near_float64(void**) {
    constexpr size_t count = 3;
    const auto& overlay = attention_s8_64x64;
    const std::vector<uint8_t> input = normal_values(count * overlay.input_bytes, 32, 1);
    const Run attention = run(overlay, input, count);
    for (size_t i = 0; i < count; ++i) {
        const auto message = problem_of(input, overlay.input_bytes, i);
        const auto output = problem_of(attention.output, overlay.output_bytes, i);
        assert_true(output == attention_model(message, aie2::attention_parameters(
                                                           aie2::default_attention_scale)));
        const Correlation found = correlation(message, output, aie2::default_attention_scale);
        assert_true(found.all >= 0.99);
    }
    const Run one = run(overlay, problem_of(input, overlay.input_bytes, 0), 1);
    std::printf("attention 64 x 64: %llu cycles from the start to the last output, DMA included\n",
                static_cast<unsigned long long>(one.report.last_output));
    assert_true(one.report.last_output < 20000);
}

// Row-major A || B to row-major C, by the definition.
std::vector<uint8_t> plain_matmul(const std::vector<uint8_t>& input, unsigned shift) {
    std::vector<uint8_t> c(256);
    for (size_t i = 0; i < 16; ++i)
        for (size_t j = 0; j < 16; ++j) {
            int sum = 0;
            for (size_t k = 0; k < 16; ++k)
                sum += static_cast<int8_t>(input[i * 16 + k]) *
                       static_cast<int8_t>(input[256 + k * 16 + j]);
            const double scaled = std::nearbyint(std::ldexp(sum, -static_cast<int>(shift)));
            c[i * 16 + j] =
                static_cast<uint8_t>(static_cast<int8_t>(std::clamp(scaled, -128.0, 127.0)));
        }
    return c;
}

void matmul_is_exact(void**) {
    constexpr size_t count = 9;
    const auto& overlay = matmul_s8_16x16;
    for (double deviation : {1.0, 12.0, 60.0, 1000.0}) {
        const auto input = normal_values(count * overlay.input_bytes, deviation, 3);
        const Run matmul = run(overlay, input, count);
        for (size_t i = 0; i < count; ++i)
            assert_true(problem_of(matmul.output, overlay.output_bytes, i) ==
                        plain_matmul(problem_of(input, overlay.input_bytes, i), 7));
    }
}

void jitter_changes_nothing(void**) {
    for (const OneToOneOverlay& overlay : {attention_s8_64x64, matmul_s8_16x16}) {
        const auto input = normal_values(2 * overlay.input_bytes, 40, 5);
        const std::vector<uint8_t> expected = run(overlay, input, 2).output;
        for (uint64_t seed = 1; seed <= 200; ++seed)
            assert_true(run(overlay, input, 2, seed).output == expected);
    }
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(attention_is_near_float64),
        cmocka_unit_test(matmul_is_exact),
        cmocka_unit_test(jitter_changes_nothing),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
