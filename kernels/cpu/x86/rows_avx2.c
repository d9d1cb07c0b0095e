/* SPDX-License-Identifier: MIT
 *
 * Row operations for AVX2 with FMA. The end of a row of f32 is a vector under a mask; only there
 * are the loads and stores masked, since masked stores are slow on some CPUs. There are no masks
 * for 8 and 16 bits, so what is quantised goes by whole blocks: the last one ends where the row
 * does, and what it shares with the one before only comes out the same twice. Less than a block
 * goes through one on the stack.
 */
#include <float.h>
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernels/cpu/approximation.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/x86/unroll.h"
#include "kernels/cpu/x86/vector_avx2.h"

enum {
    sums = 4, /* vectors side by side in a reduction, for the latency of an addition */
    block = sums * lanes
};

/* Zeros beyond what is left. */
static inline __m256 keep(__m256 v, size_t left) {
    return left >= lanes ? v : _mm256_and_ps(v, _mm256_castsi256_ps(first(left)));
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

static inline __m256 normal(__m256 x, __m256 mean, __m256 scale, __m256 weight, __m256 bias) {
    return _mm256_fmadd_ps(_mm256_mul_ps(_mm256_sub_ps(x, mean), scale), weight, bias);
}

static void layer_norm(size_t n, const float* x, const float* weight, const float* bias, float* y) {
    const __m256 mean = all(mean_of(n, x));
    const __m256 scale = all(1.0f / sqrtf(variance_of(n, x, mean) + npuenc_layer_norm_epsilon));
    size_t i = 0;
    for (; i + lanes <= n; i += lanes)
        _mm256_storeu_ps(y + i, normal(_mm256_loadu_ps(x + i), mean, scale,
                                       _mm256_loadu_ps(weight + i), _mm256_loadu_ps(bias + i)));
    if (i < n) {
        const __m256 w = load(weight + i, n - i), b = load(bias + i, n - i);
        store(y + i, n - i, normal(load(x + i, n - i), mean, scale, w, b));
    }
}

/* 127 / absmax where that is of use, else 0. */
static inline float multiplier_for(float absmax) {
    const float multiplier = 127.0f / absmax;
    return multiplier <= FLT_MAX ? multiplier : 0.0f;
}

static inline void store_bytes(int8_t* out, __m256i bytes) {
    _mm256_storeu_si256((__m256i*)(void*)out, bytes);
}

/* rint of a block as bytes, in the order in which packing within halves leaves them. What is not a
 * number becomes INT32_MIN and, packed, INT16_MIN, whose low byte is 0. */
static inline __m256i packed_bytes(const __m256 v[4]) {
    const __m256i low_byte = _mm256_set1_epi16(0xff);
    const __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(v[0]), _mm256_cvtps_epi32(v[1]));
    const __m256i more = _mm256_packs_epi32(_mm256_cvtps_epi32(v[2]), _mm256_cvtps_epi32(v[3]));
    return _mm256_packus_epi16(_mm256_and_si256(words, low_byte), _mm256_and_si256(more, low_byte));
}

/* Of a block. Of a NaN and a number, max gives the second. */
static inline void take_magnitudes(__m256 max[sums], const float* x) {
    UNROLLED_FOR (size_t v = 0; v < sums; v++) {
        const __m256 value = _mm256_loadu_ps(x + v * lanes);
        max[v] = _mm256_max_ps(_mm256_andnot_ps(all(-0.0f), value), max[v]);
    }
}

static inline void quantise_floats(const float* x, __m256 multiplier, int8_t* out) {
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256 value[4];
    UNROLLED_FOR (size_t v = 0; v < 4; v++)
        value[v] = _mm256_mul_ps(_mm256_loadu_ps(x + v * lanes), multiplier);
    store_bytes(out, _mm256_permutevar8x32_epi32(packed_bytes(value), order));
}

/* Rows of at least a block are read and written where they are, the end of a row as the block that
 * ends there; smaller ones go through one on the stack. */
static inline void take_row_f32(__m256 max[sums], size_t n, const float* x) {
    if (n < block) {
        float padded[block] = {0};
        memcpy(padded, x, n * sizeof *x);
        take_magnitudes(max, padded);
        return;
    }
    size_t i = 0;
    for (; i + block <= n; i += block)
        take_magnitudes(max, x + i);
    if (i < n)
        take_magnitudes(max, x + n - block);
}

static inline void quantise_row_f32(size_t n, const float* x, __m256 multiplier, int8_t* out) {
    if (n < block) {
        float padded[block] = {0};
        int8_t bytes[block];
        memcpy(padded, x, n * sizeof *x);
        quantise_floats(padded, multiplier, bytes);
        memcpy(out, bytes, n);
        return;
    }
    size_t i = 0;
    for (; i + block <= n; i += block)
        quantise_floats(x + i, multiplier, out + i);
    if (i < n)
        quantise_floats(x + n - block, multiplier, out + n - block);
}

