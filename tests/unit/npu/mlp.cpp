// SPDX-License-Identifier: MIT
// MLPs whose hidden values stay on the array, near float64.
#include <algorithm>
#include <cmath>
#include <limits>

#include "device_support.hpp"
#include "tests/unit/cpu/linear_problem.hpp"

using namespace npuenc;

namespace {

// The first layer makes the hidden values of x, the second one results of those.
struct MlpProblem {
    LinearProblem up, down;

    MlpProblem(size_t rows, size_t n_in, size_t n_hidden, size_t n_out, bool norm = false)
        : up({rows, n_in, n_hidden, true, true, false, 3, 0, 0, norm}),
          down({rows, n_hidden, n_out, true, false, true, 0, 5, 2}) {}

    Linear shape(npuenc_dtype x_type = NPUENC_F32, npuenc_dtype y_type = NPUENC_F32) const {
        Linear shape = down.linear(x_type, y_type);
        shape.ldx = up.ldx;
        shape.norm = up.linear().norm;
        return shape;
    }
    std::unique_ptr<Weight> pack_up(Device& device) const {
        return up.pack(device, NPUENC_PRECISION_BF16, Sums::stay);
    }
    std::unique_ptr<Weight> pack_down(Device& device) const {
        return down.pack(device, NPUENC_PRECISION_BF16, Sums::of_stayed);
    }
    size_t n_results() const { return down.shape.rows * down.ldy; }
};

// In so many submissions of two commands and two synchronisations each.
std::vector<float> results_of(Device& device, const MlpProblem& problem, uint64_t submissions = 1) {
    const auto up = problem.pack_up(device), down = problem.pack_down(device);
    std::vector<float> y(problem.n_results(), 77);
    Stats stats;
    const Counting counting;
    device.mlp(*up, *down, problem.shape(), problem.up.x.data(), y.data(), stats);
    counting.assert_costs(stats, submissions, 2 * submissions);
    assert_int_equal(counting.commands(), 2 * submissions);
    return y;
}

double rounded(float value) {
    return static_cast<double>(from_bf16(to_bf16(value)));
}

struct Near {
    double value, bound;
};

// A hidden value: the bias is within 2^-17 of the two parts that it has there, and both are added,
// as tiles of the product are; then h is rounded to bf16. GELU, whose slope is below 1.13, is made
// as gelu_tile.hpp says, and rounded again.
Near hidden_near(const LinearProblem& up, size_t row, size_t column) {
    const size_t n = up.shape.n_in;
    double sum = static_cast<double>(up.bias[column]), magnitudes = std::fabs(sum);
    double bound = 0x1p-17 * magnitudes;
    for (size_t k = 0; k < n; ++k) {
        const double product = rounded(up.x[row * up.ldx + k]) * rounded(up.w[column * n + k]);
        sum += product;
        magnitudes += std::fabs(product);
    }
    bound += bf16_bound(n + 16, magnitudes);
    bound += unit_bf16 * (std::fabs(sum) + bound);
    const double gelu = exact_gelu(sum);
    bound = 1.13 * bound + 2.2e-4;
    return {gelu, bound + unit_bf16 * (std::fabs(gelu) + bound)};
}

void check(const MlpProblem& problem, const std::vector<float>& y, size_t every_row = 1) {
    const LinearProblem& down = problem.down;
    const size_t n = down.shape.n_in;
    for (size_t row = 0; row < down.shape.rows; row += every_row) {
        std::vector<Near> hidden;
        for (size_t i = 0; i < n; ++i)
            hidden.push_back(hidden_near(problem.up, row, i));
        for (size_t column = 0; column < down.shape.n_out; ++column) {
            double sum = 0, magnitudes = 0, bound = 0;
            for (size_t i = 0; i < n; ++i) {
                const double w = rounded(down.w[column * n + i]);
                sum += hidden[i].value * w;
                magnitudes += (std::fabs(hidden[i].value) + hidden[i].bound) * std::fabs(w);
                bound += hidden[i].bound * std::fabs(w);
            }
            bound += bf16_bound(n, magnitudes);
            if (down.shape.bias) {
                sum += static_cast<double>(down.bias[column]);
                bound += unit_f32 * (std::fabs(sum) + bound);
            }
            sum = down.finish(sum, row, column, bound);
            assert_near(sum, static_cast<double>(y[row * down.ldy + column]), bound, "y", row,
                        column);
        }
    }
}

// Every result one hidden value, each of them once or more: bounds are a hundredth of it.
void select_hidden_values(MlpProblem& problem) {
    const size_t n = problem.down.shape.n_in;
    std::fill(problem.down.w.begin(), problem.down.w.end(), 0.0f);
    for (size_t column = 0; column < problem.down.shape.n_out; ++column)
        problem.down.w[column * n + column * 7 % n] = 1;
}

void is_near_float64() {
    const auto device = open_array();
    const struct {
        size_t rows, n_in, n_hidden, n_out;
    } shapes[] = {{1, 1, 1, 1},       {3, 70, 33, 5},      {9, 30, 300, 65},
                  {130, 65, 40, 260}, {300, 100, 520, 70}, {600, 40, 256, 256}};
    for (const auto& [rows, n_in, n_hidden, n_out] : shapes)
        for (const bool selects : {false, true}) {
            MlpProblem problem(rows, n_in, n_hidden, n_out);
            if (selects)
                select_hidden_values(problem);
            const std::vector<float> y = results_of(*device, problem);
            check(problem, y);
            for (size_t row = 0; row < rows; ++row) // nothing beside them
                for (size_t i = n_out; i < problem.down.ldy; ++i)
                    assert_true(y[row * problem.down.ldy + i] == 77);
        }
}

// Of the hidden values nothing goes either way.
void only_operands_and_results_are_synchronised() {
    const auto device = open_array();
    const MlpProblem problem(300, 40, 600, 70);
    const auto up = problem.pack_up(*device), down = problem.pack_down(*device);
    std::vector<float> y(problem.n_results());
    Stats stats;
    device->mlp(*up, *down, problem.shape(), problem.up.x.data(), y.data(), stats);
    assert_int_equal(stats.bytes_to_device, 2 * 256 * 3 * 32 * 2); // two tiles of K, and one more
    assert_int_equal(stats.bytes_from_device, 2 * 256 * 256 * 4);
}

// Types of x and of y, and a norm: as the host's conversions make them.
void types_are_converted_as_the_host_does() {
    const auto device = open_array();
    const MlpProblem problem(20, 33, 70, 40, true);
    const auto up = problem.pack_up(*device), down = problem.pack_down(*device);
    const size_t n = problem.up.shape.n_in, rows = problem.up.shape.rows, ldx = problem.up.ldx;
    std::vector<float> normal(problem.up.x.size());
    for (size_t row = 0; row < rows; ++row)
        device->layer_norm(1, n, problem.up.x.data() + row * ldx, problem.up.norm_weight.data(),
                           problem.up.norm_bias.data(), normal.data() + row * ldx);
    Stats stats;
    std::vector<float> y(problem.n_results()), of_bf16(y.size());
    device->mlp(*up, *down, problem.shape(), problem.up.x.data(), y.data(), stats);
    Linear shape = problem.shape(NPUENC_BF16);
    shape.norm = {};
    const std::vector<uint16_t> halves = to_bf16(normal);
    device->mlp(*up, *down, shape, halves.data(), of_bf16.data(), stats);
    std::vector<uint16_t> to_halves(y.size());
    device->mlp(*up, *down, problem.shape(NPUENC_F32, NPUENC_BF16), problem.up.x.data(),
                to_halves.data(), stats);
    for (size_t row = 0; row < rows; ++row)
        for (size_t column = 0; column < problem.down.shape.n_out; ++column) {
            const size_t i = row * problem.down.ldy + column;
            assert_true(y[i] == of_bf16[i]);
            assert_int_equal(to_halves[i], to_bf16(y[i]));
        }
}

// The rows that come in are the residual stream that results are added to.
void adds_to_x_itself() {
    const auto device = open_array();
    MlpProblem problem(600, 40, 70, 40);
    const auto up = problem.pack_up(*device), down = problem.pack_down(*device);
    std::vector<float> apart(problem.up.x.size()), in_place = problem.up.x;
    Linear shape = problem.shape();
    shape.ldy = shape.ld_addend = shape.ldx;
    shape.addend = problem.up.x.data();
    Stats stats;
    device->mlp(*up, *down, shape, problem.up.x.data(), apart.data(), stats);
    shape.addend = in_place.data();
    device->mlp(*up, *down, shape, in_place.data(), in_place.data(), stats);
    for (size_t row = 0; row < 600; ++row)
        assert_memory_equal(apart.data() + row * shape.ldy, in_place.data() + row * shape.ldy,
                            40 * sizeof(float));
}

// More rows than a submission takes, and rows through little memory, 256 of them at a time.
void rows_in_parts() {
    const MlpProblem many(2310, 20, 40, 10);
    check(many, results_of(*open_array(), many, 2), 7);
    const MlpProblem problem(600, 40, 300, 70);
    const auto plenty = open_array(3), little = open_array(1, nullptr, size_t{700} << 10);
    assert_true(results_of(*plenty, problem) == results_of(*little, problem, 3));
}

// What is not finite or too large makes the results that hang on it no numbers, and no others.
void what_is_beyond_bounds() {
    const auto device = open_array();
    constexpr size_t bad_row = 2, bad_column = 3;
    const auto check_numbers = [&](const MlpProblem& problem, auto is_number) {
        const std::vector<float> y = results_of(*device, problem);
        for (size_t row = 0; row < problem.down.shape.rows; ++row)
            for (size_t column = 0; column < problem.down.shape.n_out; ++column)
                assert_int_equal(!std::isnan(y[row * problem.down.ldy + column]),
                                 is_number(row, column));
    };
    const auto never = [](size_t, size_t) { return false; };
    for (const float bad :
         {INFINITY, -INFINITY, NAN, 0x1p39f, -0x1p100f, std::numeric_limits<float>::max()}) {
        const MlpProblem good(5, 40, 70, 9);
        MlpProblem problem = good;
        problem.up.x[bad_row * problem.up.ldx + 7] = bad;
        check_numbers(problem, [](size_t row, size_t) { return row != bad_row; });
        problem = good;
        problem.up.w[40 * 69 + 3] = bad;
        check_numbers(problem, never);
        problem = good;
        problem.up.bias[64] = bad;
        check_numbers(problem, never);
        problem = good;
        problem.down.w[bad_column * 70 + 69] = bad;
        check_numbers(problem, [](size_t, size_t column) { return column != bad_column; });
    }
}

// The largest that are taken: no sum is too large, whatever the signs.
void the_largest_values_have_finite_results() {
    const auto device = open_array();
    MlpProblem problem(2, 1, 600, 3);
    constexpr float most = 0x1.fp38f; // below 127/128 of the bound
    std::fill(problem.up.x.begin(), problem.up.x.end(), most);
    std::fill(problem.up.w.begin(), problem.up.w.end(), most);
    std::fill(problem.up.bias.begin(), problem.up.bias.end(), most);
    std::fill(problem.down.w.begin(), problem.down.w.end(), 0x1p33f);
    check(problem, results_of(*device, problem));
}

void without_biases() {
    const auto device = open_array();
    MlpProblem problem(5, 40, 70, 9);
    problem.up.shape.bias = problem.down.shape.bias = false;
    const std::vector<float> y = results_of(*device, problem);
    std::fill(problem.up.bias.begin(), problem.up.bias.end(), 0.0f);
    check(problem, y);
}

void refuses_what_it_cannot() {
    const auto device = open_array();
    const MlpProblem problem(3, 8, 20, 6), other(3, 8, 21, 6);
    const auto up = problem.pack_up(*device), down = problem.pack_down(*device);
    std::vector<float> y(problem.n_results(), 77);
    Stats stats;
    const auto refuses = [&](const Weight& first, const Weight& second, const char* part) {
        assert_error(
            device->mlp(first, second, problem.shape(), problem.up.x.data(), y.data(), stats),
            NPUENC_E_INVALID, part);
    };
    refuses(*down, *up, "not packed for one");
    refuses(*up, *up, "not packed for one");
    refuses(*up, *other.pack_down(*device), "not packed for one");
    refuses(*up, *problem.down.pack(*device, NPUENC_PRECISION_BF16), "not packed for one");
    refuses(*problem.up.pack(*device, NPUENC_PRECISION_INT8, Sums::stay), *down,
            "not packed for one");
    const auto elsewhere = open_array();
    refuses(*problem.pack_up(*elsewhere), *down, "for another device");
    for (const Weight* weight : {up.get(), down.get()})
        assert_error(
            device->linear(*weight, problem.down.linear(), problem.up.x.data(), y.data(), stats),
            NPUENC_E_INVALID, "packed for an MLP");
    assert_true(y == std::vector<float>(y.size(), 77));
    assert_int_equal(stats.n_submissions, 0);

    assert_true(device->has_mlp(32480, 16384, 2304));
    assert_false(device->has_mlp(32481, 16384, 2304));
    assert_false(device->has_mlp(32480, 16385, 2304));
    assert_false(device->has_mlp(32480, 16384, 2305));
    assert_false(device->host().has_mlp(1, 1, 1));
    const auto packs = [&](size_t n_out, size_t n_in, Sums sums) {
        const std::vector<float> w(n_out * n_in);
        device->pack(n_out, n_in, NPUENC_PRECISION_BF16, reader_of(w, n_in), nullptr, sums);
    };
    packs(1, 32480, Sums::stay);
    packs(16384, 1, Sums::stay);
    packs(2304, 1, Sums::of_stayed);
    packs(1, 16384, Sums::of_stayed);
    assert_error(packs(1, 32481, Sums::stay), NPUENC_E_UNSUPPORTED, "K = ");
    assert_error(packs(16385, 1, Sums::stay), NPUENC_E_UNSUPPORTED, "too large for a chain");
    assert_error(packs(2305, 1, Sums::of_stayed), NPUENC_E_UNSUPPORTED, "too large for a chain");
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(guarded<is_near_float64>),
        cmocka_unit_test(guarded<only_operands_and_results_are_synchronised>),
        cmocka_unit_test(guarded<types_are_converted_as_the_host_does>),
        cmocka_unit_test(guarded<adds_to_x_itself>),
        cmocka_unit_test(guarded<rows_in_parts>),
        cmocka_unit_test(guarded<what_is_beyond_bounds>),
        cmocka_unit_test(guarded<the_largest_values_have_finite_results>),
        cmocka_unit_test(guarded<without_biases>),
        cmocka_unit_test(guarded<refuses_what_it_cannot>),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
