// SPDX-License-Identifier: MIT
#include "npu/self_test.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "error.hpp"
#include "npu/gemm_stream.hpp"
#include "npu/gemm_tiling.hpp"

namespace npuenc {
namespace {

// A tile of C for each core, and two tiles along K.
constexpr size_t side = output_group;

size_t depth(const GemmOverlay& overlay) {
    return 2 * overlay.k_tile;
}

// Sums of 128 products of any int8 values have a standard deviation of about 60,000: with this
// shift most results lie within int8, and some are cut on both sides.
constexpr unsigned right_shift = 9;

constexpr size_t positions = 64; // of the fused attention, and its dimensions
constexpr float attention_scale = 1.0f / 32;
// The array's exponential is made of tangents, see kernels/aie2/attention_s8_64x64.hpp.
constexpr double least_correlation = 0.99;

// The same values at every open: xorshift (Marsaglia 2003), in [-magnitude, magnitude).
class Values {
  public:
    int next(int magnitude) {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 17;
        state_ ^= state_ << 5;
        return static_cast<int>(state_ >> 8) % (2 * magnitude) - magnitude;
    }

  private:
    uint32_t state_ = 2463534242;
};

std::vector<int8_t> int8_values(Values& values, size_t n, int magnitude) {
    std::vector<int8_t> out(n);
    for (int8_t& value : out)
        value = static_cast<int8_t>(values.next(magnitude));
    return out;
}

// Every sum of products of them is exact in f32, in whatever order, and in fixed point.
std::vector<float> small_integers(Values& values, size_t n) {
    std::vector<float> out(n);
    for (float& value : out)
        value = static_cast<float>(values.next(8));
    return out;
}

std::vector<uint16_t> bf16_of(const std::vector<float>& integers) {
    std::vector<uint16_t> out(integers.size());
    std::transform(integers.begin(), integers.end(), out.begin(), [](float value) {
        return static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
    });
    return out;
}

Matmul product(const GemmOverlay& overlay, npuenc_dtype result_type) {
    Matmul shape{};
    shape.a_type = shape.b_type = overlay.operand_type;
    shape.c_type = result_type;
    shape.batch = 1;
    shape.m = shape.n = side;
    shape.k = shape.lda = depth(overlay);
    shape.ldb = shape.ldc = side;
    shape.stride_a = shape.stride_b = side * shape.k;
    shape.stride_c = side * side;
    shape.scale = shifts(overlay) ? std::ldexp(1.0f, -int{right_shift}) : 0.0f;
    return shape;
}

// Runs `step`, whose failures then begin with the overlay's name.
template <class Step>
void test(const char* name, Step&& step) {
    try {
        step();
    } catch (const Error& error) {
        fail(error.status(), "self-test: %s: %s", name, error.what());
    }
}

template <class Element>
void require_equal(const std::vector<Element>& results, const std::vector<Element>& expected) {
    const auto [found, wanted] = std::mismatch(results.begin(), results.end(), expected.begin());
    if (found == results.end())
        return;
    const size_t i = static_cast<size_t>(found - results.begin());
    fail(NPUENC_E_DEVICE, "element (%zu, %zu) is %.9g instead of %.9g", i / side, i % side,
         static_cast<double>(*found), static_cast<double>(*wanted));
}

template <class Result, class Operand>
void test_product(Device& device, const GemmOverlay& overlay, npuenc_dtype result_type,
                  const std::vector<Operand>& a, const std::vector<Operand>& b) {
    test(overlay.name, [&] {
        const Matmul shape = product(overlay, result_type);
        std::vector<Result> expected(side * side), results(side * side);
        Stats stats;
        device.host().matmul(shape, a.data(), b.data(), expected.data(), stats);
        device.matmul(shape, a.data(), b.data(), results.data(), stats);
        require_equal(results, expected);
    });
}

// Of sums in 16 bits. pack(device) returns a weight with which they are what they are, to the bit.
template <class Pack>
void test_linear(Device& device, const GemmOverlay& overlay, const std::vector<float>& rows,
                 const Pack& pack) {
    test(overlay.name, [&] {
        Linear shape{};
        shape.x_type = NPUENC_F32;
        shape.y_type = NPUENC_BF16;
        shape.rows = shape.ldy = side;
        shape.ldx = depth(overlay);
        const auto multiply = [&](Device& by) {
            const std::unique_ptr<Weight> weight = pack(by);
            std::vector<uint16_t> results(side * side);
            Stats stats;
            by.linear(*weight, shape, rows.data(), results.data(), stats);
            return results;
        };
        require_equal(multiply(device), multiply(device.host()));
    });
}

// Of a weight of steps of 64 the array shifts sums by 6 at most.
void test_linear(Device& device, const std::vector<int8_t>& x, const std::vector<int8_t>& w) {
    std::vector<int8_t> steps(w.size());
    std::transform(w.begin(), w.end(), steps.begin(),
                   [](int8_t value) { return static_cast<int8_t>(value & ~63); });
    const std::vector<float> scales(side, 1.0f);
    test_linear(device, gemm_s8_s16, {x.begin(), x.end()}, [&](Device& by) {
        return by.pack(side, depth(gemm_s8_s16),
                       Int8Rows{steps.data(), depth(gemm_s8_s16), scales.data()}, nullptr);
    });
}

void test_linear(Device& device, const std::vector<float>& x, const std::vector<float>& w) {
    const size_t n_in = depth(gemm_bf16_s16);
    const auto read = [&](size_t first, size_t count, float* rows) {
        std::copy_n(w.data() + first * n_in, count * n_in, rows);
    };
    test_linear(device, gemm_bf16_s16, x, [&](Device& by) {
        return by.pack(side, n_in, NPUENC_PRECISION_BF16, read, nullptr, Sums::in_16_bits);
    });
}

// A hidden value of an MLP by its definition, and how far from it the array may be: h is exact
// until it is rounded to bf16; GELU, whose slope is below 1.13, is off by what gelu_tile.hpp says
// and rounded, too. A hundredth more has room for all that is left out here.
struct Hidden {
    double value, bound;
};

Hidden hidden_of(double h) {
    constexpr double rounding = 0x1p-8, approximation = 2.2e-4;
    const double gelu = h / 2 * (1 + std::erf(h / std::sqrt(2.0)));
    return {gelu, 1.01 * (rounding * (1.13 * std::fabs(h) + std::fabs(gelu)) + approximation)};
}

// Results are differences of two hidden values, of which each is in one of either sign.
void test_mlp(Device& device, Values& values) {
    const size_t n_in = depth(gemm_bf16_gelu);
    if (!device.has_mlp(n_in, side, side))
        return;
    test("gemm_bf16 with GELU", [&] {
        constexpr size_t minuend = 1, subtrahend = 77; // how many columns further on
        const std::vector<float> x = small_integers(values, side * n_in);
        std::vector<float> w = small_integers(values, side * n_in), bias(side);
        for (float& value : w)
            value /= 32; // hidden values of some units, of either sign
        for (float& value : bias)
            value = static_cast<float>(values.next(512)) / 128; // more bits than bf16 has
        const auto read_up = [&](size_t first, size_t count, float* rows) {
            std::copy_n(w.data() + first * n_in, count * n_in, rows);
        };
        const auto read_down = [&](size_t first, size_t count, float* rows) {
            std::fill_n(rows, count * side, 0.0f);
            for (size_t i = 0; i < count; ++i) {
                rows[i * side + (first + i + minuend) % side] = 1;
                rows[i * side + (first + i + subtrahend) % side] = -1;
            }
        };
        const auto up =
            device.pack(side, n_in, NPUENC_PRECISION_BF16, read_up, bias.data(), Sums::stay);
        const auto down =
            device.pack(side, side, NPUENC_PRECISION_BF16, read_down, nullptr, Sums::of_stayed);
        Linear shape{};
        shape.x_type = shape.y_type = NPUENC_F32;
        shape.rows = shape.ldy = side;
        shape.ldx = n_in;
        std::vector<float> results(side * side);
        Stats stats;
        device.mlp(*up, *down, shape, x.data(), results.data(), stats);

        for (size_t row = 0; row < side; ++row) {
            Hidden hidden[side];
            for (size_t i = 0; i < side; ++i) {
                const float* of_row = x.data() + row * n_in;
                hidden[i] = hidden_of(std::inner_product(of_row, of_row + n_in, w.data() + i * n_in,
                                                         static_cast<double>(bias[i])));
            }
            for (size_t column = 0; column < side; ++column) {
                const Hidden &plus = hidden[(column + minuend) % side],
                             &minus = hidden[(column + subtrahend) % side];
                const double expected = plus.value - minus.value,
                             found = static_cast<double>(results[row * side + column]);
                if (!(std::fabs(found - expected) <= plus.bound + minus.bound))
                    fail(NPUENC_E_DEVICE, "element (%zu, %zu) is %.9g, not near %.9g", row, column,
                         found, expected);
            }
        }
    });
}

double correlation(const std::vector<int8_t>& x, const std::vector<int8_t>& y) {
    double xx = 0, yy = 0, xy = 0; // of values whose mean is about 0
    for (size_t i = 0; i < x.size(); ++i) {
        xx += x[i] * x[i];
        yy += y[i] * y[i];
        xy += x[i] * y[i];
    }
    return xy / std::sqrt(xx * yy);
}

void test_attention(Device& device, Values& values) {
    test(attention_s8_64x64.name, [&] {
        constexpr size_t n = positions * positions;
        Attention shape{};
        shape.type = NPUENC_S8;
        shape.precision = NPUENC_PRECISION_INT8;
        shape.batch = shape.n_head = 1;
        shape.head_dim = shape.q_len = shape.kv_len = positions;
        shape.ldq = shape.ldk = shape.ldv = shape.ldo = positions;
        shape.stride_q = shape.stride_k = shape.stride_v = shape.stride_o = n;
        shape.scale = 1 / std::sqrt(static_cast<float>(positions));
        shape.mask = NPUENC_MASK_NONE;
        shape.q_scale = shape.k_scale = shape.v_scale = shape.out_scale = attention_scale;
        // Scores of some units: neither one key nor all of them make up a result.
        const std::vector<int8_t> q = int8_values(values, n, 64), k = int8_values(values, n, 64),
                                  v = int8_values(values, n, 128);
        std::vector<int8_t> expected(n), results(n);
        Stats stats;
        device.host().attention(shape, q.data(), k.data(), v.data(), expected.data(), stats);
        device.attention(shape, q.data(), k.data(), v.data(), results.data(), stats);
        const double found = correlation(results, expected);
        if (!(found >= least_correlation))
            fail(NPUENC_E_DEVICE, "the correlation with the CPU's attention is %.4f, less than %g",
                 found, least_correlation);
    });
}

} // namespace

void run_self_test(Device& device) {
    Values values;
    const size_t int8_size = side * depth(gemm_s8_s32), bf16_size = side * depth(gemm_bf16_f32);
    const std::vector<int8_t> a = int8_values(values, int8_size, 128),
                              b = int8_values(values, int8_size, 128);
    test_product<int32_t>(device, gemm_s8_s32, NPUENC_S32, a, b);
    test_linear(device, a, b);
    test_product<int8_t>(device, gemm_s8_s8, NPUENC_S8, a, b);
    const std::vector<float> x = small_integers(values, bf16_size),
                             w = small_integers(values, bf16_size);
    test_product<float>(device, gemm_bf16_f32, NPUENC_F32, bf16_of(x), bf16_of(w));
    test_linear(device, x, w);
    test_mlp(device, values);
    test_attention(device, values);
}

} // namespace npuenc
