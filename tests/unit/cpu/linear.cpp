// SPDX-License-Identifier: MIT
// Linear layers against their definition in float64.
#include "linear_problem.hpp"

using namespace npuenc;

namespace {

const LinearCase cases[] = {
    {1, 1, 1, true, false, false},
    {1, 64, 33, false, false, false},
    {3, 7, 5, true, true, true, 2, 3, 4},
    {17, 100, 65, true, false, true, 1, 0, 5},
    {15, 384, 97, false, true, false, 0, 7},
    {130, 257, 130, true, true, true, 3, 1, 2},
    {100, long_k, 600, true, false, false},    // more than a segment of k, and a chunk of columns
    {3, 4200, 70, true, false, true, 9},       // more than a segment of k in every type
    {40, 65, 1700, true, true, false, 0, 11},  // more than a chunk of columns
    {70, 300, 100, false, false, false, 1, 9}, // the sums alone
    {50, long_k, 70, false, false, false, 0, 3},
};

constexpr float untouched = 12345;

void check_gaps(const LinearProblem& problem, const std::vector<float>& y) {
    for (size_t row = 0; row < problem.shape.rows; ++row)
        for (size_t col = problem.shape.n_out; col < problem.ldy; ++col)
            assert_true(y[row * problem.ldy + col] == untouched);
}

void f32_is_right() {
    const auto devices = device_of_each_isa();
    for (const LinearCase& c : cases) {
        const LinearProblem problem(c);
        const LinearResults expected = problem.expected(problem.x, problem.w);
        for (const auto& device : devices) {
            const auto weight = problem.pack(*device, NPUENC_PRECISION_F32);
            assert_int_equal(weight->n_out(), c.n_out);
            assert_int_equal(weight->n_in(), c.n_in);
            assert_true(weight->bytes() >= c.n_out * c.n_in * sizeof(float));
            std::vector<float> y(c.rows * problem.ldy, untouched);
            device->linear(*weight, problem.linear(), problem.x.data(), y.data(), unused_stats);
            expected.check(y, problem.ldy, device->name().c_str());
            check_gaps(problem, y);
        }
    }
}

// As f32, of operands rounded to bf16, whose products are exact in f32.
void bf16_is_right() {
    const auto devices = device_of_each_isa();
    for (const LinearCase& c : cases) {
        const LinearProblem problem(c);
        const LinearResults expected =
            problem.expected(from_bf16(to_bf16(problem.x)), from_bf16(to_bf16(problem.w)));
        for (const auto& device : devices) {
            const auto weight = problem.pack(*device, NPUENC_PRECISION_BF16);
            std::vector<float> y(c.rows * problem.ldy, untouched);
            device->linear(*weight, problem.linear(), problem.x.data(), y.data(), unused_stats);
            expected.check(y, problem.ldy, device->name().c_str());
            check_gaps(problem, y);
        }
    }
}

void bf16x2_is_right() {
    const auto devices = device_of_each_isa();
    for (const LinearCase& c : cases) {
        const LinearProblem problem(c);
        const LinearResults expected = problem.expected_of_bf16x2();
        for (const auto& device : devices) {
            const auto weight = problem.pack(*device, NPUENC_PRECISION_BF16X2);
            std::vector<float> y(c.rows * problem.ldy, untouched);
            device->linear(*weight, problem.linear(), problem.x.data(), y.data(), unused_stats);
            expected.check(y, problem.ldy, device->name().c_str());
            check_gaps(problem, y);
        }
    }
}

void int8_is_right() {
    const auto devices = device_of_each_isa();
    for (const LinearCase& c : cases) {
        LinearProblem problem(c);
        // A row of zeros among the weights and among the inputs, where there is another.
        if (c.n_out > 1)
            std::fill_n(problem.w.begin() + static_cast<ptrdiff_t>(c.n_in), c.n_in, 0.0f);
        if (c.rows > 2)
            std::fill_n(problem.x.begin() + static_cast<ptrdiff_t>(2 * problem.ldx), c.n_in, 0.0f);
        const Quantised x(problem.x, c.rows, c.n_in, problem.ldx);
        const Quantised w(problem.w, c.n_out, c.n_in, c.n_in);
        const LinearResults expected = problem.expected(x, w);
        // The same weight as integers, with a gap between rows.
        const size_t ld = c.n_in + 3;
        std::vector<int8_t> spaced(c.n_out * ld, 99);
        for (size_t row = 0; row < c.n_out; ++row)
            std::copy_n(w.values.begin() + static_cast<ptrdiff_t>(row * c.n_in), c.n_in,
                        spaced.begin() + static_cast<ptrdiff_t>(row * ld));
        for (const auto& device : devices) {
            const auto weight = problem.pack(*device, NPUENC_PRECISION_INT8);
            std::vector<float> y(c.rows * problem.ldy, untouched);
            device->linear(*weight, problem.linear(), problem.x.data(), y.data(), unused_stats);
            expected.check(y, problem.ldy, device->name().c_str());
            check_gaps(problem, y);

            const auto given =
                device->pack(c.n_out, c.n_in, Int8Rows{spaced.data(), ld, w.scales.data()},
                             c.bias ? problem.bias.data() : nullptr);
            assert_int_equal(given->precision(), NPUENC_PRECISION_INT8);
            std::vector<float> again(y.size(), untouched);
            device->linear(*given, problem.linear(), problem.x.data(), again.data(), unused_stats);
            assert_memory_equal(y.data(), again.data(), y.size() * sizeof(float));
        }
    }
}

// Magnitudes whose reciprocal overflows become zeros, not NaN.
void int8_takes_the_smallest_rows() {
    with_each_isa([](CpuDevice& device) {
        const std::vector<float> w = {1, -1}, x = {0x1p-140f, -0x1p-149f};
        const auto weight =
            device.pack(1, 2, NPUENC_PRECISION_INT8, reader_of(w, 2), nullptr, Sums::in_32_bits);
        Linear shape{};
        shape.x_type = shape.y_type = NPUENC_F32;
        shape.rows = 1;
        shape.ldx = 2;
        shape.ldy = 1;
        float y = untouched;
        device.linear(*weight, shape, x.data(), &y, unused_stats);
        assert_true(y == 0);
    });
}

constexpr npuenc_precision precisions[] = {NPUENC_PRECISION_F32, NPUENC_PRECISION_BF16,
                                           NPUENC_PRECISION_BF16X2, NPUENC_PRECISION_INT8};

// For a result in bf16, GELU is only as exact as that deserves: within 2^-13.6 max(1/8, |y|). Here
// |y| is at most |gelu(y)| + 0.17, or y is negative; below -8 gelu is 0 either way.
void check_coarse_gelu(const LinearProblem& problem, size_t row, size_t col, float fine,
                       float coarse) {
    const float addend =
        problem.shape.addend ? problem.addend[row * problem.ld_addend + col] : 0.0f;
    const double size = std::fmax(8, std::fabs(static_cast<double>(fine - addend)) + 0.17);
    const double bound =
        std::exp2(-13.6) * size + 1.01 * unit_bf16 * std::fabs(static_cast<double>(fine)) + 1e-6;
    assert_true(std::fabs(static_cast<double>(coarse - fine)) <= bound);
}

// Inputs that are exact in bf16 and f16 give the very results that they give as f32, and results
// in bf16 and f16 are those in f32, rounded once.
void converts_at_the_edges() {
    with_each_isa([](CpuDevice& device) {
        for (const LinearCase& c : cases) {
            LinearProblem problem(c);
            for (float& value : problem.x) // 7 bits of significand
                value = static_cast<float>(std::lrint(value * 64)) / 64;
            std::vector<uint16_t> x_bf16 = to_bf16(problem.x), x_f16;
            for (float value : problem.x)
                x_f16.push_back(to_f16(value));
            for (npuenc_precision precision : precisions) {
                const auto weight = problem.pack(device, precision);
                std::vector<float> y(c.rows * problem.ldy, untouched);
                device.linear(*weight, problem.linear(), problem.x.data(), y.data(), unused_stats);
                const std::pair<npuenc_dtype, const void*> inputs[] = {
                    {NPUENC_F32, problem.x.data()},
                    {NPUENC_BF16, x_bf16.data()},
                    {NPUENC_F16, x_f16.data()}};
                for (const auto& [type, x] : inputs) {
                    std::vector<float> same(y.size(), untouched);
                    device.linear(*weight, problem.linear(type), x, same.data(), unused_stats);
                    assert_memory_equal(y.data(), same.data(), y.size() * sizeof(float));

                    std::vector<uint16_t> narrow(y.size(), 0x4242);
                    device.linear(*weight, problem.linear(type, NPUENC_BF16), x, narrow.data(),
                                  unused_stats);
                    for (size_t row = 0; row < c.rows; ++row)
                        for (size_t col = 0; col < problem.ldy; ++col) {
                            const size_t i = row * problem.ldy + col;
                            if (col < c.n_out && c.gelu && precision != NPUENC_PRECISION_F32)
                                check_coarse_gelu(problem, row, col, y[i], from_bf16(narrow[i]));
                            else
                                assert_int_equal(narrow[i], col < c.n_out ? to_bf16(y[i]) : 0x4242);
                        }
                    std::fill(narrow.begin(), narrow.end(), uint16_t{0x4242});
                    device.linear(*weight, problem.linear(type, NPUENC_F16), x, narrow.data(),
                                  unused_stats);
                    for (size_t row = 0; row < c.rows; ++row)
                        for (size_t col = 0; col < problem.ldy; ++col) {
                            const size_t i = row * problem.ldy + col;
                            assert_int_equal(narrow[i], col < c.n_out ? to_f16(y[i]) : 0x4242);
                        }
                }
            }
        }
    });
}

// y = f(x) + y, as the residual of a transformer has it.
void adds_to_y_itself() {
    with_each_isa([](CpuDevice& device) {
        for (const LinearCase& c : cases) {
            LinearProblem problem(c);
            problem.shape.addend = true;
            problem.ld_addend = problem.ldy;
            problem.addend = Random(5).reals(c.rows * problem.ldy);
            for (npuenc_precision precision : precisions) {
                const auto weight = problem.pack(device, precision);
                std::vector<float> apart(problem.addend.size(), untouched);
                std::vector<float> in_place = problem.addend;
                Linear shape = problem.linear();
                device.linear(*weight, shape, problem.x.data(), apart.data(), unused_stats);
                shape.addend = in_place.data();
                device.linear(*weight, shape, problem.x.data(), in_place.data(), unused_stats);
                for (size_t row = 0; row < c.rows; ++row)
                    assert_memory_equal(apart.data() + row * problem.ldy,
                                        in_place.data() + row * problem.ldy,
                                        c.n_out * sizeof(float));
            }
        }
    });
}

// A convolution of width 3, stride 2: rows of x overlap, and give what copies of them give.
void takes_overlapping_rows() {
    with_each_isa([](CpuDevice& device) {
        const size_t channels = 23, frames = 101, n_in = 3 * channels, rows = (frames - 3) / 2 + 1;
        const std::vector<float> x = Random(9).reals(frames * channels);
        std::vector<float> copied;
        for (size_t row = 0; row < rows; ++row)
            copied.insert(copied.end(), x.begin() + static_cast<ptrdiff_t>(row * 2 * channels),
                          x.begin() + static_cast<ptrdiff_t>(row * 2 * channels + n_in));
        const LinearProblem problem({rows, n_in, 40, true, true, false});
        for (npuenc_precision precision : precisions) {
            const auto weight = problem.pack(device, precision);
            std::vector<float> y(rows * 40), of_copies(rows * 40);
            Linear shape = problem.linear();
            device.linear(*weight, shape, copied.data(), of_copies.data(), unused_stats);
            shape.ldx = 2 * channels;
            device.linear(*weight, shape, x.data(), y.data(), unused_stats);
            assert_memory_equal(y.data(), of_copies.data(), y.size() * sizeof(float));
        }
    });
}

// Threads, and which rows are computed together, change no bit.
void is_deterministic() {
    for (const std::string& isa : usable_isas())
        for (npuenc_precision precision : precisions) {
            const LinearProblem problem({331, long_k, 160, true, true, true, 2, 1, 3});
            std::vector<float> first;
            for (unsigned n_threads : thread_counts) {
                const auto owner = std::make_unique<CpuDevice>(n_threads, isa.c_str());
                CpuDevice& device = *owner;
                const auto weight = problem.pack(device, precision);
                std::vector<float> y(problem.shape.rows * problem.ldy, untouched);
                device.linear(*weight, problem.linear(), problem.x.data(), y.data(), unused_stats);
                if (first.empty())
                    first = y;
                assert_memory_equal(first.data(), y.data(), y.size() * sizeof(float));

                for (size_t step : {1, 2, 13, 100}) {
                    std::vector<float> parts(y.size(), untouched);
                    for (size_t row = 0; row < problem.shape.rows; row += step) {
                        Linear shape = problem.linear();
                        shape.rows = std::min(step, problem.shape.rows - row);
                        shape.addend += row * problem.ld_addend;
                        device.linear(*weight, shape, problem.x.data() + row * problem.ldx,
                                      parts.data() + row * problem.ldy, unused_stats);
                    }
                    assert_memory_equal(first.data(), parts.data(), y.size() * sizeof(float));
                }
            }
        }
}

void takes_no_rows() {
    CpuDevice device(2, nullptr);
    const LinearProblem problem({3, 7, 5, true, true, true});
    for (npuenc_precision precision : precisions) {
        const auto weight = problem.pack(device, precision);
        Linear shape = problem.linear();
        shape.rows = 0;
        device.linear(*weight, shape, nullptr, nullptr, unused_stats);
    }
}

// A reader that fails, as on a truncated file, ends pack with its own error.
void passes_on_the_error_of_a_reader() {
    CpuDevice device(3, nullptr);
    for (npuenc_precision precision : precisions) {
        npuenc_status status = NPUENC_OK;
        try {
            device.pack(
                500, 10, precision,
                [](size_t first, size_t count, float* rows) {
                    if (first <= 333 && 333 < first + count)
                        throw Error(NPUENC_E_IO, "row 333");
                    std::fill_n(rows, count * 10, 1.0f);
                },
                nullptr, Sums::in_32_bits);
        } catch (const Error& error) {
            status = error.status();
        }
        assert_int_equal(status, NPUENC_E_IO);
    }
}

void refuses_what_it_cannot_hold() {
    CpuDevice device(2, nullptr);
    for (npuenc_precision precision : precisions) {
        bool refused = false;
        try {
            device.pack(
                SIZE_MAX / 8, SIZE_MAX / 8, precision, [](size_t, size_t, float*) { abort(); },
                nullptr, Sums::in_32_bits);
        } catch (const std::bad_alloc&) {
            refused = true;
        }
        assert_true(refused);
    }
    bool refused = false;
    try {
        device.pack(8, SIZE_MAX / 8, Int8Rows{nullptr, SIZE_MAX / 8, nullptr}, nullptr);
    } catch (const std::bad_alloc&) {
        refused = true;
    }
    assert_true(refused);
}

void refuses_the_weight_of_another_device() {
    CpuDevice device(1, nullptr), other(1, nullptr);
    const LinearProblem problem({3, 7, 5, true, true, true});
    const auto weight = problem.pack(other, NPUENC_PRECISION_F32);
    std::vector<float> y(3 * 5);
    npuenc_status status = NPUENC_OK;
    try {
        device.linear(*weight, problem.linear(), problem.x.data(), y.data(), unused_stats);
    } catch (const Error& error) {
        status = error.status();
    }
    assert_int_equal(status, NPUENC_E_INVALID);
}

// Several threads use one device and one weight.
void serves_several_callers() {
    CpuDevice device(3, nullptr);
    const LinearProblem problem({150, 300, 70, true, true, true});
    for (npuenc_precision precision : precisions) {
        const auto weight = problem.pack(device, precision);
        std::vector<float> expected(150 * 70, untouched);
        device.linear(*weight, problem.linear(), problem.x.data(), expected.data(), unused_stats);
        std::vector<std::vector<float>> y(4, std::vector<float>(150 * 70, untouched));
        std::vector<std::thread> callers;
        for (std::vector<float>& result : y)
            callers.emplace_back([&] {
                for (int i = 0; i < 10; ++i)
                    device.linear(*weight, problem.linear(), problem.x.data(), result.data(),
                                  unused_stats);
            });
        for (std::thread& caller : callers)
            caller.join();
        for (const std::vector<float>& result : y)
            assert_memory_equal(result.data(), expected.data(), expected.size() * sizeof(float));
    }
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(guarded<f32_is_right>),
        cmocka_unit_test(guarded<bf16_is_right>),
        cmocka_unit_test(guarded<bf16x2_is_right>),
        cmocka_unit_test(guarded<int8_is_right>),
        cmocka_unit_test(guarded<int8_takes_the_smallest_rows>),
        cmocka_unit_test(guarded<converts_at_the_edges>),
        cmocka_unit_test(guarded<adds_to_y_itself>),
        cmocka_unit_test(guarded<takes_overlapping_rows>),
        cmocka_unit_test(guarded<is_deterministic>),
        cmocka_unit_test(guarded<takes_no_rows>),
        cmocka_unit_test(guarded<passes_on_the_error_of_a_reader>),
        cmocka_unit_test(guarded<refuses_what_it_cannot_hold>),
        cmocka_unit_test(guarded<refuses_the_weight_of_another_device>),
        cmocka_unit_test(guarded<serves_several_callers>),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
