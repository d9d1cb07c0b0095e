/* SPDX-License-Identifier: MIT
 *
 * Row operations on f32 for AVX2 with FMA. The end of a row is a vector under a mask; only there
 * are the loads and stores masked, since masked stores are slow on some CPUs.
 */
#include <immintrin.h>
#include <math.h>

#include "kernels/cpu/approximation.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/x86/unroll.h"

enum {
    lanes = 8,
    sums = 4, /* vectors side by side in a reduction, for the latency of an addition */
    block = sums * lanes
};

static inline __m256i first(size_t n) {
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < lanes ? (int)n : lanes), index);
}

/* Up to a vector from or to a row that has `left` elements left; zeros beyond. */
static inline __m256 load(const float* x, size_t left) {
    return left >= lanes ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, first(left));
}

static inline void store(float* x, size_t left, __m256 v) {
    if (left >= lanes)
        _mm256_storeu_ps(x, v);
    else
        _mm256_maskstore_ps(x, first(left), v);
}

/* Zeros beyond what is left. */
static inline __m256 keep(__m256 v, size_t left) {
    return left >= lanes ? v : _mm256_and_ps(v, _mm256_castsi256_ps(first(left)));
}

static inline __m256 all(float value) {
    return _mm256_set1_ps(value);
}

static inline float sum_of(__m256 v) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

static inline float greatest_of(__m256 v) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

static inline __m256 add_four(const __m256 v[sums]) {
    return _mm256_add_ps(_mm256_add_ps(v[0], v[1]), _mm256_add_ps(v[2], v[3]));
}

static inline __m256 max_four(const __m256 v[sums]) {
    return _mm256_max_ps(_mm256_max_ps(v[0], v[1]), _mm256_max_ps(v[2], v[3]));
}

static float mean_of(size_t n, const float* x) {
    __m256 sum[sums] = {all(0), all(0), all(0), all(0)};
    size_t i = 0;
    for (; i + block <= n; i += block)
        UNROLLED_FOR (size_t v = 0; v < sums; v++)
            sum[v] = _mm256_add_ps(sum[v], _mm256_loadu_ps(x + i + v * lanes));
    for (; i < n; i += lanes)
        sum[0] = _mm256_add_ps(sum[0], load(x + i, n - i));
    return sum_of(add_four(sum)) / (float)n;
}

static float variance_of(size_t n, const float* x, __m256 mean) {
    __m256 sum[sums] = {all(0), all(0), all(0), all(0)};
    size_t i = 0;
    for (; i + block <= n; i += block)
        UNROLLED_FOR (size_t v = 0; v < sums; v++) {
            const __m256 d = _mm256_sub_ps(_mm256_loadu_ps(x + i + v * lanes), mean);
            sum[v] = _mm256_fmadd_ps(d, d, sum[v]);
        }
    for (; i < n; i += lanes) {
        const __m256 d = keep(_mm256_sub_ps(load(x + i, n - i), mean), n - i);
        sum[0] = _mm256_fmadd_ps(d, d, sum[0]);
    }
    return sum_of(add_four(sum)) / (float)n;
}

static void layer_norm(size_t n, const float* x, const float* weight, const float* bias, float* y) {
    const __m256 mean = all(mean_of(n, x));
    const __m256 scale = all(1.0f / sqrtf(variance_of(n, x, mean) + npuenc_layer_norm_epsilon));
    for (size_t i = 0; i < n; i += lanes) {
        const __m256 d = _mm256_sub_ps(load(x + i, n - i), mean);
        const __m256 w = load(weight + i, n - i);
        const __m256 b = load(bias + i, n - i);
        store(y + i, n - i, _mm256_fmadd_ps(_mm256_mul_ps(d, scale), w, b));
    }
}

/* exp(x) for x <= 0 or hardly more. NaN stays NaN. */
static inline __m256 exp_of(__m256 x) {
    /* Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits. */
    const __m256 shift = all(0x1.8p23f);
    const __m256 shifted = _mm256_fmadd_ps(x, all(npuenc_exp_log2e), shift);
    const __m256 n = _mm256_sub_ps(shifted, shift);
    __m256 r = _mm256_fnmadd_ps(n, all(npuenc_exp_ln2_high), x);
    r = _mm256_fnmadd_ps(n, all(npuenc_exp_ln2_low), r);
    __m256 p = all(npuenc_exp_4);
    p = _mm256_fmadd_ps(p, r, all(npuenc_exp_3));
    p = _mm256_fmadd_ps(p, r, all(npuenc_exp_2));
    p = _mm256_fmadd_ps(p, r, all(npuenc_exp_1));
    p = _mm256_fmadd_ps(p, r, all(npuenc_exp_0));
    p = _mm256_fmadd_ps(p, r, all(1));
    p = _mm256_fmadd_ps(p, r, all(1));
    /* 2^(n + 64), then 2^-64, since 2^n itself may be too small for its exponent. */
    const __m256i power = _mm256_slli_epi32(
        _mm256_add_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(127 + 64)), 23);
    p = _mm256_mul_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(power)), all(0x1p-64f));
    return _mm256_and_ps(p, _mm256_cmp_ps(x, all(npuenc_exp_least), _CMP_NLT_UQ));
}

