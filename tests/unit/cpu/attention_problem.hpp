// SPDX-License-Identifier: MIT
// Attention by its definition, in float64, and how far a device may be from it.
#pragma once

#include "device/split_row.hpp"
#include "tests/unit/cpu/definitions.hpp"
#include "tests/unit/cpu/support.hpp"

namespace npuenc {

struct AttentionCase {
    size_t batch, n_head, head_dim, q_len, kv_len;
    size_t gap = 0; // between positions, and between items
};

template <class T>
std::vector<double> doubles(const std::vector<T>& values, double scale = 1) {
    std::vector<double> result(values.size());
    for (size_t i = 0; i < values.size(); ++i)
        result[i] = scale * static_cast<double>(values[i]);
    return result;
}

struct AttentionProblem {
    Attention shape{};
    std::vector<uint32_t> lengths;
    std::vector<float> added;
    std::vector<double> q, k, v; // what the integers or floats given to the device stand for
    std::vector<double> expected, bounds; // as the result lies in memory
    // How far a sum of n products may be off, relatively to the sum of their magnitudes.
    double (*error_of_sum)(size_t n) = gamma_f32;

    size_t size_q() const { return shape.batch * shape.stride_q; }
    size_t size_k() const { return shape.batch * shape.stride_k; }
    size_t size_o() const { return shape.batch * shape.stride_o; }

    AttentionProblem(const AttentionCase& c, npuenc_dtype type, npuenc_mask mask, bool per_item,
                     bool per_head) {
        shape.type = type;
        shape.precision = type == NPUENC_F32    ? NPUENC_PRECISION_F32
                          : type == NPUENC_BF16 ? NPUENC_PRECISION_BF16
                                                : NPUENC_PRECISION_INT8;
        shape.batch = c.batch;
        shape.n_head = c.n_head;
        shape.head_dim = c.head_dim;
        shape.q_len = c.q_len;
        shape.kv_len = c.kv_len;
        const size_t width = c.n_head * c.head_dim;
        shape.ldq = width + c.gap;
        shape.ldk = width + 2 * c.gap;
        shape.ldv = width + 2 * c.gap;
        shape.ldo = width + 3 * c.gap;
        shape.stride_q = c.q_len * shape.ldq + c.gap;
        shape.stride_k = c.kv_len * shape.ldk + c.gap;
        shape.stride_v = c.kv_len * shape.ldv + c.gap;
        shape.stride_o = c.q_len * shape.ldo + c.gap;
        shape.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(c.head_dim)));
        shape.mask = mask;
        shape.q_scale = 0.02f;
        shape.k_scale = 0.03f;
        shape.v_scale = 0.01f;
        shape.out_scale = 0.004f;

