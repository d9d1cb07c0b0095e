// SPDX-License-Identifier: MIT
// Products on the array through the bytes that ship: host matrices, packing, instruction stream,
// overlay, simulated cores, unpacking. Nothing here is shared by the programs and what they are
// compared with.
//
//     products [GROUP...]: exact, reuse, jitter, figures; all by default
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "aligned_buffer.hpp"
#include "npu/gemm_stream.hpp"
#include "product.hpp"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
extern "C" {
#include <cmocka.h>
}

using namespace npuenc;

namespace {

void assert_bytes(const std::vector<uint8_t>& found, const std::vector<uint8_t>& expected,
                  const GemmOverlay& overlay, const Operands& of) {
    assert_int_equal(found.size(), expected.size());
    if (found == expected)
        return;
    const size_t element = expected.size() / (of.m * of.n);
    size_t wrong = 0, first = expected.size();
    for (size_t i = 0; i < expected.size(); i += element)
        if (std::memcmp(&found[i], &expected[i], element) != 0) {
            ++wrong;
            first = std::min(first, i / element);
        }
    print_error("%s %zux%zux%zu: %zu of %zu elements differ, the first in row %zu, column %zu\n",
                title_of(overlay).c_str(), of.m, of.n, of.k, wrong, of.m * of.n, first / of.n,
                first % of.n);
    fail();
}

// Only results of 8 and 16 bits of integers are shifted.
unsigned shift_of(const GemmOverlay& overlay, unsigned shift) {
    return shifts(overlay) ? shift : 0;
}

void assert_product(npusim::Array& array, const GemmOverlay& overlay, const Operands& operands,
                    unsigned shift = 0) {
    assert_bytes(run_product(array, overlay, operands, shift),
                 plain_product(overlay, operands, shift), overlay, operands);
}

npusim::ArrayOptions options(std::optional<uint64_t> jitter) {
    npusim::ArrayOptions options;
    options.jitter = jitter;
    options.core_rules = npusim::CoreRules::strict;
    return options;
}

// With an overlay in it.
struct ConfiguredArray : npusim::Array {
    explicit ConfiguredArray(const GemmOverlay& overlay, std::optional<uint64_t> jitter = {})
        : Array(options(jitter)) {
        load(read_overlay(overlay.name));
    }
};

struct Shape {
    size_t m, n, k;
};

// One tile, its neighbours, edges on all sides, several groups both ways, long and short K.
constexpr Shape shapes[] = {
    {1, 1, 1},      {16, 16, 16},   {64, 64, 64},   {64, 64, 63},    {65, 63, 65},
    {3, 257, 130},  {257, 3, 130},  {256, 256, 64}, {255, 511, 129}, {300, 70, 515},
    {70, 300, 515}, {513, 257, 31}, {1, 769, 96},   {600, 600, 200}, {33, 31, 2048},
};

void test_shapes(const GemmOverlay& overlay, unsigned shift) {
    uint32_t seed = 1;
    ConfiguredArray array(overlay);
    for (const Shape& shape : shapes)
        assert_product(array, overlay,
                       make_operands(overlay, shape.m, shape.n, shape.k, Values::any, seed++),
                       shift);
}

void s8_sums_are_exact(void**) {
    test_shapes(gemm_s8_s32, 0);
}

void s8_results_are_rounded_to_even_and_saturated(void**) {
    for (const GemmOverlay& overlay : {gemm_s8_s8, gemm_s8_s16}) {
        test_shapes(overlay, overlay.result == GemmResult::s8 ? 9 : 3);
        ConfiguredArray array(overlay);
        // Few products, so that sums are small and ties are many; then every shift.
        for (unsigned shift : {0, 1, 2, 3, 7, 14, 22, 31})
            for (size_t k : {1, 3, 100})
                assert_product(array, overlay,
                               make_operands(overlay, 64, 64, k, Values::any, shift + 100), shift);
    }
}

void bf16_sums_are_those_of_the_model(void**) {
    test_shapes(gemm_bf16_f32, 0);
}

void bf16_results_of_16_bits_are_the_low_ones(void**) {
    test_shapes(gemm_bf16_s16, 0);
}

void bf16_sums_are_near_exact_arithmetic(void**) {
    const Operands of = make_operands(gemm_bf16_f32, 70, 300, 515, Values::any, 7);
    ConfiguredArray array(gemm_bf16_f32);
    const std::vector<uint8_t> found = run_product(array, gemm_bf16_f32, of, 0);
    for (size_t i = 0; i < of.m; ++i)
        for (size_t j = 0; j < of.n; ++j) {
            float value;
            std::memcpy(&value, &found[4 * (i * of.n + j)], 4);
            const Exact exact = exact_element(of, i, j);
            if (!(std::abs(value - exact.value) <= exact.bound)) {
                print_error("row %zu column %zu: %.9g, exact %.9g, bound %.2g\n", i, j,
                            static_cast<double>(value), exact.value, exact.bound);
                fail();
            }
        }
}

void assert_gelu(npusim::Array& array, const GeluOperands& operands,
                 npusim::RunReport* report = nullptr) {
    const std::vector<uint16_t> found = run_gelu(array, operands, report),
                                expected = plain_gelu(operands);
    if (found == expected)
        return;
    const Operands& of = operands.product;
    const size_t columns = expected.size() / round_up(of.m, output_group);
    size_t wrong = 0, first = expected.size();
    for (size_t i = 0; i < expected.size(); ++i)
        if (found[i] != expected[i]) {
            ++wrong;
            first = std::min(first, i);
        }
    print_error("%s %zux%zux%zu: %zu of %zu elements differ, the first in row %zu, column %zu: "
                "%04x, %04x by the model\n",
                title_of(gemm_bf16_gelu).c_str(), of.m, of.n, of.k, wrong, expected.size(),
                first / columns, first % columns, found[first], expected[first]);
    fail();
}

void gelu_is_that_of_the_model(void**) {
    uint32_t seed = 1;
    ConfiguredArray array(gemm_bf16_gelu);
    for (const Shape& shape : shapes)
        assert_gelu(array, make_gelu_operands(shape.m, shape.n, shape.k, seed++));
}

void gelu_is_near_exact_arithmetic(void**) {
    const GeluOperands of = make_gelu_operands(70, 300, 515, 7);
    ConfiguredArray array(gemm_bf16_gelu);
    const std::vector<uint16_t> found = run_gelu(array, of);
    const size_t columns = round_up(of.product.n, output_group);
    for (size_t i = 0; i < of.product.m; ++i)
        for (size_t j = 0; j < of.product.n; ++j) {
            const auto value =
                std::bit_cast<float>(static_cast<uint32_t>(found[i * columns + j]) << 16);
            const Exact exact = exact_gelu_element(of, i, j);
            if (!(std::abs(value - exact.value) <= exact.bound)) {
                print_error("row %zu column %zu: %.9g, exact %.9g, bound %.2g\n", i, j,
                            static_cast<double>(value), exact.value, exact.bound);
                fail();
            }
        }
}

// Far beyond where GELU bends, of either sign: it is the sum, or zero.
void gelu_of_the_largest_values(void**) {
    ConfiguredArray array(gemm_bf16_gelu);
    GeluOperands operands{make_operands(gemm_bf16_gelu, 65, 66, 2049, Values::largest, 3),
                          std::vector<float>(66, -1)};
    for (size_t i = 1; i < operands.product.b.size(); i += 4) // every other column
        operands.product.b[i] ^= 0x80;
    assert_gelu(array, operands);
}

void largest_values_do_not_overflow(void**) {
    for (const GemmOverlay* known : gemm_overlays) {
        const GemmOverlay& overlay = *known;
        ConfiguredArray array(overlay);
        assert_product(array, overlay, make_operands(overlay, 65, 66, 2049, Values::largest, 3),
                       shift_of(overlay, 5));
    }
}

void runs_follow_each_other_without_a_reload(void**) {
    for (const GemmOverlay* known : gemm_overlays) {
        const GemmOverlay& overlay = *known;
        ConfiguredArray array(overlay);
        uint32_t seed = 40;
        for (size_t k : {64, 640, 32, 96, 64, 200})
            assert_product(array, overlay, make_operands(overlay, 80, 270, k, Values::any, seed++),
                           shift_of(overlay, 6));
    }
}

// Products that follow each other in all forms of results, of so many groups. Results of 16 bits,
// GELU among them, take half of OUT, and after an odd number of them those of f32 begin in the
// other half.
struct InForm {
    const GemmOverlay& overlay;
    size_t groups;
};
constexpr InForm all_forms[] = {
    {gemm_bf16_f32, 1},  {gemm_bf16_s16, 1},  {gemm_bf16_f32, 3},  {gemm_bf16_s16, 3},
    {gemm_bf16_s16, 2},  {gemm_bf16_f32, 1},  {gemm_bf16_s16, 1},  {gemm_bf16_f32, 2},
    {gemm_bf16_gelu, 1}, {gemm_bf16_f32, 1},  {gemm_bf16_gelu, 3}, {gemm_bf16_s16, 1},
    {gemm_bf16_gelu, 1}, {gemm_bf16_gelu, 2}, {gemm_bf16_f32, 1},  {gemm_bf16_gelu, 1},
};

void forms_of_results_take_turns(void**) {
    ConfiguredArray array(gemm_bf16_f32);
    uint32_t seed = 60;
    for (size_t k : {32, 96, 200})
        for (const auto& [overlay, groups] : all_forms) {
            const size_t n = groups * 256 - 9;
            if (overlay.result == GemmResult::gelu)
                assert_gelu(array, make_gelu_operands(80, n, k, seed++));
            else
                assert_product(array, overlay,
                               make_operands(overlay, 80, n, k, Values::any, seed++));
        }
}

void overlays_take_turns(void**) {
    ConfiguredArray array(gemm_s8_s32);
    for (int turn = 0; turn < 2; ++turn)
        for (const GemmOverlay& overlay :
             {gemm_bf16_f32, gemm_s8_s8, gemm_bf16_s16, gemm_s8_s16, gemm_s8_s32}) {
            array.load(read_overlay(overlay.name));
            assert_product(array, overlay, make_operands(overlay, 100, 100, 192, Values::any, 9),
                           shift_of(overlay, 6));
        }
}

// Whatever takes how long, the result is the same.
void jitter_changes_nothing(void**) {
    for (const GemmOverlay* known : gemm_overlays) {
        const GemmOverlay& overlay = *known;
        const Operands operands = make_operands(overlay, 70, 260, 100, Values::any, 5);
        const unsigned shift = shift_of(overlay, 8);
        const std::vector<uint8_t> expected = plain_product(overlay, operands, shift);
        for (uint64_t seed = 1; seed <= 200; ++seed) {
            ConfiguredArray array(overlay, seed);
            assert_bytes(run_product(array, overlay, operands, shift), expected, overlay, operands);
            if (seed % 20 == 0) // and a second time without a reload
                assert_bytes(run_product(array, overlay, operands, shift), expected, overlay,
                             operands);
        }
    }
}

void jitter_changes_nothing_between_forms(void**) {
    std::vector<GeluOperands> operands;
    std::vector<std::vector<uint8_t>> sums; // of those that are not GELU
    std::vector<std::vector<uint16_t>> gelu;
    for (const auto& [overlay, groups] : all_forms) {
        const bool is_gelu = overlay.result == GemmResult::gelu;
        operands.push_back(make_gelu_operands(70, groups * 256, 64, 5));
        gelu.push_back(is_gelu ? plain_gelu(operands.back()) : std::vector<uint16_t>());
        sums.push_back(is_gelu ? std::vector<uint8_t>()
                               : plain_product(overlay, operands.back().product, 0));
    }
    for (uint64_t seed = 1; seed <= 40; ++seed) {
        ConfiguredArray array(gemm_bf16_f32, seed);
        for (size_t i = 0; i < std::size(all_forms); ++i) {
            const GemmOverlay& overlay = all_forms[i].overlay;
            if (overlay.result == GemmResult::gelu)
                assert_true(run_gelu(array, operands[i]) == gelu[i]);
            else
                assert_bytes(run_product(array, overlay, operands[i].product, 0), sums[i], overlay,
                             operands[i].product);
        }
    }
}

struct Figure {
    const GemmOverlay& overlay;
    Shape shape;
    double steady, whole; // at least
};

constexpr Figure figures[] = {
    {gemm_s8_s32, {512, 512, 512}, 0.80, 0.60},    {gemm_s8_s8, {512, 512, 512}, 0.80, 0.65},
    {gemm_bf16_f32, {512, 512, 512}, 0.85, 0.70},  {gemm_s8_s32, {1500, 512, 512}, 0.80, 0.70},
    {gemm_bf16_f32, {1500, 512, 512}, 0.85, 0.78}, {gemm_s8_s16, {512, 512, 512}, 0.80, 0.65},
    {gemm_s8_s16, {1500, 512, 512}, 0.80, 0.70},   {gemm_bf16_s16, {512, 512, 512}, 0.90, 0.80},
    {gemm_bf16_s16, {1500, 512, 512}, 0.88, 0.84}, {gemm_bf16_gelu, {1500, 512, 512}, 0.70, 0.60},
};

// Simulated cycles, the same on every machine.
void print_figure(const Figure& figure, const npusim::RunReport& report) {
    const auto& [m, n, k] = figure.shape;
    // Shares of the product that was asked for: padding counts as nothing done.
    const double vmacs = static_cast<double>(m * n * k) /
                         (figure.overlay.operand_type == NPUENC_S8 ? 256 : 128) / 16;
    uint64_t first = ~0ull, last = 0;
    for (const auto& core : report.cores) {
        first = std::min(first, core.counters.first_vmac);
        last = std::max(last, core.counters.last_vmac);
    }
    const double steady = vmacs / static_cast<double>(last - first + 1);
    const double whole = vmacs / static_cast<double>(report.last_output);
    uint64_t words = 0; // through the shims; operands that are sent again count again
    for (const auto& channel : report.channels)
        words += channel.row == 0 ? channel.counters.words : 0;
    std::printf("%-15s %-16s %9llu %6.1f%% %6.1f%% %12.1f %7llu %11llu\n",
                title_of(figure.overlay).c_str(),
                (std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k)).c_str(),
                static_cast<unsigned long long>(report.last_output), 100 * steady, 100 * whole,
                4 * static_cast<double>(words) / static_cast<double>(report.last_output),
                static_cast<unsigned long long>(report.pushes),
                static_cast<unsigned long long>(report.operations));
    assert_true(steady >= figure.steady);
    assert_true(whole >= figure.whole);
    assert_true(report.pushes <= 16);
    assert_true(report.operations <= 80);
}

