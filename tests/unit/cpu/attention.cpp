// SPDX-License-Identifier: MIT
// Attention against its definition in float64.
#include "support.hpp"

using namespace npuenc;

namespace {

struct Case {
    size_t batch, n_head, head_dim, q_len, kv_len;
    size_t gap = 0; // between positions, and between items
};

const Case cases[] = {
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

struct Problem {
    Attention shape{};
    std::vector<uint32_t> lengths;
    std::vector<float> added;
    std::vector<double> q, k, v; // what the integers or floats given to the device stand for
    std::vector<double> expected, bounds; // as the result lies in memory

    size_t size_q() const { return shape.batch * shape.stride_q; }
    size_t size_k() const { return shape.batch * shape.stride_k; }
    size_t size_o() const { return shape.batch * shape.stride_o; }

    Problem(const Case& c, npuenc_dtype type, npuenc_mask mask, bool per_item, bool per_head) {
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
    // e = gamma(head_dim + 3) (scale sum |q||k| + |mask|), to which comes the rounding of the
    // difference to the greatest score, at most 2 u max |score|. So a probability is wrong by a
    // factor within exp(2 (e + 2 u max |score|)), by the errors of exp (2 ulp, at most 4 u, for it
    // and for the sum), of the sum over keys and of the division. The second product adds
    // gamma(kv_len). exp(x) - 1 <= 1.1 x for x <= 0.18.
    // bf16 and s8 round the probabilities to bf16, of an exp that is within 2^-13.7 (and so is
    // their sum), bf16 the result too.
    void solve(size_t item, size_t head, size_t i) {
        const size_t d = shape.head_dim, n = shape.kv_len;
        double* row = expected.data() + item * shape.stride_o + i * shape.ldo + head * d;
        double* bound = bounds.data() + (row - expected.data());
        const double* query = q.data() + item * shape.stride_q + i * shape.ldq + head * d;
        std::vector<double> p(n, 0);
        double greatest = -INFINITY, error = 0, magnitude = 0;
        for (size_t j = 0; j < n; ++j) {
            const double* key = k.data() + item * shape.stride_k + j * shape.ldk + head * d;
            double score = 0, size = 0;
            for (size_t c = 0; c < d; ++c) {
                score += query[c] * key[c];
                size += std::fabs(query[c] * key[c]);
            }
            score *= static_cast<double>(shape.scale);
            size *= static_cast<double>(shape.scale);
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
                error = std::fmax(error, gamma_f32(d + 3) * size);
                magnitude = std::fmax(magnitude, std::fabs(p[j]));
            }
        }
        double sum = 0;
        for (double& value : p)
            sum += value = std::isfinite(value) ? std::exp(value - greatest) : 0;
        const double exponent = 2 * (error + 2 * unit_f32 * magnitude);
        assert_true(exponent < 0.1);
        double relative = 1.1 * exponent + 8 * unit_f32 + gamma_f32(2 * n + 4);
        if (shape.type != NPUENC_F32)
            relative += 1.01 * unit_bf16 + 2 * std::exp2(-13.7);
        for (size_t j = 0; j < n; ++j) {
            if (p[j] == 0)
                continue;
            const double* value = v.data() + item * shape.stride_v + j * shape.ldv + head * d;
            for (size_t c = 0; c < d; ++c) {
                row[c] += p[j] / sum * value[c];
                bound[c] += 1.01 * relative * p[j] / sum * std::fabs(value[c]);
            }
        }
        if (shape.type == NPUENC_BF16)
            for (size_t c = 0; c < d; ++c)
                bound[c] += unit_bf16 * (std::fabs(row[c]) + bound[c]);
    }

    void solve() {
        expected.assign(size_o(), 0);
        bounds.assign(size_o(), 0);
        for (size_t item = 0; item < shape.batch; ++item)
            for (size_t head = 0; head < shape.n_head; ++head)
                for (size_t i = 0; i < shape.q_len; ++i)
                    solve(item, head, i);
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

// Every mask that suits a shape.
template <class Body>
void for_each_problem(npuenc_dtype type, Body&& body) {
    for (const Case& c : cases) {
        for (npuenc_mask mask : {NPUENC_MASK_NONE, NPUENC_MASK_KEY_LENGTHS, NPUENC_MASK_CAUSAL})
            if (mask != NPUENC_MASK_CAUSAL || c.q_len <= c.kv_len)
                body(Problem(c, type, mask, false, false));
        for (bool per_item : {false, true})
            for (bool per_head : {false, true})
                if (c.kv_len > 0 && c.kv_len < 2000)
                    body(Problem(c, type, NPUENC_MASK_ADD_F32, per_item, per_head));
    }
}

template <class T>
std::vector<double> doubles(const std::vector<T>& values, double scale = 1) {
    std::vector<double> result;
    for (T value : values)
        result.push_back(scale * static_cast<double>(value));
    return result;
}

void f32_is_right() {
    const auto devices = device_of_each_isa();
    for_each_problem(NPUENC_F32, [&](Problem&& problem) {
        Random random(3);
        const std::vector<float> q = random.reals(problem.size_q()),
                                 k = random.reals(problem.size_k()),
                                 v = random.reals(problem.size_k());
        problem.q = doubles(q);
        problem.k = doubles(k);
        problem.v = doubles(v);
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
    for_each_problem(NPUENC_BF16, [&](Problem&& problem) {
        Random random(3);
        const std::vector<uint16_t> q = to_bf16(random.reals(problem.size_q())),
                                    k = to_bf16(random.reals(problem.size_k())),
                                    v = to_bf16(random.reals(problem.size_k()));
        problem.q = doubles(from_bf16(q));
        problem.k = doubles(from_bf16(k));
        problem.v = doubles(from_bf16(v));
        problem.solve();
        for (const auto& device : devices) {
            std::vector<uint16_t> out(problem.size_o(), 77);
            device->attention(problem.shape, q.data(), k.data(), v.data(), out.data(),
                              unused_stats);
            problem.for_each_result(out, uint16_t{77}, [&](size_t index, size_t row, size_t col) {
                assert_near(problem.expected[index], static_cast<double>(from_bf16(out[index])),
                            problem.bounds[index], device->name().c_str(), row, col);
            });
        }
    });
}

// Exact but for the softmax and the rounding of the result, which is to the nearest integer.
void s8_is_right() {
    const auto devices = device_of_each_isa();
    for_each_problem(NPUENC_S8, [&](Problem&& problem) {
        Random random(3);
        const std::vector<int8_t> q = random.bytes(problem.size_q()),
                                  k = random.bytes(problem.size_k()),
                                  v = random.bytes(problem.size_k());
        problem.q = doubles(q, static_cast<double>(problem.shape.q_scale));
        problem.k = doubles(k, static_cast<double>(problem.shape.k_scale));
        problem.v = doubles(v, static_cast<double>(problem.shape.v_scale));
        problem.solve();
        const double scale = static_cast<double>(problem.shape.out_scale);
        for (const auto& device : devices) {
            std::vector<int8_t> out(problem.size_o(), 77);
            device->attention(problem.shape, q.data(), k.data(), v.data(), out.data(),
                              unused_stats);
            problem.for_each_result(out, int8_t{77}, [&](size_t index, size_t row, size_t col) {
                // Four more roundings, of the scales, come before the one to an integer.
                const double bound = problem.bounds[index] / scale + gamma_f32(4) * 128;
                const double real =
                    std::fmin(127, std::fmax(-128, problem.expected[index] / scale));
                assert_near(real, out[index], 0.5 + bound, device->name().c_str(), row, col);
            });
        }
    });
}

// Keys beyond an item's length are not even read: NaN there changes nothing.
void ignores_what_is_hidden() {
    with_each_isa([](CpuDevice& device) {
        Problem problem({3, 2, 64, 70, 90}, NPUENC_F32, NPUENC_MASK_KEY_LENGTHS, false, false);
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
        for (const Case& c : {Case{0, 2, 8, 3, 4}, Case{1, 2, 8, 0, 4}, Case{1, 2, 8, 0, 0}}) {
            const Problem problem(c, type, NPUENC_MASK_NONE, false, false);
            std::vector<float> some(100);
            device.attention(problem.shape, some.data(), some.data(), some.data(), nullptr,
                             unused_stats);
        }
}

void refuses_other_types() {
    CpuDevice device(2, nullptr);
    const Problem problem({1, 1, 1, 1, 1}, NPUENC_F16, NPUENC_MASK_NONE, false, false);
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
void compare(npuenc_dtype type, const std::vector<T>& q, const std::vector<T>& k,
             const std::vector<T>& v, const Case& c) {
    for (const std::string& isa : usable_isas()) {
        const Problem problem(c, type, NPUENC_MASK_NONE, false, false);
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
    const Case c{2, 3, 64, 200, 1100, 3};
    const Problem problem(c, NPUENC_F32, NPUENC_MASK_NONE, false, false);
    Random random(6);
    const std::vector<float> q = random.reals(problem.size_q()), k = random.reals(problem.size_k()),
                             v = random.reals(problem.size_k());
    compare(NPUENC_F32, q, k, v, c);
    compare(NPUENC_BF16, to_bf16(q), to_bf16(k), to_bf16(v), c);
    compare(NPUENC_S8, random.bytes(q.size()), random.bytes(k.size()), random.bytes(v.size()), c);
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(guarded<f32_is_right>),
        cmocka_unit_test(guarded<bf16_is_right>),
        cmocka_unit_test(guarded<s8_is_right>),
        cmocka_unit_test(guarded<ignores_what_is_hidden>),
        cmocka_unit_test(guarded<takes_nothing>),
        cmocka_unit_test(guarded<refuses_other_types>),
        cmocka_unit_test(guarded<is_deterministic>),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
