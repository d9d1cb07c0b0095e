// SPDX-License-Identifier: MIT
// Attention on the array against its definition in float64, and its own kernel against the model of
// that.
#include <algorithm>
#include <cmath>

#include "device_support.hpp"
#include "npu/attention_kernel.hpp"
#include "tests/kernels/aie2/attention_model.hpp"
#include "tests/unit/cpu/attention_problem.hpp"

using namespace npuenc;

namespace {

const AttentionCase cases[] = {
    {1, 1, 1, 1, 1},         {1, 2, 64, 5, 7},   {2, 3, 17, 33, 65, 3},
    {3, 1, 64, 130, 150, 1}, {1, 2, 80, 1, 300}, {2, 2, 130, 60, 61},
    {2, 1, 5, 3, 0},         {1, 8, 64, 57, 57}, {1, 1, 300, 4, 9},
};

double array_error(size_t n) {
    return bf16_bound(n, 1);
}

void assert_counted(const Counting& counting, const Stats& stats, const Attention& shape) {
    const uint64_t products = shape.kv_len == 0 ? 0 : 2;
    counting.assert_costs(stats, products, 2 * products);
}

void bf16_is_right() {
    const auto device = open_array();
    for_each_problem(cases, NPUENC_BF16, [&](AttentionProblem&& problem) {
        const auto [q, k, v] = problem.bf16_operands();
        problem.error_of_sum = array_error;
        problem.solve();
        std::vector<uint16_t> out(problem.size_o(), 77);
        Stats stats;
        const Counting counting;
        device->attention(problem.shape, q.data(), k.data(), v.data(), out.data(), stats);
        assert_counted(counting, stats, problem.shape);
        problem.check_bf16(out, 77, "bf16");
    });
}

void s8_is_right() {
    const auto device = open_array();
    for_each_problem(cases, NPUENC_S8, [&](AttentionProblem&& problem) {
        const auto [q, k, v] = problem.s8_operands();
        problem.error_of_sum = array_error;
        problem.solve();
        std::vector<int8_t> out(problem.size_o(), 77);
        Stats stats;
        const Counting counting;
        device->attention(problem.shape, q.data(), k.data(), v.data(), out.data(), stats);
        assert_counted(counting, stats, problem.shape);
        problem.check_s8(out, 77, "s8");
    });
}

// Of bf16 operands with scores in int8: as a CPU that multiplies probabilities in bf16 too, but for
// the order of sums: of its own, within 2^-7 of each other once they are rounded.
void int8_scores_are_as_on_the_cpu() {
    const auto device = open_array(2, "reference");
    for_each_problem(cases, NPUENC_BF16, [&](AttentionProblem&& problem) {
        problem.shape.precision = NPUENC_PRECISION_INT8;
        const auto [q, k, v] = problem.bf16_operands();
        std::vector<uint16_t> out(problem.size_o(), 77), expected = out;
        Stats stats;
        device->attention(problem.shape, q.data(), k.data(), v.data(), out.data(), stats);
        device->host().attention(problem.shape, q.data(), k.data(), v.data(), expected.data(),
                                 stats);
        problem.for_each_result(out, uint16_t{77}, [&](size_t index, size_t row, size_t col) {
            // No value is above 1, and neither is what probabilities add up to. Blocks of keys
            // round probabilities to different scales.
            const double there = static_cast<double>(from_bf16(expected[index]));
            const double blocks = problem.shape.kv_len > 256 ? 2 * unit_bf16 : 0;
            assert_near(there, static_cast<double>(from_bf16(out[index])),
                        2 * unit_bf16 * std::fabs(there) + array_error(problem.shape.kv_len) +
                            gamma_f32(problem.shape.kv_len + 4) + blocks,
                        "int8 scores", row, col);
        });
    });
}

// Keys beyond an item's length change nothing, whatever they are.
void ignores_what_is_hidden() {
    const auto device = open_array();
    for (npuenc_precision precision : {NPUENC_PRECISION_BF16, NPUENC_PRECISION_INT8}) {
        AttentionProblem problem({3, 2, 64, 20, 90}, NPUENC_BF16, NPUENC_MASK_KEY_LENGTHS, false,
                                 false);
        problem.shape.precision = precision;
        Random random(4);
        std::vector<uint16_t> q = to_bf16(random.reals(problem.size_q())),
                              k = to_bf16(random.reals(problem.size_k())),
                              v = to_bf16(random.reals(problem.size_k()));
        std::vector<uint16_t> expected(problem.size_o()), found(problem.size_o());
        Stats stats;
        device->attention(problem.shape, q.data(), k.data(), v.data(), expected.data(), stats);
        constexpr uint16_t nan = 0x7fc0;
        for (size_t item = 0; item < 3; ++item)
            for (size_t i = problem.lengths[item] * problem.shape.ldk; i < problem.shape.stride_k;
                 ++i)
                k[item * problem.shape.stride_k + i] = v[item * problem.shape.stride_v + i] = nan;
        device->attention(problem.shape, q.data(), k.data(), v.data(), found.data(), stats);
        assert_memory_equal(expected.data(), found.data(), found.size() * sizeof(uint16_t));
    }
}

// Heads one by one and their queries in parts, by one thread and by three: not a bit changes.
void little_memory_and_threads_change_nothing() {
    const AttentionProblem problem({2, 2, 20, 600, 300, 1}, NPUENC_BF16, NPUENC_MASK_CAUSAL, false,
                                   false);
    Random random(6);
    const std::vector<uint16_t> q = to_bf16(random.reals(problem.size_q())),
                                k = to_bf16(random.reals(problem.size_k())),
                                v = to_bf16(random.reals(problem.size_k()));
    for (npuenc_precision precision : {NPUENC_PRECISION_BF16, NPUENC_PRECISION_INT8}) {
        Attention shape = problem.shape;
        shape.precision = precision;
        shape.mask = NPUENC_MASK_NONE;
        std::vector<uint16_t> expected;
        const struct {
            unsigned n_threads;
            size_t most_bytes;
            uint64_t portions;
        } runs[] = {
            {1, Array::default_most_bytes, 1}, {3, size_t{8} << 20, 2}, {2, size_t{2} << 20, 12}};
        for (const auto& c : runs) {
            std::vector<uint16_t> out(problem.size_o(), 77);
            Stats stats;
            const Counting counting;
            open_array(c.n_threads, nullptr, c.most_bytes)
                ->attention(shape, q.data(), k.data(), v.data(), out.data(), stats);
            counting.assert_costs(stats, 2 * c.portions, 4 * c.portions);
            if (expected.empty())
                expected = out;
            assert_memory_equal(expected.data(), out.data(), out.size() * sizeof(uint16_t));
        }
    }
}

// All heads of all items, one submission of one command, to the bit of the model and near float64.
void check_kernel(NpuDevice& device) {
    const struct {
        float q_scale, out_scale;
        int output_shift;
    } scales[] = {{0x1p-5f, 0x1p-5f, 16}, {0x1p-7f, 0x1p-7f, 14}, {0.01f, 0x1p-4f, 17}};
    for (const auto& c : scales) {
        AttentionProblem problem({2, 3, 64, 64, 64, 5}, NPUENC_S8, NPUENC_MASK_NONE, false, false);
        Attention& shape = problem.shape;
        shape.q_scale = shape.k_scale = c.q_scale;
        shape.v_scale = 0x1p-5f;
        shape.out_scale = c.out_scale;
        Random random(7);
        const auto q = random.bytes(problem.size_q()), k = random.bytes(problem.size_k()),
                   v = random.bytes(problem.size_k());
        std::vector<int8_t> out(problem.size_o(), 77);
        Stats stats;
        const Counting counting;
        device.attention(shape, q.data(), k.data(), v.data(), out.data(), stats);
        counting.assert_costs(stats, 1, 2);
        assert_int_equal(counting.commands(), 1);
        const double scale = static_cast<double>(shape.scale) * static_cast<double>(shape.q_scale) *
                             static_cast<double>(shape.k_scale);
        for (size_t item = 0; item < shape.batch; ++item)
            for (size_t head = 0; head < shape.n_head; ++head) {
                std::vector<uint8_t> message, found;
                const auto append = [&](std::vector<uint8_t>& to, const std::vector<int8_t>& from,
                                        size_t stride, size_t ld) {
                    for (size_t row = 0; row < 64; ++row)
                        for (size_t column = 0; column < 64; ++column)
                            to.push_back(static_cast<uint8_t>(
                                from[item * stride + row * ld + head * 64 + column]));
                };
                append(message, q, shape.stride_q, shape.ldq);
                append(message, k, shape.stride_k, shape.ldk);
                append(message, v, shape.stride_v, shape.ldv);
                append(found, out, shape.stride_o, shape.ldo);
                assert_true(found == attention_model(message, aie2::attention_parameters(
                                                                  scale, c.output_shift)));
                assert_true(correlation(message, found, scale).all >= 0.99);
            }
        problem.for_each_result(out, int8_t{77}, [](size_t, size_t, size_t) {});
    }
}

// Also cycle by cycle: the scales are written into a core's memory.
void the_kernel_of_the_array() {
    for (virtual_npu::Mode mode : {virtual_npu::Mode::simulated, virtual_npu::Mode::functional}) {
        set_firmware(mode);
        check_kernel(*open_array());
    }
}

void what_the_kernel_is_not_for() {
    const AttentionProblem good({1, 1, 64, 64, 64}, NPUENC_S8, NPUENC_MASK_NONE, false, false);
    Attention shape = good.shape;
    shape.v_scale = shape.out_scale = 1;
    assert_true(attention_kernel_parameters(shape).has_value());
    const auto refuses = [&](auto change) {
        Attention other = shape;
        change(other);
        assert_false(attention_kernel_parameters(other).has_value());
    };
    refuses([](Attention& other) { other.type = NPUENC_BF16; });
    refuses([](Attention& other) { other.head_dim = 32; });
    refuses([](Attention& other) { other.q_len = 63; });
    refuses([](Attention& other) { other.kv_len = 65; });
    refuses([](Attention& other) { other.mask = NPUENC_MASK_CAUSAL; });
    refuses([](Attention& other) { other.out_scale = 0.75f; });
    refuses([](Attention& other) { other.out_scale = 0x1p-5f; });
    refuses([](Attention& other) { other.out_scale = 0x1p16f; });
    refuses([](Attention& other) { other.scale = 0.5f, other.q_scale = other.k_scale = 1; });
    refuses([](Attention& other) { other.scale = -other.scale; });
    refuses([](Attention& other) { other.q_scale = other.k_scale = 0x1p-14f; });
}

void refuses_f32() {
    const auto device = open_array();
    const AttentionProblem problem({1, 1, 1, 1, 1}, NPUENC_F32, NPUENC_MASK_NONE, false, false);
    float q = 0, k = 0, v = 0, out = 77;
    Stats stats;
    assert_error(device->attention(problem.shape, &q, &k, &v, &out, stats), NPUENC_E_UNSUPPORTED,
                 "no attention of type");
    assert_true(out == 77 && stats.n_submissions == 0);
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(guarded<bf16_is_right>),
        cmocka_unit_test(guarded<s8_is_right>),
        cmocka_unit_test(guarded<int8_scores_are_as_on_the_cpu>),
        cmocka_unit_test(guarded<ignores_what_is_hidden>),
        cmocka_unit_test(guarded<little_memory_and_threads_change_nothing>),
        cmocka_unit_test(guarded<the_kernel_of_the_array>),
        cmocka_unit_test(guarded<what_the_kernel_is_not_for>),
        cmocka_unit_test(guarded<refuses_f32>),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
