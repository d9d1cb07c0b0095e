// SPDX-License-Identifier: MIT
// Linear layers on the array: int8 to the bit of the CPU device, which quantises and finishes by
// the same kernels around the same exact sums, and of a plain loop, where sums come back in 16 bits
// as near to it as these are; bf16 and bf16x2 near float64.
#include <algorithm>
#include <cmath>

#include "device_support.hpp"
#include "npu/weight.hpp"
#include "tests/unit/cpu/linear_problem.hpp"

using namespace npuenc;

namespace {

const LinearCase cases[] = {
    {1, 1, 1, true, false, false},
    {3, 70, 33, true, true, true, 2, 3, 0, true},
    {17, 100, 65, false, false, true},
    {9, 30, 300, true, true, false, 0, 5},
    {130, 65, 40, false, false, true, 1, 0, 2, true},
    {12, 48, 20, true, true, false, -32}, // a convolution of stride 16
};

struct Typed {
    npuenc_dtype type;
    std::vector<char> bytes;
};

Typed typed(npuenc_dtype type, const std::vector<float>& values) {
    Typed result{type, {}};
    const auto append = [&](auto value) {
        const auto* p = reinterpret_cast<const char*>(&value);
        result.bytes.insert(result.bytes.end(), p, p + sizeof value);
    };
    for (float value : values) {
        if (type == NPUENC_F32)
            append(value);
        else
            append(type == NPUENC_BF16 ? to_bf16(value) : to_f16(value));
    }
    return result;
}

constexpr npuenc_dtype types[] = {NPUENC_F32, NPUENC_BF16, NPUENC_F16};

float from_f16(uint16_t half) {
    const int exponent = half >> 10 & 31, significand = half & 1023;
    const float magnitude = exponent == 0
                                ? std::ldexp(static_cast<float>(significand), -24)
                                : std::ldexp(static_cast<float>(1024 + significand), exponent - 25);
    return half & 0x8000 ? -magnitude : magnitude;
}

float real(npuenc_dtype type, const std::vector<char>& values, size_t i) {
    if (type == NPUENC_F32)
        return reinterpret_cast<const float*>(values.data())[i];
    const uint16_t half = reinterpret_cast<const uint16_t*>(values.data())[i];
    return type == NPUENC_BF16 ? from_bf16(half) : from_f16(half);
}

// How far from the CPU's a result may be whose sum came back in 16 bits: off by half a step, where
// the largest of all sums that 64 columns can have is within 32767 steps. All that follows is done
// twice, in f32 and the type of y.
class Bound {
  public:
    Bound(Device& device, const LinearProblem& problem)
        : problem_(problem),
          w_(problem.w, problem.shape.n_out, problem.shape.n_in, problem.shape.n_in),
          largest_x_(problem.shape.rows) {
        const size_t n = problem.shape.n_in;
        for (size_t row = 0; row < problem.shape.rows; ++row) {
            std::vector<float> x(problem.x.begin() + static_cast<ptrdiff_t>(row * problem.ldx),
                                 problem.x.begin() + static_cast<ptrdiff_t>(row * problem.ldx + n));
            if (problem.shape.norm)
                device.layer_norm(1, n, x.data(), problem.norm_weight.data(),
                                  problem.norm_bias.data(), x.data());
            for (const float value : x)
                largest_x_[row] = std::max(largest_x_[row], std::fabs(static_cast<double>(value)));
        }
    }

    double of(size_t row, size_t column, npuenc_dtype y_type, double y) const {
        const size_t n = problem_.shape.n_in, first = column / 64 * 64;
        double largest_sum = 0;
        for (size_t j = first; j < std::min(first + 64, problem_.shape.n_out); ++j) {
            double magnitudes = 0;
            for (size_t k = 0; k < n; ++k)
                magnitudes += std::fabs(w_.values[j * n + k]);
            largest_sum = std::max(largest_sum, 127 * magnitudes);
        }
        // x in bf16 may be larger by 2^-9 of itself; a normalised one by more.
        double bound = largest_sum / 32767 * 1.02 * largest_x_[row] / 127 *
                       static_cast<double>(w_.scales[column]);
        if (problem_.shape.addend)
            y -= static_cast<double>(problem_.addend[row * problem_.ld_addend + column]);
        const double magnitude = std::fmax(1, std::fabs(y));
        bound += gamma_f32(8) * magnitude * (1 + static_cast<double>(n));
        if (problem_.shape.gelu)
            bound = 1.13 * bound + (y_type == NPUENC_BF16 ? 0x1p-8 : 2e-6) * magnitude;
        const double rounding = y_type == NPUENC_BF16 ? 0x1p-8 : y_type == NPUENC_F16 ? 0x1p-11 : 0;
        return bound + 2 * rounding * (magnitude + 1);
    }