        Random random(static_cast<uint32_t>(c.q_len * 131 + c.kv_len));
        if (mask == NPUENC_MASK_KEY_LENGTHS) {
            for (size_t item = 0; item < c.batch; ++item) // the second item sees nothing
                lengths.push_back(item == 1 ? 0 : static_cast<uint32_t>(c.kv_len - c.kv_len / 3));
            shape.key_lengths = lengths.data();
        }
        if (mask == NPUENC_MASK_ADD_F32) {
            const size_t one = c.q_len * c.kv_len;
            shape.added_stride_head = per_head ? one : 0;
            shape.added_stride_batch = per_item ? (per_head ? c.n_head : 1) * one : 0;
            added = random.reals((per_item ? c.batch : 1) * (per_head ? c.n_head : 1) * one);
            for (float& value : added)
                if (random.next() % 4 == 0)
                    value = -INFINITY;
            for (size_t j = 0; j < c.kv_len; ++j) // the first query sees nothing
                added[j] = -INFINITY;
            shape.added = added.data();
        }
    }

    bool sees(size_t item, size_t i, size_t j) const {
        switch (shape.mask) {
        case NPUENC_MASK_KEY_LENGTHS:
            return j < lengths[item];
        case NPUENC_MASK_CAUSAL:
            return j + shape.q_len <= i + shape.kv_len;
        default:
            return true;
        }
    }

    // One row of the result, and a bound for each element's distance from it.
    //
    // A score is a sum of head_dim products times the scale, plus the mask: its error is at most
    // e = (error_of_sum(head_dim) + gamma(3)) (scale sum |q||k| + |mask|), to which comes the
    // rounding of the difference to the greatest score, at most 2 u max |score|. So a probability
    // is wrong by a factor within exp(2 (e + 2 u max |score|)), by the errors of exp (2 ulp, at
    // most 4 u, for it and for the sum), of the sum over keys and of the division. The second
    // product adds error_of_sum(kv_len). exp(x) - 1 <= 1.1 x for x <= 0.18. All but f32 round the
    // probabilities to bf16, of an exp that is within 2^-13.7 (and so is their sum), bf16 the
    // result too.
    void solve(size_t item, size_t head, size_t i) {
        const size_t d = shape.head_dim, n = shape.kv_len;
        double* row = expected.data() + item * shape.stride_o + i * shape.ldo + head * d;
        double* bound = bounds.data() + (row - expected.data());
        const double* query = q.data() + item * shape.stride_q + i * shape.ldq + head * d;
        std::vector<double> p(n, 0);
        double greatest = -INFINITY, error = 0, magnitude = 0;
        for (size_t j = 0; j < n; ++j) {
            const double* key = k.data() + item * shape.stride_k + j * shape.ldk + head * d;
            const Sum products = sum_of_products(query, key, d);
            double score = products.value * static_cast<double>(shape.scale);
            double size = products.magnitude * static_cast<double>(shape.scale);
            if (shape.added) {
                const double mask =
                    static_cast<double>(shape.added[item * shape.added_stride_batch +
                                                    head * shape.added_stride_head + i * n + j]);
                score += mask;
                size += std::fabs(mask);
            }
            p[j] = sees(item, i, j) ? score : -INFINITY;
            if (std::isfinite(p[j])) {
                greatest = std::fmax(greatest, p[j]);
                error = std::fmax(error, (error_of_sum(d) + gamma_f32(3)) * size);
                magnitude = std::fmax(magnitude, std::fabs(p[j]));
            }
        }
        double sum = 0;
        for (double& value : p)
            sum += value = std::isfinite(value) ? std::exp(value - greatest) : 0;
        const double exponent = 2 * (error + 2 * unit_f32 * magnitude);
        assert_true(exponent < 0.1);
        double relative = 1.1 * exponent + 8 * unit_f32 + gamma_f32(n + 4) + error_of_sum(n);
        if (shape.precision != NPUENC_PRECISION_F32)
            relative += 1.01 * unit_bf16 + 2 * std::exp2(-13.7);
        if (shape.precision == NPUENC_PRECISION_BF16 && shape.type == NPUENC_F32)
            relative += 1.01 * unit_bf16; // of the values
        for (size_t j = 0; j < n; ++j) {
            if (p[j] == 0)
                continue;
            const double* value = v.data() + item * shape.stride_v + j * shape.ldv + head * d;
            add_products(p[j] / sum, value, 1, d, row, bound);
        }
        for (size_t c = 0; c < d; ++c) {
            bound[c] *= 1.01 * relative;
            if (shape.type == NPUENC_BF16)
                bound[c] += unit_bf16 * (std::fabs(row[c]) + bound[c]);
        }
    }

    void solve() {
        expected.assign(size_o(), 0);
        bounds.assign(size_o(), 0);
        for (size_t item = 0; item < shape.batch; ++item)
            for (size_t head = 0; head < shape.n_head; ++head)
                for (size_t i = 0; i < shape.q_len; ++i)
                    solve(item, head, i);
    }

    // bf16 operands, which solve() then takes.
    struct Bf16Operands {
        std::vector<uint16_t> q, k, v;
    };
    Bf16Operands bf16_operands() {
        Random random(3);
        Bf16Operands operands;
        operands.q = to_bf16(random.reals(size_q()));
        operands.k = to_bf16(random.reals(size_k()));
        operands.v = to_bf16(random.reals(size_k()));
        q = doubles(from_bf16(operands.q));
        k = doubles(from_bf16(operands.k));
        v = doubles(from_bf16(operands.v));
        return operands;
    }

    // The same of int8.
    struct S8Operands {
        std::vector<int8_t> q, k, v;
    };
    S8Operands s8_operands() {
        Random random(3);
        S8Operands operands;
        operands.q = random.bytes(size_q());
        operands.k = random.bytes(size_k());
        operands.v = random.bytes(size_k());
        q = doubles(operands.q, static_cast<double>(shape.q_scale));
        k = doubles(operands.k, static_cast<double>(shape.k_scale));
        v = doubles(operands.v, static_cast<double>(shape.v_scale));
        return operands;
    }

    void check_bf16(const std::vector<uint16_t>& out, uint16_t untouched, const char* what) const {
        for_each_result(out, untouched, [&](size_t index, size_t row, size_t col) {
            assert_near(expected[index], static_cast<double>(from_bf16(out[index])), bounds[index],
                        what, row, col);
        });
    }

    // Exact but for the softmax, the sums of results and the rounding of those, which is to the
    // nearest integer.
    void check_s8(const std::vector<int8_t>& out, int8_t untouched, const char* what) const {
        const double scale = static_cast<double>(shape.out_scale);
        for_each_result(out, untouched, [&](size_t index, size_t row, size_t col) {
            // Four more roundings, of the scales, come before the one to an integer.
            const double bound = bounds[index] / scale + gamma_f32(4) * 128;
            const double real = std::fmin(127, std::fmax(-128, expected[index] / scale));
            assert_near(real, out[index], 0.5 + bound, what, row, col);
        });
    }

    // check(index, row, column) for each element of the result; nothing else may have changed.
    template <class T, class Check>
    void for_each_result(const std::vector<T>& out, T untouched, Check&& check) const {
        for (size_t index = 0; index < out.size(); ++index) {
            const size_t i = index % shape.stride_o / shape.ldo;
            const size_t c = index % shape.stride_o % shape.ldo;
            if (i >= shape.q_len || c >= shape.n_head * shape.head_dim)
                assert_true(out[index] == untouched);
            else
                check(index, i, c);
        }
    }
};

// Of a sum of n products in bf16x2: of three times as many, each of whose factors is within 2^-16
// of itself, and the product of the low parts, as much again, is left out.
inline double error_of_bf16x2(size_t n) {
    return 1.01 * gamma_f32(split_parts * n) + 3.01 * 0x1p-16;
}

// Every mask that suits a shape.
template <class Cases, class Body>
void for_each_problem(const Cases& cases, npuenc_dtype type, Body&& body) {
    for (const AttentionCase& c : cases) {
        for (npuenc_mask mask : {NPUENC_MASK_NONE, NPUENC_MASK_KEY_LENGTHS, NPUENC_MASK_CAUSAL})
            if (mask != NPUENC_MASK_CAUSAL || c.q_len <= c.kv_len)
                body(AttentionProblem(c, type, mask, false, false));
        for (bool per_item : {false, true})
            for (bool per_head : {false, true})
                if (c.kv_len > 0 && c.kv_len < 2000)
                    body(AttentionProblem(c, type, NPUENC_MASK_ADD_F32, per_item, per_head));
    }
}

} // namespace npuenc