/* The greatest scale * x. */
static float greatest_scaled(size_t n, const float* x, __m256 scale) {
    const __m256 least = all(-INFINITY);
    __m256 max[sums] = {least, least, least, least};
    size_t i = 0;
    for (; i + block <= n; i += block)
        UNROLLED_FOR (size_t v = 0; v < sums; v++)
            max[v] =
                _mm256_max_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i + v * lanes), scale), max[v]);
    for (; i < n; i += lanes) {
        const __m256 v = _mm256_mul_ps(load(x + i, n - i), scale);
        const __m256 in = _mm256_castsi256_ps(first(n - i));
        max[0] = _mm256_max_ps(_mm256_blendv_ps(least, v, in), max[0]);
    }
    return greatest_of(max_four(max));
}

/* x = scale * x + addend, and the greatest of it. */
static float add_mask(size_t n, float* x, __m256 scale, const float* addend) {
    const __m256 least = all(-INFINITY);
    __m256 max = least;
    for (size_t i = 0; i < n; i += lanes) {
        const __m256 a = load(addend + i, n - i);
        const __m256 in =
            _mm256_and_ps(_mm256_cmp_ps(a, least, _CMP_NEQ_UQ), _mm256_castsi256_ps(first(n - i)));
        const __m256 v = _mm256_blendv_ps(least, _mm256_fmadd_ps(load(x + i, n - i), scale, a), in);
        max = _mm256_max_ps(v, max);
        store(x + i, n - i, v);
    }
    return greatest_of(max);
}

static void softmax(size_t n, float* x, float scale, const float* mask) {
    float greatest = mask ? add_mask(n, x, all(scale), mask) : greatest_scaled(n, x, all(scale));
    if (greatest == -INFINITY)
        greatest = 0.0f; /* so that exp makes zeros, and NaN of NaN */
    else if (greatest == INFINITY)
        greatest = NAN; /* x may be finite where scale * x is not */

    const __m256 factor = all(mask ? 1.0f : scale);
    __m256 sum = all(0);
    for (size_t i = 0; i < n; i += lanes) {
        const __m256 v = _mm256_fmsub_ps(load(x + i, n - i), factor, all(greatest));
        const __m256 e = keep(exp_of(v), n - i);
        sum = _mm256_add_ps(sum, e);
        store(x + i, n - i, e);
    }

    const float total = sum_of(sum);
    const __m256 inverse = all(total == 0.0f ? 0.0f : 1.0f / total);
    for (size_t i = 0; i < n; i += lanes)
        store(x + i, n - i, _mm256_mul_ps(load(x + i, n - i), inverse));
}

static inline __m256 gelu_of(__m256 y) {
    const __m256 u = _mm256_fmadd_ps(_mm256_mul_ps(y, y), all(npuenc_gelu_inverse_13), all(-1));
    __m256 h = all(npuenc_gelu_12);
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_11));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_10));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_9));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_8));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_7));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_6));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_5));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_4));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_3));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_2));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_1));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_0));
    h = _mm256_mul_ps(h, y);
    /* Of a number and a NaN, min and max give the second: NaN passes. */
    h = _mm256_min_ps(all(0.5f), h);
    h = _mm256_max_ps(all(-0.5f), h);
    return _mm256_mul_ps(_mm256_max_ps(all(npuenc_gelu_least), y), _mm256_add_ps(h, all(0.5f)));
}

static void epilogue(size_t n, float* y, const float* bias, int gelu, const float* addend) {
    for (size_t i = 0; i < n; i += lanes) {
        __m256 v = load(y + i, n - i);
        if (bias)
            v = _mm256_add_ps(v, load(bias + i, n - i));
        if (gelu)
            v = gelu_of(v);
        if (addend)
            v = _mm256_add_ps(v, load(addend + i, n - i));
        store(y + i, n - i, v);
    }
}

static float abs_max(size_t n, const float* x) {
    const __m256 sign = all(-0.0f);
    __m256 max[sums] = {all(0), all(0), all(0), all(0)};
    size_t i = 0;
    for (; i + block <= n; i += block)
        UNROLLED_FOR (size_t v = 0; v < sums; v++)
            max[v] =
                _mm256_max_ps(_mm256_andnot_ps(sign, _mm256_loadu_ps(x + i + v * lanes)), max[v]);
    for (; i < n; i += lanes)
        max[0] = _mm256_max_ps(_mm256_andnot_ps(sign, load(x + i, n - i)), max[0]);
    return greatest_of(max_four(max));
}

void npuenc_rows_f32_init_avx2(npuenc_rows_f32* family) {
    *family = (npuenc_rows_f32){layer_norm, softmax, epilogue, abs_max};
}