static float quantise_f32(size_t rows, size_t n, const float* x, size_t ld, int8_t* out) {
    __m256 max[sums] = {all(0), all(0), all(0), all(0)};
    for (size_t row = 0; row < rows; row++)
        take_row_f32(max, n, x + row * ld);
    const float absmax = greatest_of(max_four(max)), multiplier = multiplier_for(absmax);
    for (size_t row = 0; row < rows; row++)
        quantise_row_f32(n, x + row * ld, all(multiplier), out + row * n);
    return multiplier == 0 ? 0 : absmax / 127.0f;
}

/* A block of bf16, or of words made of them. */
typedef struct Words {
    __m256i half[2];
} Words;

static inline Words load_words(const uint16_t* x) {
    return (Words){{_mm256_loadu_si256((const __m256i*)(const void*)x),
                    _mm256_loadu_si256((const __m256i*)(const void*)(x + 2 * lanes))}};
}

/* The rank of a bf16 is a word that falls as the magnitude rises, since one instruction finds the
 * least of eight: from rank_of_zero to 1, which is infinity's. Those of NaN lie above, and searches
 * begin with rank_of_zero, so they count as nothing. */
enum { rank_of_zero = 0xff01 };

static inline __m256i zeros(void) {
    return _mm256_set1_epi16((int16_t)rank_of_zero);
}

static inline void take_ranks(Words* least, Words x) {
    UNROLLED_FOR (size_t v = 0; v < 2; v++) {
        const __m256i twice = _mm256_add_epi16(x.half[v], x.half[v]); /* the sign falls out */
        least->half[v] = _mm256_min_epu16(least->half[v], _mm256_sub_epi16(zeros(), twice));
    }
}

/* The magnitudes of eight ranks. */
static inline __m256 magnitudes_of(__m128i ranks) {
    const __m256i twice =
        _mm256_sub_epi32(_mm256_set1_epi32(rank_of_zero), _mm256_cvtepu16_epi32(ranks));
    return _mm256_castsi256_ps(_mm256_slli_epi32(twice, 15));
}

