/* SPDX-License-Identifier: MIT
 *
 * Row operations for AVX-512. The end of a row is a vector under a mask. But masks take time, so
 * what is quantised has none if there are enough elements for whole vectors: the last one ends
 * where the row does, and what it shares with the one before only comes out the same twice.
 */
#include <float.h>
#include <immintrin.h>
#include <math.h>

#include "kernels/cpu/approximation.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/x86/unroll.h"
#include "kernels/cpu/x86/vector_avx512.h"

enum {
    sums = 4,   /* vectors side by side in a reduction */
    chains = 8, /* the same of additions, for their latency */
    block = sums * lanes,
    wide = 2 * lanes /* bf16 in a vector */
};

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

static inline __m512 add_eight(const __m512 v[chains]) {
    return _mm512_add_ps(add_four(v), add_four(v + sums));
}

static __m512 mean_of(size_t n, const float* x) {
    __m512 sum[chains] = {all(0), all(0), all(0), all(0), all(0), all(0), all(0), all(0)};
    size_t i = 0;
    for (; i + chains * lanes <= n; i += chains * lanes)
        UNROLLED_FOR (size_t v = 0; v < chains; v++)
            sum[v] = _mm512_add_ps(sum[v], _mm512_loadu_ps(x + i + v * lanes));
    for (; i < n; i += lanes)
        sum[0] = _mm512_add_ps(sum[0], _mm512_maskz_loadu_ps(first(n - i), x + i));
    return all(sum_of(add_eight(sum)) / (float)n);
}

static float variance_of(size_t n, const float* x, __m512 mean) {
    __m512 sum[chains] = {all(0), all(0), all(0), all(0), all(0), all(0), all(0), all(0)};
    size_t i = 0;
    for (; i + chains * lanes <= n; i += chains * lanes)
        UNROLLED_FOR (size_t v = 0; v < chains; v++) {
            const __m512 d = _mm512_sub_ps(_mm512_loadu_ps(x + i + v * lanes), mean);
            sum[v] = _mm512_fmadd_ps(d, d, sum[v]);
        }
    for (; i < n; i += lanes) {
        const __mmask16 mask = first(n - i);
        const __m512 d = _mm512_maskz_sub_ps(mask, _mm512_maskz_loadu_ps(mask, x + i), mean);
        sum[0] = _mm512_fmadd_ps(d, d, sum[0]);
    }
    return sum_of(add_eight(sum)) / (float)n;
}

static void layer_norm(size_t n, const float* x, const float* weight, const float* bias, float* y) {
    const __m512 mean = mean_of(n, x);
    const __m512 scale = all(1.0f / sqrtf(variance_of(n, x, mean) + npuenc_layer_norm_epsilon));
    /* (x - mean) scale, in one operation. */
    const __m512 shift = _mm512_fnmadd_ps(mean, scale, all(0));
    size_t i = 0;
    for (; i + block <= n; i += block)
        UNROLLED_FOR (size_t at = i; at < i + block; at += lanes) {
            const __m512 z = _mm512_fmadd_ps(_mm512_loadu_ps(x + at), scale, shift);
            _mm512_storeu_ps(y + at, _mm512_fmadd_ps(z, _mm512_loadu_ps(weight + at),
                                                     _mm512_loadu_ps(bias + at)));
        }
    for (; i < n; i += lanes) {
        const __mmask16 mask = first(n - i);
        const __m512 z = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, x + i), scale, shift);
        _mm512_mask_storeu_ps(y + i, mask,
                              _mm512_fmadd_ps(z, _mm512_maskz_loadu_ps(mask, weight + i),
                                              _mm512_maskz_loadu_ps(mask, bias + i)));
    }
}

/* 127 / absmax where that is of use, else 0. */
static inline float multiplier_for(float absmax) {
    const float multiplier = 127.0f / absmax;
    return multiplier <= FLT_MAX ? multiplier : 0.0f;
}

/* The vector of a block's mask that begins with element `at`. */
static inline __mmask16 part_of(__mmask64 mask, size_t at) {
    return (__mmask16)(mask >> at);
}

/* Of a block. Of a NaN and a number, max gives the second. */
static inline void take_magnitudes(__m512 max[sums], __mmask64 mask, const float* x) {
    UNROLLED_FOR (size_t v = 0; v < sums; v++) {
        const size_t at = v * lanes;
        const __m512 value = _mm512_maskz_loadu_ps(part_of(mask, at), x + at);
        max[v] = _mm512_max_ps(_mm512_abs_ps(value), max[v]);
    }
}

/* What is not a number becomes INT32_MIN, whose low byte is 0. */
static inline void quantise_floats(__mmask64 mask, const float* x, __m512 multiplier, int8_t* out) {
    UNROLLED_FOR (size_t at = 0; at < block; at += lanes) {
        const __m512 value = _mm512_maskz_loadu_ps(part_of(mask, at), x + at);
        const __m512i nearest = _mm512_cvtps_epi32(_mm512_mul_ps(value, multiplier));
        _mm_mask_storeu_epi8(out + at, part_of(mask, at), _mm512_cvtepi32_epi8(nearest));
    }
}