  private:
    const LinearProblem& problem_;
    const Quantised w_;
    std::vector<double> largest_x_;
};

void int8_is_as_on_the_cpu() {
    const auto device = open_array();
    for (const LinearCase& c : cases) {
        const LinearProblem problem(c);
        const auto weight = problem.pack(*device, NPUENC_PRECISION_INT8);
        const auto reference = problem.pack(device->host(), NPUENC_PRECISION_INT8);
        assert_true(weight->bytes() >= c.n_out * c.n_in);
        const Bound bound(*device, problem);
        for (npuenc_dtype x_type : types)
            for (npuenc_dtype y_type : types) {
                const Typed x = typed(x_type, problem.x);
                std::vector<char> y(c.rows * problem.ldy * element_size(y_type), 0x42);
                std::vector<char> expected = y;
                const Linear shape = problem.linear(x_type, y_type);
                Stats stats;
                const Counting counting;
                device->linear(*weight, shape, x.bytes.data(), y.data(), stats);
                counting.assert_costs(stats, 1, 2);
                device->host().linear(*reference, shape, x.bytes.data(), expected.data(), stats);
                if (!int8_comes_in_16_bits(shape)) {
                    assert_memory_equal(y.data(), expected.data(), y.size());
                    continue;
                }
                for (size_t row = 0; row < c.rows; ++row)
                    for (size_t column = 0; column < c.n_out; ++column) {
                        const size_t i = row * problem.ldy + column;
                        const auto right = static_cast<double>(real(y_type, expected, i));
                        assert_near(right, static_cast<double>(real(y_type, y, i)),
                                    bound.of(row, column, y_type, right), "y", row, column);
                    }
            }
    }
}

void int8_is_the_definition() {
    const auto device = open_array();
    const LinearProblem problem({19, 90, 70, true, false, false});
    const LinearCase& c = problem.shape;
    const auto weight = problem.pack(*device, NPUENC_PRECISION_INT8);
    std::vector<float> y(c.rows * problem.ldy), again(y.size());
    Stats stats;
    const Linear shape = problem.linear();
    device->linear(*weight, shape, problem.x.data(), y.data(), stats);
    const Quantised x(problem.x, c.rows, c.n_in, problem.ldx);
    const Quantised w(problem.w, c.n_out, c.n_in, c.n_in);
    problem.expected(x, w).check(y, problem.ldy, "y");
    // The same weight as integers.
    const auto given = device->pack(
        c.n_out, c.n_in, Int8Rows{w.values.data(), c.n_in, w.scales.data()}, problem.bias.data());
    device->linear(*given, shape, problem.x.data(), again.data(), stats);
    assert_memory_equal(y.data(), again.data(), y.size() * sizeof(float));
}

// What the array's sum should be, and how far from that it may be: of operands rounded to bf16,
// whose products are exact, the sums as in matmul.cpp.
struct Near {
    double sum, bound;
};

Near near_bf16(const float* x, const float* w, size_t n) {
    double sum = 0, magnitudes = 0;
    for (size_t k = 0; k < n; ++k) {
        const double product = static_cast<double>(from_bf16(to_bf16(x[k]))) *
                               static_cast<double>(from_bf16(to_bf16(w[k])));
        sum += product;
        magnitudes += std::fabs(product);
    }
    return {sum, bf16_bound(n, magnitudes)};
}

// Of the operands themselves: each is within 2^-16 of its two parts, and the product of the lesser
// ones, at most 2^-16, is left out. The others are at most (1 + 2^-8)^2 together.
Near near_bf16x2(const float* x, const float* w, size_t n) {
    double sum = 0, magnitudes = 0;
    for (size_t k = 0; k < n; ++k) {
        const double product = static_cast<double>(x[k]) * static_cast<double>(w[k]);
        sum += product;
        magnitudes += std::fabs(product);
    }
    return {sum, bf16_bound(3 * n, 1.01 * magnitudes) + 3.01 * 0x1p-16 * magnitudes};
}

// In 16 bits a sum is off by half a step, which is 2^-15 of the product of the least powers of two
// above both norms, these being 2^-7 larger.
Near near_bf16_in_16_bits(const float* x, const float* w, size_t n) {
    Near near = near_bf16(x, w, n);
    double of_x = 0, of_w = 0;
    for (size_t k = 0; k < n; ++k) {
        of_x += std::pow(static_cast<double>(from_bf16(to_bf16(x[k]))), 2);
        of_w += std::pow(static_cast<double>(from_bf16(to_bf16(w[k]))), 2);
    }
    near.bound += 2 * 2 * 1.017 * std::sqrt(of_x * of_w) * 0x1p-16;
    return near;
}

// Then comes the bias, rounded, and what follows that.
void assert_near_float64(Device& device, const LinearProblem& problem, npuenc_precision precision,
                         Sums sums, Near (*near)(const float* x, const float* w, size_t n)) {
    const LinearCase& c = problem.shape;
    const auto weight = problem.pack(device, precision, sums);
    std::vector<float> y(c.rows * problem.ldy, 77);
    Stats stats;
    const Counting counting;
    device.linear(*weight, problem.linear(), problem.x.data(), y.data(), stats);
    counting.assert_costs(stats, 1, 2);
    for (size_t row = 0; row < c.rows; ++row)
        for (size_t column = 0; column < c.n_out; ++column) {
            auto [sum, bound] = near(problem.x.data() + row * problem.ldx,
                                     problem.w.data() + column * c.n_in, c.n_in);
            if (c.bias) {
                sum += static_cast<double>(problem.bias[column]);
                bound += unit_f32 * (std::fabs(sum) + bound);
            }
            sum = problem.finish(sum, row, column, bound);
            assert_near(sum, static_cast<double>(y[row * problem.ldy + column]), bound, "y", row,
                        column);
        }
}

template <npuenc_precision precision>
void is_near_float64() {
    const auto device = open_array();
    for (const LinearCase& c : cases)
        if (!c.norm)
            assert_near_float64(*device, LinearProblem(c), precision, Sums::in_32_bits,
                                precision == NPUENC_PRECISION_BF16 ? near_bf16 : near_bf16x2);
}

// Rows and weights of any scale.
void bf16_in_16_bits_is_near_float64() {
    const auto device = open_array();
    for (const LinearCase& c : cases)
        for (const auto& [of_x, of_w] : {std::pair{0, 0}, {40, -30}, {-30, 40}, {-20, -20}}) {
            LinearProblem problem(c);
            if (c.norm)
                continue;
            for (float& value : problem.x)
                value = std::ldexp(value, of_x);
            for (float& value : problem.w)
                value = std::ldexp(value, of_w);
            assert_near_float64(*device, problem, NPUENC_PRECISION_BF16, Sums::in_16_bits,
                                near_bf16_in_16_bits);
        }
}

// Half as many bytes come back, of rows in bf16, too, and of rows that are normalised.
void bf16_in_16_bits_is_half_to_read() {
    const auto device = open_array();
    for (const LinearCase& c : cases) {
        const LinearProblem problem(c);
        for (const npuenc_dtype x_type : types) {
            const Typed x = typed(x_type, problem.x);
            std::vector<float> y[2];
            Stats stats[2];
            for (const Sums sums : {Sums::in_32_bits, Sums::in_16_bits}) {
                const size_t i = sums == Sums::in_16_bits;
                y[i].resize(c.rows * problem.ldy);
                const auto weight = problem.pack(*device, NPUENC_PRECISION_BF16, sums);
                device->linear(*weight, problem.linear(x_type), x.bytes.data(), y[i].data(),
                               stats[i]);
            }
            assert_int_equal(stats[1].bytes_from_device, stats[0].bytes_from_device / 2);
            const auto most = static_cast<double>(c.n_in) * 0x1p-12; // values are within 1 or so
            for (size_t row = 0; row < c.rows; ++row)
                for (size_t column = 0; column < c.n_out; ++column) {
                    const size_t at = row * problem.ldy + column;
                    assert_near(static_cast<double>(y[0][at]), static_cast<double>(y[1][at]), most,
                                "y", row, column);
                }
        }
    }
}

// A weight that is cut along K stays in 32 bits.
void bf16_in_16_bits_ends_where_k_is_cut() {
    const auto device = open_array();
    for (const auto& [n_in, bytes] : {std::pair<size_t, uint64_t>{32504, 2}, {32505, 4}}) {
        const LinearProblem problem({1, n_in, 1, false, false, false});
        const auto weight = problem.pack(*device, NPUENC_PRECISION_BF16, Sums::in_16_bits);
        float y;
        Stats stats;
        device->linear(*weight, problem.linear(), problem.x.data(), &y, stats);
        assert_int_equal(stats.bytes_from_device, 256 * 256 * bytes);
        const Near near = (bytes == 2 ? near_bf16_in_16_bits : near_bf16)(problem.x.data(),
                                                                          problem.w.data(), n_in);
        assert_near(near.sum, static_cast<double>(y), near.bound, "y", 0, 0);
    }
}

// What has no scale is not a number, and nothing else is touched by it.
void bf16_in_16_bits_of_what_is_not_finite() {
    const auto device = open_array();
    constexpr size_t bad_row = 1, bad_column = 2;
    for (const float bad : {INFINITY, NAN, 0x1p100f}) {
        LinearProblem problem({4, 40, 5, true, false, false});
        problem.x[bad_row * problem.ldx + 7] = bad;
        problem.w[bad_column * problem.shape.n_in + 3] = bad;
        const auto weight = problem.pack(*device, NPUENC_PRECISION_BF16, Sums::in_16_bits);
        std::vector<float> y(problem.shape.rows * problem.ldy);
        Stats stats;
        device->linear(*weight, problem.linear(), problem.x.data(), y.data(), stats);
        for (size_t row = 0; row < problem.shape.rows; ++row)
            for (size_t column = 0; column < problem.shape.n_out; ++column)
                assert_int_equal(std::isnan(y[row * problem.ldy + column]),
                                 row == bad_row || column == bad_column);
    }
}

// With the norm, rows in bf16 are those that the CPU would have rounded: identity as the weight
// gives them back.
void bf16_normalises_as_the_cpu() {
    const auto device = open_array();
    constexpr size_t n = 40, rows = 11;
    LinearProblem problem({rows, n, n, false, false, false, 0, 0, 0, true});
    std::fill(problem.w.begin(), problem.w.end(), 0.0f);
    for (size_t i = 0; i < n; ++i)
        problem.w[i * n + i] = 1;
    const auto weight = problem.pack(*device, NPUENC_PRECISION_BF16);
    std::vector<float> normal(rows * n), y(rows * n);
    device->layer_norm(rows, n, problem.x.data(), problem.norm_weight.data(),
                       problem.norm_bias.data(), normal.data());
    Stats stats;
    device->linear(*weight, problem.linear(), problem.x.data(), y.data(), stats);
    for (size_t i = 0; i < y.size(); ++i)
        assert_true(y[i] == from_bf16(to_bf16(normal[i])));
}

void adds_to_y_itself() {
    const auto device = open_array();
    for (npuenc_precision precision :
         {NPUENC_PRECISION_BF16, NPUENC_PRECISION_BF16X2, NPUENC_PRECISION_INT8}) {
        const LinearProblem problem({17, 60, 300, true, true, true, 0, 0, 0, true});
        const auto weight = problem.pack(*device, precision);
        Linear shape = problem.linear();
        std::vector<float> apart(problem.addend.size()), in_place = problem.addend;
        Stats stats;
        device->linear(*weight, shape, problem.x.data(), apart.data(), stats);
        shape.addend = in_place.data();
        device->linear(*weight, shape, problem.x.data(), in_place.data(), stats);
        assert_memory_equal(apart.data(), in_place.data(), apart.size() * sizeof(float));
    }
}

// A row is the same alone and among others, by one thread and by three.
void rows_and_threads_change_nothing() {
    const LinearProblem problem({20, 33, 70, true, true, true, 0, 0, 0, true});
    const LinearCase& c = problem.shape;
    for (npuenc_precision precision :
         {NPUENC_PRECISION_BF16, NPUENC_PRECISION_BF16X2, NPUENC_PRECISION_INT8}) {
        std::vector<float> all(c.rows * problem.ldy);
        Stats stats;
        for (unsigned n_threads : {1u, 3u}) {
            const auto device = open_array(n_threads);
            const auto weight = problem.pack(*device, precision);
            std::vector<float> y(all.size());
            device->linear(*weight, problem.linear(), problem.x.data(), y.data(), stats);
            if (n_threads == 1)
                all = y;
            assert_memory_equal(all.data(), y.data(), y.size() * sizeof(float));
            Linear one = problem.linear();
            one.rows = 1;
            for (size_t row : {size_t{0}, size_t{13}}) {
                one.addend = problem.addend.data() + row * problem.ld_addend;
                device->linear(*weight, one, problem.x.data() + row * problem.ldx, y.data(), stats);
                assert_memory_equal(y.data(), all.data() + row * problem.ldy,
                                    c.n_out * sizeof(float));
            }
        }
    }
}

// Many rows through little memory, 256 of them at a time.
void little_memory_changes_nothing() {
    const LinearProblem problem({600, 40, 70, true, true, true, 0, 0, 0, true});
    for (npuenc_precision precision : {NPUENC_PRECISION_BF16, NPUENC_PRECISION_INT8}) {
        std::vector<float> expected;
        for (const auto& [most_bytes, submissions] :
             {std::pair{Array::default_most_bytes, uint64_t{1}},
              std::pair{size_t{200} << 10, uint64_t{3}}}) {
            const auto device = open_array(2, nullptr, most_bytes);
            const auto weight = problem.pack(*device, precision);
            std::vector<float> y(problem.shape.rows * problem.ldy);
            Stats stats;
            const Counting counting;
            device->linear(*weight, problem.linear(), problem.x.data(), y.data(), stats);
            counting.assert_costs(stats, submissions, 2 * submissions);
            if (expected.empty())
                expected = y;
            assert_memory_equal(expected.data(), y.data(), y.size() * sizeof(float));
        }
    }
}

// Weights of more of K, or of more columns, than the array takes at once: two commands.
void large_weights() {
    const auto device = open_array();
    for (const LinearCase& c : {LinearCase{2, 65100, 5, true, false, false},
                                LinearCase{2, 40, 2310, true, false, false}}) {
        const LinearProblem problem(c);
        const auto weight = problem.pack(*device, NPUENC_PRECISION_INT8);
        const auto reference = problem.pack(device->host(), NPUENC_PRECISION_INT8);
        std::vector<float> y(2 * problem.ldy), expected(y.size());
        Stats stats;
        const Counting counting;
        const Linear shape = problem.linear();
        device->linear(*weight, shape, problem.x.data(), y.data(), stats);
        counting.assert_costs(stats, 1, 2);
        assert_int_equal(counting.commands(), 2);
        device->host().linear(*reference, shape, problem.x.data(), expected.data(), stats);
        assert_memory_equal(expected.data(), y.data(), y.size() * sizeof(float));
    }
}

void refuses_what_it_cannot() {
    const auto device = open_array();
    const LinearProblem problem({3, 8, 8, false, false, false});
    assert_error(problem.pack(*device, NPUENC_PRECISION_F32), NPUENC_E_UNSUPPORTED, "not f32");
    const auto of_the_host = problem.pack(device->host(), NPUENC_PRECISION_INT8);
    std::vector<float> y(24, 77);
    Stats stats;
    assert_error(device->linear(*of_the_host, problem.linear(), problem.x.data(), y.data(), stats),
                 NPUENC_E_INVALID, "for another device");
    const auto other = open_array();
    const auto weight = problem.pack(*other, NPUENC_PRECISION_INT8);
    assert_error(device->linear(*weight, problem.linear(), problem.x.data(), y.data(), stats),
                 NPUENC_E_INVALID, "for another device");
    assert_true(y == std::vector<float>(24, 77));
    Linear nothing = problem.linear();
    nothing.rows = 0;
    const auto own = problem.pack(*device, NPUENC_PRECISION_INT8);
    device->linear(*own, nothing, nullptr, nullptr, stats);
    assert_int_equal(stats.n_submissions, 0);
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(guarded<int8_is_as_on_the_cpu>),
        cmocka_unit_test(guarded<int8_is_the_definition>),
        cmocka_unit_test(guarded<is_near_float64<NPUENC_PRECISION_BF16>>),
        cmocka_unit_test(guarded<is_near_float64<NPUENC_PRECISION_BF16X2>>),
        cmocka_unit_test(guarded<bf16_in_16_bits_is_near_float64>),
        cmocka_unit_test(guarded<bf16_in_16_bits_is_half_to_read>),
        cmocka_unit_test(guarded<bf16_in_16_bits_ends_where_k_is_cut>),
        cmocka_unit_test(guarded<bf16_in_16_bits_of_what_is_not_finite>),
        cmocka_unit_test(guarded<bf16_normalises_as_the_cpu>),
        cmocka_unit_test(guarded<adds_to_y_itself>),
        cmocka_unit_test(guarded<rows_and_threads_change_nothing>),
        cmocka_unit_test(guarded<little_memory_changes_nothing>),
        cmocka_unit_test(guarded<large_weights>),
        cmocka_unit_test(guarded<refuses_what_it_cannot>),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
