// SPDX-License-Identifier: MIT
// Attention against its definition in float64.
#include "attention_problem.hpp"

using namespace npuenc;

namespace {

const AttentionCase cases[] = {
    {1, 1, 1, 1, 1},
    {1, 2, 64, 5, 7},
    {2, 3, 17, 33, 65, 3},
    {3, 1, 64, 130, 150, 1},
    {1, 2, 80, 1, 300},
    {2, 2, 130, 60, 61},
    {1, 1, 8, 70, 1100, 2},
    {2, 1, 5, 3, 0},
    {1, 8, 64, 57, 57},
    {1, 1, 1100, 4, 9},
    // More keys and values than are packed at once.
    {1, 3, 64, 2, 24000},
};

// Of f32 operands, in that, in bf16x2, or in f32 and then bf16: in such, scores of up to some 20
// would be off by more than the bounds.
template <npuenc_precision precision>
void f32_is_right() {
    const auto devices = device_of_each_isa();
    for_each_problem(cases, NPUENC_F32, [&](AttentionProblem&& problem) {
        Random random(3);
        std::vector<float> q = random.reals(problem.size_q());
        const std::vector<float> k = random.reals(problem.size_k()),
                                 v = random.reals(problem.size_k());
        if (precision == NPUENC_PRECISION_BF16)
            for (float& value : q)
                value *= 16;
        problem.q = doubles(q);
        problem.k = doubles(k);
        problem.v = doubles(v);
        problem.shape.precision = precision;
        if (precision == NPUENC_PRECISION_BF16X2)
            problem.error_of_sum = error_of_bf16x2;
        problem.solve();
        for (const auto& device : devices) {
            std::vector<float> out(problem.size_o(), 77);
            device->attention(problem.shape, q.data(), k.data(), v.data(), out.data(),
                              unused_stats);
            problem.for_each_result(out, 77.0f, [&](size_t index, size_t row, size_t col) {
                assert_near(problem.expected[index], static_cast<double>(out[index]),
                            problem.bounds[index], device->name().c_str(), row, col);
            });
        }
    });
}

void bf16_is_right() {
    const auto devices = device_of_each_isa();
    for_each_problem(cases, NPUENC_BF16, [&](AttentionProblem&& problem) {
        const auto [q, k, v] = problem.bf16_operands();
        problem.solve();
        for (const auto& device : devices) {
            std::vector<uint16_t> out(problem.size_o(), 77);
            device->attention(problem.shape, q.data(), k.data(), v.data(), out.data(),
                              unused_stats);
            problem.check_bf16(out, 77, device->name().c_str());
        }
    });
}

void s8_is_right() {
    const auto devices = device_of_each_isa();
    for_each_problem(cases, NPUENC_S8, [&](AttentionProblem&& problem) {
        const auto [q, k, v] = problem.s8_operands();
        problem.solve();
        for (const auto& device : devices) {
            std::vector<int8_t> out(problem.size_o(), 77);
            device->attention(problem.shape, q.data(), k.data(), v.data(), out.data(),
                              unused_stats);
            problem.check_s8(out, 77, device->name().c_str());
        }
    });
}

// Keys beyond an item's length are not even read: NaN there changes nothing.
void ignores_what_is_hidden() {
    with_each_isa([](CpuDevice& device) {
        AttentionProblem problem({3, 2, 64, 70, 90}, NPUENC_F32, NPUENC_MASK_KEY_LENGTHS, false,
                                 false);
        Random random(4);
        std::vector<float> q = random.reals(problem.size_q()), k = random.reals(problem.size_k()),
                           v = random.reals(problem.size_k());
        std::vector<float> expected(problem.size_o()), found(problem.size_o());
        device.attention(problem.shape, q.data(), k.data(), v.data(), expected.data(),
                         unused_stats);
        for (size_t item = 0; item < 3; ++item)
            for (size_t i = problem.lengths[item] * problem.shape.ldk; i < problem.shape.stride_k;
                 ++i)
                k[item * problem.shape.stride_k + i] = v[item * problem.shape.stride_v + i] = NAN;
        device.attention(problem.shape, q.data(), k.data(), v.data(), found.data(), unused_stats);
        assert_memory_equal(expected.data(), found.data(), found.size() * sizeof(float));
    });
}

void takes_nothing() {
    CpuDevice device(2, nullptr);
    for (npuenc_dtype type : {NPUENC_F32, NPUENC_BF16, NPUENC_S8})
        for (const AttentionCase& c : {AttentionCase{0, 2, 8, 3, 4}, AttentionCase{1, 2, 8, 0, 4},
                                       AttentionCase{1, 2, 8, 0, 0}}) {
            const AttentionProblem problem(c, type, NPUENC_MASK_NONE, false, false);
            std::vector<float> some(100);
            device.attention(problem.shape, some.data(), some.data(), some.data(), nullptr,
                             unused_stats);
        }
}

void refuses_other_types() {
    CpuDevice device(2, nullptr);
    const AttentionProblem problem({1, 1, 1, 1, 1}, NPUENC_F16, NPUENC_MASK_NONE, false, false);
    npuenc_status status = NPUENC_OK;
    uint16_t q = 0, k = 0, v = 0, out = 77;
    try {
        device.attention(problem.shape, &q, &k, &v, &out, unused_stats);
    } catch (const Error& error) {
        status = error.status();
    }
    assert_int_equal(status, NPUENC_E_UNSUPPORTED);
    assert_int_equal(out, 77);
}

// Threads, which queries are asked together, and which items, change no bit.
template <class T>
void compare(npuenc_dtype type, npuenc_precision precision, const std::vector<T>& q,
             const std::vector<T>& k, const std::vector<T>& v, const AttentionCase& c) {
    for (const std::string& isa : usable_isas()) {
        AttentionProblem problem(c, type, NPUENC_MASK_NONE, false, false);
        problem.shape.precision = precision;
        const Attention& shape = problem.shape;
        std::vector<T> first;
        for (unsigned n_threads : thread_counts) {
            const auto owner = std::make_unique<CpuDevice>(n_threads, isa.c_str());
            CpuDevice& device = *owner;
            std::vector<T> out(problem.size_o(), 77);
            device.attention(shape, q.data(), k.data(), v.data(), out.data(), unused_stats);
            if (first.empty())
                first = out;
            assert_memory_equal(first.data(), out.data(), out.size() * sizeof(T));

            std::vector<T> parts(problem.size_o(), 77);
            Attention part = shape;
            part.batch = 1;
            for (size_t item = 0; item < shape.batch; ++item)
                for (size_t i = 0; i < shape.q_len; i += part.q_len) {
                    part.q_len = std::min<size_t>(1 + i % 23, shape.q_len - i);
                    device.attention(
                        part, q.data() + item * shape.stride_q + i * shape.ldq,
                        k.data() + item * shape.stride_k, v.data() + item * shape.stride_v,
                        parts.data() + item * shape.stride_o + i * shape.ldo, unused_stats);
                }
            assert_memory_equal(first.data(), parts.data(), out.size() * sizeof(T));
        }
    }
}

void is_deterministic() {
    const size_t head_dim = under_thread_sanitizer ? 16 : 64;
    const AttentionCase c{2, 3, head_dim, 200, under_thread_sanitizer ? 300 : 1100, 3};
    const AttentionProblem problem(c, NPUENC_F32, NPUENC_MASK_NONE, false, false);
    Random random(6);
    const std::vector<float> q = random.reals(problem.size_q()), k = random.reals(problem.size_k()),
                             v = random.reals(problem.size_k());
    compare(NPUENC_F32, NPUENC_PRECISION_F32, q, k, v, c);
    compare(NPUENC_F32, NPUENC_PRECISION_BF16X2, q, k, v, c);
    compare(NPUENC_F32, NPUENC_PRECISION_BF16, q, k, v, c);
    compare(NPUENC_BF16, NPUENC_PRECISION_BF16, to_bf16(q), to_bf16(k), to_bf16(v), c);
    compare(NPUENC_BF16, NPUENC_PRECISION_INT8, to_bf16(q), to_bf16(k), to_bf16(v), c);
    compare(NPUENC_S8, NPUENC_PRECISION_INT8, random.bytes(q.size()), random.bytes(k.size()),
            random.bytes(v.size()), c);
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(guarded<f32_is_right<NPUENC_PRECISION_F32>>),
        cmocka_unit_test(guarded<f32_is_right<NPUENC_PRECISION_BF16X2>>),
        cmocka_unit_test(guarded<f32_is_right<NPUENC_PRECISION_BF16>>),
        cmocka_unit_test(guarded<bf16_is_right>),
        cmocka_unit_test(guarded<s8_is_right>),
        cmocka_unit_test(guarded<ignores_what_is_hidden>),
        cmocka_unit_test(guarded<takes_nothing>),
        cmocka_unit_test(guarded<refuses_other_types>),
        cmocka_unit_test(guarded<is_deterministic>),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