/* n is at least a block. The mask is a constant and whole, or that of the only block of a row. */
static ALWAYS_INLINE float quantise_blocks_f32(size_t rows, size_t n, __mmask64 mask,
                                               const float* x, size_t ld, int8_t* out,
                                               size_t ld_out) {
    __m512 max[sums] = {all(0), all(0), all(0), all(0)};
    for (size_t row = 0; row < rows; row++) {
        size_t i = 0;
        for (; i + block <= n; i += block)
            take_magnitudes(max, mask, x + row * ld + i);
        if (i < n)
            take_magnitudes(max, mask, x + row * ld + n - block);
    }
    const float absmax = greatest_of(max_four(max)), multiplier = multiplier_for(absmax);

    const __m512 m = all(multiplier);
    for (size_t row = 0; row < rows; row++, x += ld, out += ld_out) {
        size_t i = 0;
        for (; i + block <= n; i += block)
            quantise_floats(mask, x + i, m, out + i);
        if (i < n)
            quantise_floats(mask, x + n - block, m, out + n - block);
    }
    return multiplier == 0 ? 0 : absmax / 127.0f;
}

static float quantise_f32(size_t rows, size_t n, const float* x, size_t ld, int8_t* out) {
    if (n < block)
        return quantise_blocks_f32(rows, block, ((__mmask64)1 << n) - 1, x, ld, out, n);
    return quantise_blocks_f32(rows, n, ~(__mmask64)0, x, ld, out, n);
}

/* The rank of a bf16 is a word that falls as the magnitude rises, since one instruction finds the
 * least of eight: from rank_of_zero to 1, which is infinity's. Those of NaN lie above, and searches
 * begin with rank_of_zero, so they count as nothing. */
enum { rank_of_zero = 0xff01 };

static inline __m512i zeros(void) {
    return _mm512_set1_epi16((int16_t)rank_of_zero);
}

static inline __m512i least_rank(__m512i least, __m512i bf16) {
    const __m512i twice = _mm512_add_epi16(bf16, bf16); /* the sign falls out */
    return _mm512_min_epu16(least, _mm512_sub_epi16(zeros(), twice));
}

/* The magnitudes of sixteen ranks. */
static inline __m512 magnitudes_of(__m256i ranks) {
    const __m512i twice =
        _mm512_sub_epi32(_mm512_set1_epi32(rank_of_zero), _mm512_cvtepu16_epi32(ranks));
    return _mm512_castsi512_ps(_mm512_slli_epi32(twice, 15));
}

static inline float greatest_of_ranks(__m512i least) {
    const __m256i half =
        _mm256_min_epu16(_mm512_castsi512_si256(least), _mm512_extracti64x4_epi64(least, 1));
    const __m128i eight =
        _mm_min_epu16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    return _mm512_cvtss_f32(magnitudes_of(_mm256_castsi128_si256(_mm_minpos_epu16(eight))));
}

/* Up to `wide` bf16 to bytes. Unpacking works within quarters, and so does packing, which puts
 * words in order again: only the multipliers have to be in the order of what is unpacked. What is
 * not a number becomes INT32_MIN and, packed, INT16_MIN, whose low byte is 0. */
static inline void quantise_words(__mmask32 mask, const uint16_t* x, __m512 low_multiplier,
                                  __m512 high_multiplier, int8_t* out) {
    const __m512i zero = _mm512_setzero_si512(), bf16 = _mm512_maskz_loadu_epi16(mask, x);
    const __m512 low = _mm512_castsi512_ps(_mm512_unpacklo_epi16(zero, bf16));
    const __m512 high = _mm512_castsi512_ps(_mm512_unpackhi_epi16(zero, bf16));
    const __m512i words =
        _mm512_packs_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(low, low_multiplier)),
                           _mm512_cvtps_epi32(_mm512_mul_ps(high, high_multiplier)));
    _mm256_mask_storeu_epi8(out, mask, _mm512_cvtepi16_epi8(words));
}

/* n is at least `wide`. The mask is a constant and whole, or that of the only vector of a row. */
static ALWAYS_INLINE float quantise_vectors_bf16(size_t rows, size_t n, __mmask32 mask,
                                                 const uint16_t* x, size_t ld, int8_t* out,
                                                 size_t ld_out) {
    __m512i least = zeros();
    for (size_t row = 0; row < rows; row++) {
        size_t i = 0;
        for (; i + wide <= n; i += wide)
            least = least_rank(least, _mm512_maskz_loadu_epi16(mask, x + row * ld + i));
        if (i < n)
            least = least_rank(least, _mm512_maskz_loadu_epi16(mask, x + row * ld + n - wide));
    }
    const float absmax = greatest_of_ranks(least), multiplier = multiplier_for(absmax);

    const __m512 m = all(multiplier);
    for (size_t row = 0; row < rows; row++, x += ld, out += ld_out) {
        size_t i = 0;
        for (; i + wide <= n; i += wide)
            quantise_words(mask, x + i, m, m, out + i);
        if (i < n)
            quantise_words(mask, x + n - wide, m, m, out + n - wide);
    }
    return multiplier == 0 ? 0 : absmax / 127.0f;
}