void shares_of_peak(void**) {
    std::printf("%-15s %-16s %9s %7s %7s %12s %7s %11s\n", "overlay", "M x N x K", "cycles",
                "steady", "whole", "bytes/cycle", "pushes", "operations");
    for (const Figure& figure : figures) {
        const auto& [m, n, k] = figure.shape;
        npusim::RunReport report;
        ConfiguredArray array(figure.overlay);
        if (is_next_a(figure.overlay)) {
            assert_gelu(array, make_gelu_operands(m, n, k, 11), &report);
        } else {
            const Operands operands = make_operands(figure.overlay, m, n, k, Values::any, 11);
            const unsigned shift = shift_of(figure.overlay, 8);
            assert_bytes(run_product(array, figure.overlay, operands, shift, &report),
                         plain_product(figure.overlay, operands, shift), figure.overlay, operands);
        }
        print_figure(figure, report);
    }
}

} // namespace

int main(int argc, char** argv) {
    const CMUnitTest exact[] = {
        cmocka_unit_test(s8_sums_are_exact),
        cmocka_unit_test(s8_results_are_rounded_to_even_and_saturated),
        cmocka_unit_test(bf16_sums_are_those_of_the_model),
        cmocka_unit_test(bf16_results_of_16_bits_are_the_low_ones),
        cmocka_unit_test(bf16_sums_are_near_exact_arithmetic),
        cmocka_unit_test(gelu_is_that_of_the_model),
        cmocka_unit_test(gelu_is_near_exact_arithmetic),
        cmocka_unit_test(gelu_of_the_largest_values),
        cmocka_unit_test(largest_values_do_not_overflow),
    };
    const CMUnitTest reuse[] = {
        cmocka_unit_test(runs_follow_each_other_without_a_reload),
        cmocka_unit_test(forms_of_results_take_turns),
        cmocka_unit_test(overlays_take_turns),
    };
    const CMUnitTest jitter[] = {
        cmocka_unit_test(jitter_changes_nothing),
        cmocka_unit_test(jitter_changes_nothing_between_forms),
    };
    const CMUnitTest shares[] = {cmocka_unit_test(shares_of_peak)};

    int failed = 0;
    const auto wanted = [&](const char* group) {
        for (int i = 1; i < argc; ++i)
            if (std::strcmp(argv[i], group) == 0)
                return true;
        return argc == 1;
    };
    if (wanted("exact"))
        failed += cmocka_run_group_tests(exact, nullptr, nullptr);
    if (wanted("reuse"))
        failed += cmocka_run_group_tests(reuse, nullptr, nullptr);
    if (wanted("jitter"))
        failed += cmocka_run_group_tests(jitter, nullptr, nullptr);
    if (wanted("figures"))
        failed += cmocka_run_group_tests(shares, nullptr, nullptr);
    return failed;
}
