// SPDX-License-Identifier: MIT
// Products on the array, from the caller's matrices to the caller's matrix, against plain loops.
#include <algorithm>
#include <cmath>

#include "device_support.hpp"
#include "npu/product.hpp"
#include "tests/unit/cpu/matmul_problem.hpp"

using namespace npuenc;

namespace {

const MatmulCase cases[] = {
    {1, 1, 1, 1},
    {1, 64, 64, 64},
    {1, 65, 63, 127},
    {1, 7, 300, 33},
    {1, 257, 5, 65},
    {2, 9, 17, 40, true},
    {3, 12, 20, 64, false, true},
    {3, 12, 20, 30, true, true, 3},
    {2, 33, 70, 31, false, false, 5},
};

void int8_sums_are_exact() {
    const auto device = open_array();
    for (const MatmulCase& of : cases) {
        const Matmul shape = shape_of(of, NPUENC_S8, NPUENC_S32);
        Random random(static_cast<uint32_t>(of.m * of.n + of.k));
        const auto a = random.bytes(size_a(shape));
        const auto b = random.bytes(size_b(shape));
        std::vector<int32_t> c(size_c(shape), 77);
        Stats stats;
        const Counting counting;
        device->matmul(shape, a.data(), b.data(), c.data(), stats);
        counting.assert_costs(stats, 1, 2);
        assert_true(stats.pack_ns && stats.submit_ns && stats.sync_ns && stats.unpack_ns);
        const Products products(shape, a, b);
        for_each_element(shape, c, 77, [&](size_t, size_t, size_t i) {
            assert_int_equal(c[i], static_cast<int32_t>(products.sums[i]));
        });
    }
}

int8_t requantised(double sum, float scale, int32_t zero_point) {
    const float scaled = static_cast<float>(static_cast<int32_t>(sum)) * scale;
    return static_cast<int8_t>(
        std::clamp(std::nearbyint(scaled) + static_cast<float>(zero_point), -128.0f, 127.0f));
}

void int8_results_are_exact() {
    const auto device = open_array();
    const struct {
        float scale;
        int32_t zero_point;
    } conversions[] = {{1, 0},      {0x1p-7f, 0},   {0x1p-9f, 3},
                       {0.003f, 0}, {-0x1p-8f, -5}, {0x1p-31f, 0}};
    size_t turn = 0;
    for (const MatmulCase& of : cases)
        for (size_t i = 0; i < 2; ++i) {
            Matmul shape = shape_of(of, NPUENC_S8, NPUENC_S8);
            shape.scale = conversions[turn % std::size(conversions)].scale;
            shape.zero_point = conversions[turn % std::size(conversions)].zero_point;
            Random random(static_cast<uint32_t>(++turn));
            const auto a = random.bytes(size_a(shape));
            const auto b = random.bytes(size_b(shape));
            std::vector<int8_t> c(size_c(shape), 77);
            Stats stats;
            device->matmul(shape, a.data(), b.data(), c.data(), stats);
            const Products products(shape, a, b);
            for_each_element(shape, c, int8_t{77}, [&](size_t, size_t, size_t at) {
                assert_int_equal(c[at],
                                 requantised(products.sums[at], shape.scale, shape.zero_point));
            });
        }
}

// A sum that is no f32: rounded to one first, it is half way between two results, of which the even
// one is taken; 2^-20 of the sum itself would be a little more than half.
void int8_results_round_as_defined() {
    const auto device = open_array();
    Matmul shape = shape_of({1, 1, 1, 2048}, NPUENC_S8, NPUENC_S8);
    shape.scale = 0x1p-20f;
    std::vector<int8_t> a(2048, 0), b(2048, 0);
    std::fill_n(a.begin(), 1073, int8_t{127});
    std::fill_n(b.begin(), 1072, int8_t{127});
    b[1072] = 88;
    a[1073] = 41;
    b[1073] = 1; // 1072 * 127^2 + 127 * 88 + 41 = 16.5 * 2^20 + 1
    int8_t c = 0;
    Stats stats;
    device->matmul(shape, a.data(), b.data(), &c, stats);
    assert_int_equal(c, 16);
}

void bf16_sums_are_near_float64() {
    const auto device = open_array();
    for (const MatmulCase& of : cases) {
        const Matmul shape = shape_of(of, NPUENC_BF16, NPUENC_F32);
        Random random(static_cast<uint32_t>(of.m * of.n + of.k));
        const auto a = to_bf16(random.reals(size_a(shape)));
        const auto b = to_bf16(random.reals(size_b(shape)));
        std::vector<float> c(size_c(shape), 77);
        std::vector<uint16_t> narrow(c.size(), 77);
        Stats stats;
        const Counting counting;
        device->matmul(shape, a.data(), b.data(), c.data(), stats);
        counting.assert_costs(stats, 1, 2);
        Matmul rounded = shape;
        rounded.c_type = NPUENC_BF16;
        device->matmul(rounded, a.data(), b.data(), narrow.data(), stats);
        const Products products(shape, from_bf16(a), from_bf16(b));
        for_each_element(shape, c, 77.0f, [&](size_t row, size_t column, size_t i) {
            assert_near(products.sums[i], static_cast<double>(c[i]),
                        bf16_bound(shape.k, products.magnitudes[i]), "c", row, column);
        });
        for_each_element(shape, narrow, uint16_t{77}, [&](size_t, size_t, size_t i) {
            assert_int_equal(narrow[i], to_bf16(c[i]));
        });
    }
}

// `operands` of the values -1, 0 and 1, so that sums of any type are exact.
struct Exact {
    std::vector<int8_t> a, b;