static float quantise_bf16(size_t rows, size_t n, const uint16_t* x, size_t ld, int8_t* out) {
    if (n < wide)
        return quantise_vectors_bf16(rows, wide, ((__mmask32)1 << n) - 1, x, ld, out, n);
    return quantise_vectors_bf16(rows, n, ~(__mmask32)0, x, ld, out, n);
}

/* multiplier_for each, and what one step is then worth. */
static inline __m512 multipliers_for(__m512 absmax, __m512* scale) {
    const __m512 quotient = _mm512_div_ps(all(127), absmax);
    const __mmask16 of_use = _mm512_cmp_ps_mask(quotient, all(FLT_MAX), _CMP_LE_OQ) &
                             _mm512_cmp_ps_mask(quotient, all(0), _CMP_GT_OQ);
    *scale = _mm512_maskz_div_ps(of_use, absmax, all(127));
    return _mm512_maskz_mov_ps(of_use, quotient);
}

/* Of up to `wide` columns; the mask is a constant where it is whole. */
static ALWAYS_INLINE void quantise_some_cols(size_t rows, __mmask32 mask, const uint16_t* x,
                                             size_t ld, int8_t* out, size_t ld_out, float* scales) {
    __m512i least = zeros();
    for (size_t row = 0; row < rows; row++)
        least = least_rank(least, _mm512_maskz_loadu_epi16(mask, x + row * ld));

    __m512 scale, next_scale;
    const __m512 multiplier = multipliers_for(magnitudes_of(_mm512_castsi512_si256(least)), &scale);
    const __m512 next =
        multipliers_for(magnitudes_of(_mm512_extracti64x4_epi64(least, 1)), &next_scale);
    _mm512_mask_storeu_ps(scales, (__mmask16)mask, scale);
    _mm512_mask_storeu_ps(scales + lanes, (__mmask16)(mask >> lanes), next_scale);

    /* Of each eight in a row, unpacking takes the first four and the last four. */
    const __m512i four =
        _mm512_setr_epi32(0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
    const __m512i last_four = _mm512_add_epi32(four, _mm512_set1_epi32(4));
    const __m512 low = _mm512_permutex2var_ps(multiplier, four, next);
    const __m512 high = _mm512_permutex2var_ps(multiplier, last_four, next);
    for (size_t row = 0; row < rows; row++)
        quantise_words(mask, x + row * ld, low, high, out + row * ld_out);
}

static void quantise_cols_bf16(size_t rows, size_t n, const uint16_t* x, size_t ld, int8_t* out,
                               float* scales) {
    if (n < wide) {
        quantise_some_cols(rows, ((__mmask32)1 << n) - 1, x, ld, out, n, scales);
        return;
    }
    for (size_t i = 0; i < n; i += wide) {
        const size_t col = i + wide <= n ? i : n - wide;
        quantise_some_cols(rows, ~(__mmask32)0, x + col, ld, out + col, n, scales + col);
    }
}

static inline void add_squares(__m512 sum[2], __m512i bf16) {
    const __m512i zero = _mm512_setzero_si512();
    const __m512 low = _mm512_castsi512_ps(_mm512_unpacklo_epi16(zero, bf16));
    const __m512 high = _mm512_castsi512_ps(_mm512_unpackhi_epi16(zero, bf16));
    sum[0] = _mm512_fmadd_ps(low, low, sum[0]);
    sum[1] = _mm512_fmadd_ps(high, high, sum[1]);
}

static float sum_of_squares_bf16(size_t n, const uint16_t* x) {
    __m512 sum[4] = {all(0), all(0), all(0), all(0)};
    size_t i = 0;
    for (; i + 2 * wide <= n; i += 2 * wide) {
        add_squares(sum, _mm512_loadu_si512(x + i));
        add_squares(sum + 2, _mm512_loadu_si512(x + i + wide));
    }
    for (; i < n; i += wide) {
        const __mmask32 mask = n - i < wide ? ((__mmask32)1 << (n - i)) - 1 : ~(__mmask32)0;
        add_squares(sum, _mm512_maskz_loadu_epi16(mask, x + i));
    }
    return _mm512_reduce_add_ps(
        _mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3])));
}

void npuenc_rows_init_avx512(npuenc_rows* family) {
    *family = (npuenc_rows){layer_norm, quantise_f32, quantise_bf16, quantise_cols_bf16,
                            sum_of_squares_bf16};
}