static inline float greatest_of_ranks(Words least) {
    const __m256i both = _mm256_min_epu16(least.half[0], least.half[1]);
    const __m128i eight =
        _mm_min_epu16(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    return _mm256_cvtss_f32(magnitudes_of(_mm_minpos_epu16(eight)));
}

/* Unpacking works within halves, and so does packing, which puts words in order again: only the
 * multipliers have to be in the order of what is unpacked. */
static inline void quantise_words(Words x, const __m256 multiplier[4], int8_t* out) {
    const __m256i zero = _mm256_setzero_si256();
    __m256 value[4];
    UNROLLED_FOR (size_t v = 0; v < 4; v += 2) {
        const __m256i low = _mm256_unpacklo_epi16(zero, x.half[v / 2]);
        const __m256i high = _mm256_unpackhi_epi16(zero, x.half[v / 2]);
        value[v] = _mm256_mul_ps(_mm256_castsi256_ps(low), multiplier[v]);
        value[v + 1] = _mm256_mul_ps(_mm256_castsi256_ps(high), multiplier[v + 1]);
    }
    store_bytes(out, _mm256_permute4x64_epi64(packed_bytes(value), 0xd8));
}

static inline void take_row_bf16(Words* least, size_t n, const uint16_t* x) {
    if (n < block) {
        uint16_t padded[block] = {0};
        memcpy(padded, x, n * sizeof *x);
        take_ranks(least, load_words(padded));
        return;
    }
    size_t i = 0;
    for (; i + block <= n; i += block)
        take_ranks(least, load_words(x + i));
    if (i < n)
        take_ranks(least, load_words(x + n - block));
}

static inline void quantise_row_bf16(size_t n, const uint16_t* x, const __m256 multipliers[4],
                                     int8_t* out) {
    if (n < block) {
        uint16_t padded[block] = {0};
        int8_t bytes[block];
        memcpy(padded, x, n * sizeof *x);
        quantise_words(load_words(padded), multipliers, bytes);
        memcpy(out, bytes, n);
        return;
    }
    size_t i = 0;
    for (; i + block <= n; i += block)
        quantise_words(load_words(x + i), multipliers, out + i);
    if (i < n)
        quantise_words(load_words(x + n - block), multipliers, out + n - block);
}

static float quantise_bf16(size_t rows, size_t n, const uint16_t* x, size_t ld, int8_t* out) {
    Words least = {{zeros(), zeros()}};
    for (size_t row = 0; row < rows; row++)
        take_row_bf16(&least, n, x + row * ld);
    const float absmax = greatest_of_ranks(least), multiplier = multiplier_for(absmax);
    const __m256 m = all(multiplier), multipliers[4] = {m, m, m, m};
    for (size_t row = 0; row < rows; row++)
        quantise_row_bf16(n, x + row * ld, multipliers, out + row * n);
    return multiplier == 0 ? 0 : absmax / 127.0f;
}

/* multiplier_for each, and what one step is then worth. */
static inline __m256 multipliers_for(__m256 absmax, __m256* scale) {
    const __m256 quotient = _mm256_div_ps(all(127), absmax);
    const __m256 of_use = _mm256_and_ps(_mm256_cmp_ps(quotient, all(FLT_MAX), _CMP_LE_OQ),
                                        _mm256_cmp_ps(quotient, all(0), _CMP_GT_OQ));
    *scale = _mm256_and_ps(of_use, _mm256_div_ps(absmax, all(127)));
    return _mm256_and_ps(of_use, quotient);
}

/* Of up to a block of columns; n is the constant of a whole one where it can be. */
static ALWAYS_INLINE void quantise_some_cols(size_t rows, size_t n, const uint16_t* x, size_t ld,
                                             int8_t* out, size_t ld_out, float* scales) {
    uint16_t padded[block] = {0};
    int8_t bytes[block];
    Words least = {{zeros(), zeros()}};
    for (size_t row = 0; row < rows; row++) {
        const uint16_t* from = x + row * ld;
        take_ranks(&least, load_words(n == block ? from : memcpy(padded, from, n * sizeof *from)));
    }

    __m256 multiplier[4];
    UNROLLED_FOR (size_t v = 0; v < 4; v += 2) {
        const __m256i ranks = least.half[v / 2];
        const size_t at = v * lanes;
        __m256 scale, next_scale;
        const __m256 m = multipliers_for(magnitudes_of(_mm256_castsi256_si128(ranks)), &scale);
        const __m256 next =
            multipliers_for(magnitudes_of(_mm256_extracti128_si256(ranks, 1)), &next_scale);
        if (at < n)
            store(scales + at, n - at, scale);
        if (at + lanes < n)
            store(scales + at + lanes, n - at - lanes, next_scale);
        multiplier[v] = _mm256_permute2f128_ps(m, next, 0x20);
        multiplier[v + 1] = _mm256_permute2f128_ps(m, next, 0x31);
    }

    for (size_t row = 0; row < rows; row++) {
        const uint16_t* from = x + row * ld;
        int8_t* to = out + row * ld_out;
        if (n == block) {
            quantise_words(load_words(from), multiplier, to);
        } else {
            memcpy(padded, from, n * sizeof *from);
            quantise_words(load_words(padded), multiplier, bytes);
            memcpy(to, bytes, n);
        }
    }
}

static void quantise_cols_bf16(size_t rows, size_t n, const uint16_t* x, size_t ld, int8_t* out,
                               float* scales) {
    if (n < block) {
        quantise_some_cols(rows, n, x, ld, out, n, scales);
        return;
    }
    for (size_t i = 0; i < n; i += block) {
        const size_t col = i + block <= n ? i : n - block;
        quantise_some_cols(rows, block, x + col, ld, out + col, n, scales + col);
    }
}

static inline __m256 add_squares(__m256 sum, __m256i low_words_zero) {
    const __m256 value = _mm256_castsi256_ps(low_words_zero);
    return _mm256_fmadd_ps(value, value, sum);
}

static inline void add_block_of_squares(__m256 sum[sums], const uint16_t* x) {
    const __m256i zero = _mm256_setzero_si256();
    const Words words = load_words(x);
    UNROLLED_FOR (size_t v = 0; v < sums; v += 2) {
        sum[v] = add_squares(sum[v], _mm256_unpacklo_epi16(zero, words.half[v / 2]));
        sum[v + 1] = add_squares(sum[v + 1], _mm256_unpackhi_epi16(zero, words.half[v / 2]));
    }
}

static float sum_of_squares_bf16(size_t n, const uint16_t* x) {
    __m256 sum[sums] = {all(0), all(0), all(0), all(0)};
    size_t i = 0;
    for (; i + block <= n; i += block)
        add_block_of_squares(sum, x + i);
    if (i < n) {
        uint16_t padded[block] = {0};
        memcpy(padded, x + i, (n - i) * sizeof *x);
        add_block_of_squares(sum, padded);
    }
    return sum_of(add_four(sum));
}

void npuenc_rows_init_avx2(npuenc_rows* family) {
    *family = (npuenc_rows){layer_norm, quantise_f32, quantise_bf16, quantise_cols_bf16,
                            sum_of_squares_bf16};
}
