/* SPDX-License-Identifier: MIT
 *
 * Row operations for AVX-512. The end of a row is a vector under a mask.
 */
#include <float.h>
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

/* 127 / absmax where that is of use, else 0. */
static inline float multiplier_for(float absmax) {
    const float multiplier = 127.0f / absmax;
    return multiplier <= FLT_MAX ? multiplier : 0.0f;
}

/* rint(value) as bytes. What is not a number becomes INT32_MIN, whose low byte is 0. */
static inline __m128i bytes_of(__m512 value) {
    return _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(value));
}

static float quantise_f32(size_t n, const float* x, int8_t* out) {
    __m512 max[sums] = {all(0), all(0), all(0), all(0)};
    size_t i = 0;
    for (; i + block <= n; i += block)
        UNROLLED_FOR (size_t v = 0; v < sums; v++)
            max[v] = _mm512_max_ps(_mm512_abs_ps(_mm512_loadu_ps(x + i + v * lanes)), max[v]);
    for (; i < n; i += lanes)
        max[0] = _mm512_max_ps(_mm512_abs_ps(_mm512_maskz_loadu_ps(first(n - i), x + i)), max[0]);
    const float absmax = greatest_of(max_four(max)), multiplier = multiplier_for(absmax);

    for (i = 0; i + lanes <= n; i += lanes)
        _mm_storeu_si128((__m128i*)(out + i),
                         bytes_of(_mm512_mul_ps(_mm512_loadu_ps(x + i), all(multiplier))));
    if (i < n) {
        const __mmask16 mask = first(n - i);
        const __m512 value = _mm512_maskz_loadu_ps(mask, x + i);
        _mm_mask_storeu_epi8(out + i, mask, bytes_of(_mm512_mul_ps(value, all(multiplier))));
    }
    return multiplier == 0 ? 0 : absmax / 127.0f;
}

static inline __m512 widen(__m256i bf16) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16), 16));
}

/* The greater magnitude, as bf16; those of NaN lie above infinity's and count as nothing. */
static inline __m512i greater_magnitude(__m512i max, __m512i bf16) {
    const __m512i magnitude = _mm512_and_si512(bf16, _mm512_set1_epi16(0x7fff));
    const __mmask32 number = _mm512_cmple_epu16_mask(magnitude, _mm512_set1_epi16(0x7f80));
    return _mm512_mask_max_epu16(max, number, max, magnitude);
}

static float quantise_bf16(size_t n, const uint16_t* x, int8_t* out) {
    const size_t wide = 2 * lanes;
    __m512i max[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    size_t i = 0;
    for (; i + 2 * wide <= n; i += 2 * wide)
        UNROLLED_FOR (size_t v = 0; v < 2; v++)
            max[v] = greater_magnitude(max[v], _mm512_loadu_si512(x + i + v * wide));
    for (; i < n; i += wide) {
        const __mmask32 mask = n - i >= wide ? ~(__mmask32)0 : ((__mmask32)1 << (n - i)) - 1;
        max[0] = greater_magnitude(max[0], _mm512_maskz_loadu_epi16(mask, x + i));
    }
    const __m512i both = _mm512_max_epu16(max[0], max[1]);
    const float absmax = greatest_of(_mm512_max_ps(widen(_mm512_castsi512_si256(both)),
                                                   widen(_mm512_extracti64x4_epi64(both, 1))));
    const float multiplier = multiplier_for(absmax);

    for (i = 0; i + lanes <= n; i += lanes) {
        const __m512 value = widen(_mm256_loadu_si256((const __m256i*)(x + i)));
        _mm_storeu_si128((__m128i*)(out + i), bytes_of(_mm512_mul_ps(value, all(multiplier))));
    }
    if (i < n) {
        const __mmask16 mask = first(n - i);
        const __m512 value = widen(_mm256_maskz_loadu_epi16(mask, x + i));
        _mm_mask_storeu_epi8(out + i, mask, bytes_of(_mm512_mul_ps(value, all(multiplier))));
    }
    return multiplier == 0 ? 0 : absmax / 127.0f;
}

static void quantise_cols_bf16(size_t rows, size_t n, const uint16_t* x, size_t ld, int8_t* out,
                               float* scales) {
    for (size_t col = 0; col < n; col += lanes) {
        const __mmask16 mask = first(n - col);
        __m512 absmax = all(0);
        for (size_t row = 0; row < rows; row++)
            absmax = _mm512_max_ps(
                _mm512_abs_ps(widen(_mm256_maskz_loadu_epi16(mask, x + row * ld + col))), absmax);
        const __m512 quotient = _mm512_div_ps(all(127), absmax);
        const __mmask16 of_use = _mm512_cmp_ps_mask(quotient, all(FLT_MAX), _CMP_LE_OQ) &
                                 _mm512_cmp_ps_mask(quotient, all(0), _CMP_GT_OQ);
        const __m512 multiplier = _mm512_maskz_mov_ps(of_use, quotient);
        for (size_t row = 0; row < rows; row++) {
            const __m512 value = widen(_mm256_maskz_loadu_epi16(mask, x + row * ld + col));
            _mm_mask_storeu_epi8(out + row * n + col, mask,
                                 bytes_of(_mm512_mul_ps(value, multiplier)));
        }
        _mm512_mask_storeu_ps(scales + col, mask, _mm512_maskz_div_ps(of_use, absmax, all(127)));
    }
}

void npuenc_rows_init_avx512(npuenc_rows* family) {
    *family = (npuenc_rows){layer_norm, quantise_f32, quantise_bf16, quantise_cols_bf16};
}