    explicit Exact(const Matmul& shape) : a(size_a(shape)), b(size_b(shape)) {
        Random random(static_cast<uint32_t>(shape.m + shape.n + shape.k));
        for (auto* values : {&a, &b})
            for (int8_t& value : *values)
                value = static_cast<int8_t>(static_cast<int>(random.next() % 3) - 1);
    }

    double sum(const Matmul& shape, size_t item, size_t row, size_t column) const {
        int64_t sum = 0;
        for (size_t k = 0; k < shape.k; ++k)
            sum += a[item * shape.stride_a + row * shape.lda + k] *
                   b[place_in_b(shape, item, k, column)];
        return static_cast<double>(sum);
    }
};

std::vector<uint16_t> as_bf16(const std::vector<int8_t>& values) {
    std::vector<uint16_t> result;
    for (int8_t value : values)
        result.push_back(to_bf16(static_cast<float>(value)));
    return result;
}

using Types = std::pair<npuenc_dtype, npuenc_dtype>; // of operands and results
const std::vector<Types> all_types = {{NPUENC_S8, NPUENC_S32},
                                      {NPUENC_S8, NPUENC_S8},
                                      {NPUENC_BF16, NPUENC_F32},
                                      {NPUENC_BF16, NPUENC_BF16}};

// A product of which elements here and there are checked, the last ones among them.
void check_large(NpuDevice& device, const MatmulCase& of, uint64_t submissions, uint64_t commands,
                 const std::vector<Types>& types = all_types) {
    for (const Types& pair : types) {
        const npuenc_dtype operands = pair.first, results = pair.second;
        Matmul shape = shape_of(of, operands, results);
        const bool requantises = results == NPUENC_S8;
        if (requantises)
            shape.scale = 0.25f;
        const Exact values(shape);
        const bool bf16 = operands == NPUENC_BF16;
        const auto a = bf16 ? as_bf16(values.a) : std::vector<uint16_t>();
        const auto b = bf16 ? as_bf16(values.b) : std::vector<uint16_t>();
        std::vector<char> c(size_c(shape) * element_size(results), 77);
        Stats stats;
        const Counting counting;
        device.matmul(shape, bf16 ? static_cast<const void*>(a.data()) : values.a.data(),
                      bf16 ? static_cast<const void*>(b.data()) : values.b.data(), c.data(), stats);
        if (operands == NPUENC_S8 && results == NPUENC_S32) {
            counting.assert_costs(stats, submissions, 2 * submissions);
            assert_int_equal(counting.commands(), commands);
        }
        const auto found = [&](size_t i) -> double {
            const char* at = c.data() + i * element_size(results);
            switch (results) {
            case NPUENC_S32:
                return *reinterpret_cast<const int32_t*>(at);
            case NPUENC_S8:
                return *reinterpret_cast<const int8_t*>(at);
            case NPUENC_F32:
                return static_cast<double>(*reinterpret_cast<const float*>(at));
            default:
                return static_cast<double>(from_bf16(*reinterpret_cast<const uint16_t*>(at)));
            }
        };
        for (size_t item = 0; item < shape.batch; ++item)
            for (size_t row = 0; row < shape.m; row += row + 29 < shape.m ? 29 : 1)
                for (size_t column = 0; column < shape.n;
                     column += column + 31 < shape.n ? 31 : 1) {
                    double sum = values.sum(shape, item, row, column);
                    if (requantises)
                        sum = requantised(sum, shape.scale, 0);
                    if (results == NPUENC_BF16)
                        sum = static_cast<double>(from_bf16(to_bf16(static_cast<float>(sum))));
                    const size_t i = item * shape.stride_c + row * shape.ldc + column;
                    if (found(i) != sum)
                        print_error("[%zu][%zu][%zu] is %g, not %g\n", item, row, column, found(i),
                                    sum);
                    assert_true(found(i) == sum);
                }
    }
}

// More groups of rows and of columns than the array chains: two commands of one submission.
void pieces_of_one_submission() {
    const auto device = open_array();
    check_large(*device, {1, 2305, 2305, 3}, 1, 2);
    check_large(*device, {1, 5, 16385, 2}, 1, 2, {{NPUENC_S8, NPUENC_S32}});
    check_large(*device, {1, 16385, 2305, 2}, 1, 4, {{NPUENC_S8, NPUENC_S32}});
}

// More of K than a strip has: the host adds up.
void parts_of_k() {
    const auto device = open_array();
    check_large(*device, {1, 3, 2, 65024 + 100}, 1, 2);
    check_large(*device, {2, 3, 2, 65024 + 100, true, true}, 1, 2,
                {{NPUENC_S8, NPUENC_S32}}); // one item of 6 rows
    check_large(*device, {2, 3, 2, 65024 + 100, true, true, 1}, 1, 4, {{NPUENC_S8, NPUENC_S32}});
}

// The same in submissions of little memory: items, rows, columns, and parts of K one by one.
void little_memory() {
    const auto device = open_array(2, nullptr, size_t{1} << 20);
    check_large(*device, {7, 60, 50, 64}, 3, 7);
    check_large(*device, {3, 600, 520, 10}, 18, 18);
    check_large(*device, {2, 300, 5, 65024 + 100}, 8, 8,
                {{NPUENC_S8, NPUENC_S8}, {NPUENC_S8, NPUENC_S32}});
}

void nothing_to_multiply() {
    const auto device = open_array();
    Stats stats;
    const Counting counting;
    for (const MatmulCase& of :
         {MatmulCase{0, 3, 3, 3}, MatmulCase{2, 0, 3, 3}, MatmulCase{2, 3, 0, 3}})
        device->matmul(shape_of(of, NPUENC_S8, NPUENC_S32), nullptr, nullptr, nullptr, stats);
    Matmul shape = shape_of({2, 3, 5, 0, false, false, 1}, NPUENC_S8, NPUENC_S32);
    std::vector<int32_t> c(size_c(shape), 77);
    device->matmul(shape, nullptr, nullptr, c.data(), stats);
    for_each_element(shape, c, 77, [&](size_t, size_t, size_t i) { assert_int_equal(c[i], 0); });
    shape.c_type = NPUENC_S8;
    shape.zero_point = -9;
    std::vector<int8_t> narrow(size_c(shape), 77);
    device->matmul(shape, nullptr, nullptr, narrow.data(), stats);
    for_each_element(shape, narrow, int8_t{77},
                     [&](size_t, size_t, size_t i) { assert_int_equal(narrow[i], -9); });
    counting.assert_costs(stats, 0, 0);
}

// Of which the array has no product, and nothing is touched.
void refuses_other_types() {
    const auto device = open_array();
    Stats stats;
    float c = 77;
    for (const Types& types :
         {Types{NPUENC_F32, NPUENC_F32}, {NPUENC_F16, NPUENC_F32}, {NPUENC_S8, NPUENC_F32}}) {
        const Matmul shape = shape_of({1, 1, 1, 1}, types.first, types.second);
        assert_error(device->matmul(shape, &c, &c, &c, stats), NPUENC_E_UNSUPPORTED,
                     "the NPU has no matmul of types");
    }
    assert_true(c == 77 && stats.n_syncs == 0);
}

// An item, a row and a column are the same alone and among others, by one thread and by three.
void company_changes_nothing() {
    const Matmul shape = shape_of({2, 300, 70, 600}, NPUENC_BF16, NPUENC_F32);
    Random random(9);
    const auto a = to_bf16(random.reals(2 * shape.stride_a));
    const auto b = to_bf16(random.reals(2 * shape.stride_b));
    std::vector<float> all(2 * shape.stride_c);
    Stats stats;
    open_array(1)->matmul(shape, a.data(), b.data(), all.data(), stats);
    const auto device = open_array(3);
    std::vector<float> again(all.size());
    device->matmul(shape, a.data(), b.data(), again.data(), stats);
    assert_memory_equal(all.data(), again.data(), all.size() * sizeof(float));
    Matmul one = shape;
    one.batch = one.m = 1;
    for (size_t row : {size_t{0}, size_t{299}}) {
        device->matmul(one, a.data() + shape.stride_a + row * shape.lda, b.data() + shape.stride_b,
                       again.data(), stats);
        assert_memory_equal(again.data(), all.data() + shape.stride_c + row * shape.ldc,
                            shape.n * sizeof(float));
    }
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(guarded<int8_sums_are_exact>),
        cmocka_unit_test(guarded<int8_results_are_exact>),
        cmocka_unit_test(guarded<int8_results_round_as_defined>),
        cmocka_unit_test(guarded<bf16_sums_are_near_float64>),
        cmocka_unit_test(guarded<pieces_of_one_submission>),
        cmocka_unit_test(guarded<parts_of_k>),
        cmocka_unit_test(guarded<little_memory>),
        cmocka_unit_test(guarded<nothing_to_multiply>),
        cmocka_unit_test(guarded<refuses_other_types>),
        cmocka_unit_test(guarded<company_changes_nothing>),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
