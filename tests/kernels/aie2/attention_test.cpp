// SPDX-License-Identifier: MIT
// The programs of attention 64x64 and of the 16x16 product without a core: what the checker says of
// them, that the re-tiling misses and repeats nothing, and how good the softmax is.
#include "kernels/aie2/attention_s8_64x64.hpp" // before cmocka, which has a macro fail()
#include "kernels/aie2/matmul_s8_16x16.hpp"

#include "attention_model.hpp"
#include "kernels/aie2/checker/checker.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <stdexcept>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
extern "C" {
#include <cmocka.h>
}

using namespace npuenc::aie2;

namespace {

constexpr uint32_t own_memory = 0x70000;

void assert_clean(Program program, std::vector<Region> regions) {
    program.finish();
    CheckOptions options;
    options.locks = {{"input", 49, 48}, {"output", 52, 53}};
    for (Region& region : regions)
        region.address += own_memory;
    options.regions = std::move(regions);
    for (const Finding& finding : check(place(program.bundles()), options))
        fail_msg("%s", to_text(finding).c_str());
}

void test_attention_is_clean(void**) {
    using Map = AttentionS8;
    assert_clean(attention_s8_64x64(),
                 {{"input 0", Map::input_address[0], Map::input_bytes},
                  {"input 1", Map::input_address[1], Map::input_bytes},
                  {"output 0", Map::output_address[0], Map::output_bytes},
                  {"output 1", Map::output_address[1], Map::output_bytes},
                  {"own", Map::initial_address, Map::work_end - Map::initial_address, true, true}});
}

void test_matmul_is_clean(void**) {
    using Map = MatmulS8;
    assert_clean(matmul_s8_16x16(), {{"input 0", Map::input_address[0], Map::input_bytes},
                                     {"input 1", Map::input_address[1], Map::input_bytes},
                                     {"output 0", Map::output_address[0], Map::output_bytes},
                                     {"output 1", Map::output_address[1], Map::output_bytes},
                                     {"shift", Map::shift_address, 4, true}});
}

template <class Dimensions>
void assert_covers(const Dimensions& dimensions, uint32_t bytes) {
    std::set<uint32_t> words;
    for (uint32_t i = 0; i < dimensions[2].size; ++i)
        for (uint32_t j = 0; j < dimensions[1].size; ++j)
            for (uint32_t k = 0; k < dimensions[0].size; ++k)
                assert_true(words
                                .insert(i * dimensions[2].step + j * dimensions[1].step +
                                        k * dimensions[0].step)
                                .second);
    assert_int_equal(words.size(), bytes / 4);
    assert_int_equal(*words.rbegin(), bytes / 4 - 1);
}

void test_patterns(void**) {
    assert_covers(AttentionS8::input_pattern, AttentionS8::input_bytes);
    assert_covers(AttentionS8::output_pattern, AttentionS8::output_bytes);
    assert_covers(MatmulS8::input_pattern, MatmulS8::input_bytes);
    assert_covers(MatmulS8::output_pattern, MatmulS8::output_bytes);
}

// The weight at some distance from the largest score, beside the exponential.
void test_tangents(void**) {
    for (double scale = std::ldexp(1.0, -28); scale <= std::ldexp(1.0, -6); scale *= 1.37) {
        const AttentionParameters parameters = attention_parameters(scale);
        assert_int_equal(parameters.intercepts[0], 127);
        assert_true(std::ranges::is_sorted(parameters.intercepts, std::greater()));
        assert_true(parameters.intercepts.back() >= 0);
        assert_true(parameters.score_shift >= 5 && parameters.score_shift <= 20);
        assert_true(parameters.slope_shift >= 0 && parameters.slope_shift <= 22);
        const double step = std::ldexp(scale, parameters.score_shift);
        const auto weight = [&](double exponent) {
            double largest = 0;
            for (size_t i = 0; i < parameters.intercepts.size(); ++i) {
                const int shift = parameters.slope_shift + static_cast<int>(i) - 6;
                largest = std::max(largest,
                                   parameters.intercepts[i] - std::ldexp(exponent / step, -shift));
            }
            return largest;
        };
        // Half of the 6 % that lie between a tangent and where it meets the next, and the rounding
        // of what it starts at. The factor that all weights have in common is free.
        const auto fits = [&](double height) {
            for (double exponent = 0; exponent < 10; exponent += 0.01) {
                const double exact = height * std::exp(-exponent);
                if (std::abs(weight(exponent) - exact) > 0.035 * exact + 0.6)
                    return false;
            }
            return true;
        };
        double height = 120;
        while (height < 140 && !fits(height))
            height += 0.5;
        if (height == 140)
            fail_msg("scale %g: weights are not an exponential", scale);
    }
    for (const double scale : {0.0, -1.0, 0.1, std::nan("")}) {
        bool thrown = false;
        try {
            attention_parameters(scale);
        } catch (const std::invalid_argument&) {
            thrown = true;
        }
        assert_true(thrown);
    }
}

// What the softmax is good for: inputs whose exponents are flat, middling and peaked. The output is
// given a scale at which int8 is fine enough.
void test_correlation(void**) {
    const struct {
        double deviation; // of a normal distribution; 0: uniform over int8
        double sharpness; // times the default scale
        int output_shift;
        double least, least_of_a_row;
    } cases[] = {
        {32, 0.1, 14, 0.998, 0.99}, {32, 1, 15, 0.998, 0.99},   {32, 3, 16, 0.998, 0.99},
        {32, 10, 16, 0.998, 0.99},  {32, 100, 16, 0.998, 0.99}, {32, 1, 16, 0.99, 0.99},
        {0, 0.1, 15, 0.998, 0.99},  {0, 1, 16, 0.998, 0.99},    {0, 10, 16, 0.998, 0.99},
        {8, 1, 12, 0.998, 0.99},    {8, 16, 13, 0.998, 0.99},   {64, 1, 16, 0.998, 0.99},
        {16, 1, 14, 0.998, 0.99},
    };
    std::mt19937 random(3);
    for (const auto& c : cases) {
        const double scale = default_attention_scale * c.sharpness;
        const AttentionParameters parameters = attention_parameters(scale, c.output_shift);
        for (int round = 0; round < 4; ++round) {
            std::vector<uint8_t> message(AttentionS8::input_bytes);
            std::normal_distribution<double> normal(0, c.deviation > 0 ? c.deviation : 1);
            for (uint8_t& byte : message)
                byte = c.deviation > 0 ? static_cast<uint8_t>(
                                             std::lround(std::clamp(normal(random), -128.0, 127.0)))
                                       : static_cast<uint8_t>(random());
            const Correlation found =
                correlation(message, attention_model(message, parameters), scale);
            if (round == 0)
                print_message("deviation %g, sharpness %g, output shift %d: %.5f, worst row %.5f\n",
                              c.deviation, c.sharpness, c.output_shift, found.all, found.worst_row);
            if (found.all < c.least || found.worst_row < c.least_of_a_row)
                fail_msg("correlation %.5f, of the worst row %.5f", found.all, found.worst_row);
        }
    }
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_attention_is_clean), cmocka_unit_test(test_matmul_is_clean),
        cmocka_unit_test(test_patterns),           cmocka_unit_test(test_tangents),
        cmocka_unit_test(test_correlation),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
