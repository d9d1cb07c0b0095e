/* SPDX-License-Identifier: MIT
 *
 * Row operations on f32 for AVX-512. The end of a row is a vector under a mask.
 */
#include <immintrin.h>
#include <math.h>

#include "kernels/cpu/approximation.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/x86/unroll.h"

enum {
    lanes = 16,
    sums = 4, /* vectors side by side in a reduction, for the latency of an addition */
    block = sums * lanes
};

static inline __mmask16 first(size_t n) {
    return n >= lanes ? (__mmask16)0xffff : (__mmask16)((1u << n) - 1);
}

static inline __m512 all(float value) {
    return _mm512_set1_ps(value);
}

static inline float sum_of(__m512 v) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

static inline float greatest_of(__m512 v) {
    const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

static inline __m512 add_four(const __m512 v[sums]) {
    return _mm512_add_ps(_mm512_add_ps(v[0], v[1]), _mm512_add_ps(v[2], v[3]));
}

static inline __m512 max_four(const __m512 v[sums]) {
    return _mm512_max_ps(_mm512_max_ps(v[0], v[1]), _mm512_max_ps(v[2], v[3]));
}

static float mean_of(size_t n, const float* x) {
    __m512 sum[sums] = {all(0), all(0), all(0), all(0)};
    size_t i = 0;
    for (; i + block <= n; i += block)
        UNROLLED_FOR (size_t v = 0; v < sums; v++)
            sum[v] = _mm512_add_ps(sum[v], _mm512_loadu_ps(x + i + v * lanes));
    for (; i < n; i += lanes)
        sum[0] = _mm512_add_ps(sum[0], _mm512_maskz_loadu_ps(first(n - i), x + i));
    return sum_of(add_four(sum)) / (float)n;
}

static float variance_of(size_t n, const float* x, __m512 mean) {
    __m512 sum[sums] = {all(0), all(0), all(0), all(0)};
    size_t i = 0;
    for (; i + block <= n; i += block)
        UNROLLED_FOR (size_t v = 0; v < sums; v++) {
            const __m512 d = _mm512_sub_ps(_mm512_loadu_ps(x + i + v * lanes), mean);
            sum[v] = _mm512_fmadd_ps(d, d, sum[v]);
        }
    for (; i < n; i += lanes) {
        const __mmask16 mask = first(n - i);
        const __m512 d = _mm512_maskz_sub_ps(mask, _mm512_maskz_loadu_ps(mask, x + i), mean);
        sum[0] = _mm512_fmadd_ps(d, d, sum[0]);
    }
    return sum_of(add_four(sum)) / (float)n;
}

static void layer_norm(size_t n, const float* x, const float* weight, const float* bias, float* y) {
    const __m512 mean = all(mean_of(n, x));
    const __m512 scale = all(1.0f / sqrtf(variance_of(n, x, mean) + npuenc_layer_norm_epsilon));
    for (size_t i = 0; i < n; i += lanes) {
        const __mmask16 mask = first(n - i);
        const __m512 d = _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, x + i), mean);
        const __m512 w = _mm512_maskz_loadu_ps(mask, weight + i);
        const __m512 b = _mm512_maskz_loadu_ps(mask, bias + i);
        _mm512_mask_storeu_ps(y + i, mask, _mm512_fmadd_ps(_mm512_mul_ps(d, scale), w, b));
    }
}

/* exp(x) for x <= 0 or hardly more, and 0 outside of `mask`. NaN stays NaN. */
static inline __m512 exp_of(__mmask16 mask, __m512 x) {
    /* Adding 1.5 * 2^23 rounds to an integer. */
    const __m512 shift = all(0x1.8p23f);
    const __m512 n = _mm512_sub_ps(_mm512_fmadd_ps(x, all(npuenc_exp_log2e), shift), shift);
    __m512 r = _mm512_fnmadd_ps(n, all(npuenc_exp_ln2_high), x);
    r = _mm512_fnmadd_ps(n, all(npuenc_exp_ln2_low), r);
    __m512 p = all(npuenc_exp_4);
    p = _mm512_fmadd_ps(p, r, all(npuenc_exp_3));
    p = _mm512_fmadd_ps(p, r, all(npuenc_exp_2));
    p = _mm512_fmadd_ps(p, r, all(npuenc_exp_1));
    p = _mm512_fmadd_ps(p, r, all(npuenc_exp_0));
    p = _mm512_fmadd_ps(p, r, all(1));
    p = _mm512_fmadd_ps(p, r, all(1));
    const __mmask16 kept = _mm512_mask_cmp_ps_mask(mask, x, all(npuenc_exp_least), _CMP_NLT_UQ);
    return _mm512_maskz_scalef_ps(kept, p, n);
}

