// SPDX-License-Identifier: MIT
// Products of matrices against their definition.
#include <limits>

#include "matmul_problem.hpp"

using namespace npuenc;

namespace {

const MatmulCase cases[] = {
    {1, 1, 1, 1, false, false},
    {1, 5, 7, 3, false, false},
    {3, 17, 33, 65, true, false, 3},
    {3, 17, 33, 65, false, true, 2},
    {1, 131, 65, 64, true, false},
    {2, 64, 130, 257, false, false, 1},
    {5, 2, 300, 31, true, true, 5},
    {1, 40, 1700, 9, false, false},
    {1, 3, 70, 4200, true, false, 1},
    {1, 33, 16, 0, false, false, 1},
    {2, 1, 4, 0, true, true},
    {9, 30, 20, 100, false, false, 4},
    // Rows that tiles of AMX could take as they lie, if it were not for the number of their values,
    // and rows that they can.
    {2, 40, 35, 95, false, false, 1},
    {1, 40, 35, 96, false, false},
    // More of B than is packed at once: of one item, and of the batch.
    {1, 1, 2600, 7000, true, false},
    {40, 1, 500, 1100, false, false},
};

// Higham's bound: k products and sums, each rounded.
void check_f32(const Matmul& s, const Products& products, const std::vector<float>& result,
               const char* what) {
    for_each_element(s, result, 77.0f, [&](size_t row, size_t col, size_t index) {
        assert_near(products.sums[index], static_cast<double>(result[index]),
                    gamma_f32(s.k) * products.magnitudes[index], what, row, col);
    });
}

void f32_is_right() {
    const auto devices = device_of_each_isa();
    for (const MatmulCase& c : cases) {
        const Matmul s = shape_of(c, NPUENC_F32, NPUENC_F32);
        Random random(static_cast<uint32_t>(c.m + c.n));
        std::vector<float> a = random.reals(size_a(s));
        const std::vector<float> b = random.reals(size_b(s));
        fill_gaps_of_a(s, a, std::numeric_limits<float>::quiet_NaN());
        const Products products(s, a, b);
        for (const auto& device : devices) {
            std::vector<float> result(size_c(s), 77);
            device->matmul(s, a.data(), b.data(), result.data(), unused_stats);
            check_f32(s, products, result, device->name().c_str());
        }
    }
}

// Products of bf16 are exact in f32. A result in bf16 is the one in f32, rounded once.
void bf16_is_right() {
    const auto devices = device_of_each_isa();
    for (const MatmulCase& c : cases) {
        Matmul s = shape_of(c, NPUENC_BF16, NPUENC_F32);
        Random random(static_cast<uint32_t>(c.m + c.n));
        std::vector<uint16_t> a = to_bf16(random.reals(size_a(s)));
        const std::vector<uint16_t> b = to_bf16(random.reals(size_b(s)));
        fill_gaps_of_a(s, a, uint16_t{0x7fc0}); // NaN
        const Products products(s, from_bf16(a), from_bf16(b));
        for (const auto& device : devices) {
            s.c_type = NPUENC_F32;
            std::vector<float> result(size_c(s), 77);
            device->matmul(s, a.data(), b.data(), result.data(), unused_stats);
            check_f32(s, products, result, device->name().c_str());

            s.c_type = NPUENC_BF16;
            std::vector<uint16_t> narrow(size_c(s), 77);
            device->matmul(s, a.data(), b.data(), narrow.data(), unused_stats);
            for_each_element(s, narrow, uint16_t{77}, [&](size_t, size_t, size_t index) {
                assert_int_equal(narrow[index], to_bf16(result[index]));
            });
        }
    }
}

// Sums are exact; a requantised one is clamp(rint(sum * scale) + zero_point), in f32.
void s8_is_exact() {
    const auto devices = device_of_each_isa();
    for (const MatmulCase& c : cases) {
        Matmul s = shape_of(c, NPUENC_S8, NPUENC_S32);
        Random random(static_cast<uint32_t>(c.m + c.n));
        std::vector<int8_t> a = random.bytes(size_a(s)), b = random.bytes(size_b(s));
        std::fill_n(a.begin(), std::min(s.k, a.size()), int8_t{-128}); // the largest sum
        std::fill_n(b.begin(), std::min(s.k, b.size()), int8_t{-128});
        const Products products(s, a, b);
        // So that a good part of the results is clamped at each end.
        s.scale = static_cast<float>(1 / std::sqrt(1 + static_cast<double>(s.k)) / 70);
        s.zero_point = -7;
        for (const auto& device : devices) {
            s.c_type = NPUENC_S32;
            std::vector<int32_t> result(size_c(s), 77);
            device->matmul(s, a.data(), b.data(), result.data(), unused_stats);
            for_each_element(s, result, 77, [&](size_t row, size_t col, size_t index) {
                assert_near(products.sums[index], result[index], 0, device->name().c_str(), row,
                            col);
            });

            s.c_type = NPUENC_S8;
            std::vector<int8_t> narrow(size_c(s), 77);
            device->matmul(s, a.data(), b.data(), narrow.data(), unused_stats);
            for_each_element(s, narrow, int8_t{77}, [&](size_t row, size_t col, size_t index) {
                const float scaled = static_cast<float>(products.sums[index]) * s.scale;
                const double expected = std::fmin(
                    127, std::fmax(-128, std::nearbyint(static_cast<double>(scaled)) - 7));
                assert_near(expected, narrow[index], 0, device->name().c_str(), row, col);
            });
        }
    }
}

void takes_nothing() {
    CpuDevice device(2, nullptr);
    for (const MatmulCase& c :
         {MatmulCase{0, 3, 4, 5, false, false}, MatmulCase{2, 0, 4, 5, false, false},
          MatmulCase{2, 3, 0, 5, true, true}}) {
        device.matmul(shape_of(c, NPUENC_F32, NPUENC_F32), nullptr, nullptr, nullptr, unused_stats);
        device.matmul(shape_of(c, NPUENC_BF16, NPUENC_BF16), nullptr, nullptr, nullptr,
                      unused_stats);
        device.matmul(shape_of(c, NPUENC_S8, NPUENC_S8), nullptr, nullptr, nullptr, unused_stats);
    }
}

void refuses_other_types() {
    CpuDevice device(2, nullptr);
    Matmul s = shape_of({1, 1, 1, 1, false, false}, NPUENC_F32, NPUENC_BF16);
    npuenc_status status = NPUENC_OK;
    float a = 1, b = 1, c = 77;
    try {
        device.matmul(s, &a, &b, &c, unused_stats);
    } catch (const Error& error) {
        status = error.status();
    }
    assert_int_equal(status, NPUENC_E_UNSUPPORTED);
    assert_true(c == 77);
}

template <class T>
void compare_threads_and_rows(const MatmulCase& c, npuenc_dtype operands, npuenc_dtype results,
                              const void* a, size_t size_of_a, const void* b) {
    for (const std::string& isa : usable_isas()) {
        std::vector<T> first;
        for (unsigned n_threads : thread_counts) {
            const auto owner = std::make_unique<CpuDevice>(n_threads, isa.c_str());
            CpuDevice& device = *owner;
            Matmul s = shape_of(c, operands, results);
            s.scale = 0.01f;
            std::vector<T> result(size_c(s), 77);
            device.matmul(s, a, b, result.data(), unused_stats);
            if (first.empty())
                first = result;
            assert_memory_equal(first.data(), result.data(), result.size() * sizeof(T));

            std::vector<T> parts(size_c(s), 77);
            Matmul one = s;
            one.batch = 1;
            for (size_t item = 0; item < s.batch; ++item)
                for (size_t row = 0; row < s.m; row += one.m) {
                    one.m = std::min<size_t>(1 + row % 19, s.m - row);
                    device.matmul(one,
                                  static_cast<const char*>(a) +
                                      (item * s.stride_a + row * s.lda) * size_of_a,
                                  static_cast<const char*>(b) + item * s.stride_b * size_of_a,
                                  parts.data() + item * s.stride_c + row * s.ldc, unused_stats);
                }
            assert_memory_equal(first.data(), parts.data(), parts.size() * sizeof(T));
        }
    }
}

void is_deterministic() {
    const MatmulCase c{3, 150, 130, long_k, false, false, 3};
    const Matmul s = shape_of(c, NPUENC_F32, NPUENC_F32);
    Random random(1);
    const std::vector<float> a = random.reals(size_a(s)), b = random.reals(size_b(s));
    compare_threads_and_rows<float>(c, NPUENC_F32, NPUENC_F32, a.data(), 4, b.data());
    const std::vector<uint16_t> a_bf16 = to_bf16(a), b_bf16 = to_bf16(b);
    compare_threads_and_rows<float>(c, NPUENC_BF16, NPUENC_F32, a_bf16.data(), 2, b_bf16.data());
    const std::vector<int8_t> a_s8 = random.bytes(a.size()), b_s8 = random.bytes(b.size());
    compare_threads_and_rows<int8_t>(c, NPUENC_S8, NPUENC_S8, a_s8.data(), 1, b_s8.data());
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(guarded<f32_is_right>),        cmocka_unit_test(guarded<bf16_is_right>),
        cmocka_unit_test(guarded<s8_is_exact>),         cmocka_unit_test(guarded<takes_nothing>),
        cmocka_unit_test(guarded<refuses_other_types>), cmocka_unit_test(guarded<is_deterministic>),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