/* The greatest scale * x. */
static float greatest_scaled(size_t n, const float* x, __m512 scale) {
    const __m512 least = all(-INFINITY);
    __m512 max[sums] = {least, least, least, least};
    size_t i = 0;
    for (; i + block <= n; i += block)
        UNROLLED_FOR (size_t v = 0; v < sums; v++)
            max[v] =
                _mm512_max_ps(_mm512_mul_ps(_mm512_loadu_ps(x + i + v * lanes), scale), max[v]);
    for (; i < n; i += lanes) {
        const __mmask16 mask = first(n - i);
        max[0] = _mm512_mask_max_ps(
            max[0], mask, _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), scale), max[0]);
    }
    return greatest_of(max_four(max));
}

/* x = scale * x + addend, and the greatest of it. */
static float add_mask(size_t n, float* x, __m512 scale, const float* addend) {
    const __m512 least = all(-INFINITY);
    __m512 max = least;
    for (size_t i = 0; i < n; i += lanes) {
        const __mmask16 mask = first(n - i);
        const __m512 a = _mm512_maskz_loadu_ps(mask, addend + i);
        const __mmask16 in = _mm512_mask_cmp_ps_mask(mask, a, least, _CMP_NEQ_UQ);
        __m512 v = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, x + i), scale, a);
        v = _mm512_mask_mov_ps(least, in, v);
        max = _mm512_max_ps(v, max);
        _mm512_mask_storeu_ps(x + i, mask, v);
    }
    return greatest_of(max);
}

static void softmax(size_t n, float* x, float scale, const float* mask) {
    float greatest = mask ? add_mask(n, x, all(scale), mask) : greatest_scaled(n, x, all(scale));
    if (greatest == -INFINITY)
        greatest = 0.0f; /* so that exp makes zeros, and NaN of NaN */
    else if (greatest == INFINITY)
        greatest = NAN; /* x may be finite where scale * x is not */

    const __m512 factor = all(mask ? 1.0f : scale);
    __m512 sum = all(0);
    for (size_t i = 0; i < n; i += lanes) {
        const __mmask16 in = first(n - i);
        const __m512 v = _mm512_maskz_loadu_ps(in, x + i);
        const __m512 e = exp_of(in, _mm512_fmsub_ps(v, factor, all(greatest)));
        sum = _mm512_add_ps(sum, e);
        _mm512_mask_storeu_ps(x + i, in, e);
    }

    const float total = sum_of(sum);
    const __m512 inverse = all(total == 0.0f ? 0.0f : 1.0f / total);
    for (size_t i = 0; i < n; i += lanes) {
        const __mmask16 in = first(n - i);
        _mm512_mask_storeu_ps(x + i, in, _mm512_mul_ps(_mm512_maskz_loadu_ps(in, x + i), inverse));
    }
}

static inline __m512 gelu_of(__m512 y) {
    const __m512 u = _mm512_fmadd_ps(_mm512_mul_ps(y, y), all(npuenc_gelu_inverse_13), all(-1));
    __m512 h = all(npuenc_gelu_12);
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_11));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_10));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_9));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_8));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_7));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_6));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_5));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_4));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_3));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_2));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_1));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_0));
    h = _mm512_mul_ps(h, y);
    /* Of a number and a NaN, min and max give the second: NaN passes. */
    h = _mm512_min_ps(all(0.5f), h);
    h = _mm512_max_ps(all(-0.5f), h);
    return _mm512_mul_ps(_mm512_max_ps(all(npuenc_gelu_least), y), _mm512_add_ps(h, all(0.5f)));
}

static void epilogue(size_t n, float* y, const float* bias, int gelu, const float* addend) {
    for (size_t i = 0; i < n; i += lanes) {
        const __mmask16 mask = first(n - i);
        __m512 v = _mm512_maskz_loadu_ps(mask, y + i);
        if (bias)
            v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, bias + i));
        if (gelu)
            v = gelu_of(v);
        if (addend)
            v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, addend + i));
        _mm512_mask_storeu_ps(y + i, mask, v);
    }
}

static float abs_max(size_t n, const float* x) {
    __m512 max[sums] = {all(0), all(0), all(0), all(0)};
    size_t i = 0;
    for (; i + block <= n; i += block)
        UNROLLED_FOR (size_t v = 0; v < sums; v++)
            max[v] = _mm512_max_ps(_mm512_abs_ps(_mm512_loadu_ps(x + i + v * lanes)), max[v]);
    for (; i < n; i += lanes)
        max[0] = _mm512_max_ps(_mm512_abs_ps(_mm512_maskz_loadu_ps(first(n - i), x + i)), max[0]);
    return greatest_of(max_four(max));
}

void npuenc_rows_f32_init_avx512(npuenc_rows_f32* family) {
    *family = (npuenc_rows_f32){layer_norm, softmax, epilogue, abs_max};
}
