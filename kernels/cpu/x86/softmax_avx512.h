/* SPDX-License-Identifier: MIT
 *
 * Softmax by blocks for AVX-512: what instruction sets have in common, which is all but how
 * probabilities are made. A file of an instruction set does that, in the functions that are
 * declared and not defined here.
 */
#ifndef NPUENC_KERNELS_SOFTMAX_AVX512_H
#define NPUENC_KERNELS_SOFTMAX_AVX512_H

#include <immintrin.h>
#include <math.h>

#include "kernels/cpu/approximation.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/x86/unroll.h"
#include "kernels/cpu/x86/vector_avx512.h"

/* Vectors are reduced four at a time. */
enum { together = 4 };

/* The greatest of each of four vectors. */
static inline __m128 greatest_of_four(const __m512 v[together]) {
    const __m512 ab = _mm512_max_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
    const __m512 cd = _mm512_max_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
    const __m512 abcd =
        _mm512_max_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
    const __m256 half =
        _mm256_max_ps(_mm512_castps512_ps256(abcd), _mm512_extractf32x8_ps(abcd, 1));
    return _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

/* The sum of each of four vectors. */
static inline __m128 sums_of_four(const __m512 v[together]) {
    const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
    const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
    const __m512 abcd =
        _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
    const __m256 half =
        _mm256_add_ps(_mm512_castps512_ps256(abcd), _mm512_extractf32x8_ps(abcd, 1));
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

/* What there is to do for the scores of a block; a constant wherever this is expanded. */
typedef enum Kind { real = 0, integer = 1, masked = 2 } Kind;

/* The rows of a block. x log2 e is the score times `factor`; with a mask it is stored in place of
 * the score, and `factor` is 1. What the probabilities of a row are made with: `unit` times the
 * factor, and the score that makes the greatest x, or 0 where there is none; or, if it is
 * multiplied, what a score times the other is added to, so that the greatest becomes `top`. */
typedef struct Rows {
    float factor[npuenc_most_queries], multiplier[npuenc_most_queries], base[npuenc_most_queries];
} Rows;

/* How a kernel makes probabilities; a constant wherever this is expanded. */
typedef struct Maker {
    /* Writes those of a row; returns their sums. */
    __m512 (*soften_row)(const npuenc_scores* block, int kind, int whole, size_t row, float base,
                         float multiplier);
    float unit;
    int multiplied;
    float top;
} Maker;

static inline float* scores_at(const npuenc_scores* block, size_t row) {
    return (float*)block->scores + row * block->ld;
}

/* Most blocks are whole: all their rows see all keys, in steps of so many. Without what there is
 * to do for others, they take two thirds of the time. */
enum { vectors = 8, whole_step = vectors * lanes };

/* A vector of scores, as f32. */
static ALWAYS_INLINE __m512 scores_of(int kind, const float* scores, __mmask16 in) {
    const __m512 v = _mm512_maskz_loadu_ps(in, scores);
    return kind & integer ? _mm512_cvtepi32_ps(_mm512_castps_si512(v)) : v;
}

/* Vector i of x log2 e, with a mask. */
static ALWAYS_INLINE __m512 masked_scores(const npuenc_scores* block, int kind, size_t row,
                                          __mmask16 in, size_t i) {
    const float scale = block->row_scale[row] * npuenc_log2e;
    const __m512 v = scores_of(kind, scores_at(block, row) + i, in);
    const __m512 added = _mm512_maskz_loadu_ps(in, block->mask + row * block->ld_mask + i);
    const __mmask16 out = _mm512_cmp_ps_mask(added, all(-INFINITY), _CMP_EQ_OQ);
    const __m512 x = _mm512_fmadd_ps(added, all(npuenc_log2e), _mm512_mul_ps(v, all(scale)));
    return _mm512_mask_mov_ps(x, out, added);
}

/* A vector of what a row's greatest is looked for in. With a mask, x log2 e is stored. */
static ALWAYS_INLINE __m512 compared(const npuenc_scores* block, int kind, size_t row, __mmask16 in,
                                     size_t i) {
    float* scores = scores_at(block, row) + i;
    if (!(kind & masked))
        return _mm512_maskz_loadu_ps(in, scores);
    const __m512 x = masked_scores(block, kind, row, in, i);
    _mm512_mask_storeu_ps(scores, in, x);
    return x;
}

/* The greater of each lane, or the less. Integers are compared as such; of a number and a NaN it
 * is the second argument. */
static ALWAYS_INLINE __m512 greater(int kind, int less, __m512 v, __m512 greatest) {
    if (kind != integer)
        return less ? _mm512_min_ps(v, greatest) : _mm512_max_ps(v, greatest);
    const __m512i a = _mm512_castps_si512(v), b = _mm512_castps_si512(greatest);
    return _mm512_castsi512_ps(less ? _mm512_min_epi32(a, b) : _mm512_max_epi32(a, b));
}

/* The greatest of a row in each lane, as f32; or, with a negative factor, the least, negated. */
static ALWAYS_INLINE __m512 greatest_of_row(const npuenc_scores* block, int kind, int whole,
                                            int less, size_t row) {
    enum { chains = 2 };
    const __m512 none = kind != integer
                            ? all(less ? INFINITY : -INFINITY)
                            : _mm512_castsi512_ps(_mm512_set1_epi32(less ? INT32_MAX : INT32_MIN));
    const size_t n = whole ? block->keys : block->n_keys[row];
    __m512 greatest[chains] = {none, none};
    size_t i = 0;
    for (; i + whole_step <= n; i += whole_step)
        UNROLLED_FOR (size_t v = 0; v < vectors; v++)
            greatest[v % chains] =
                greater(kind, less, compared(block, kind, row, 0xffff, i + v * lanes),
                        greatest[v % chains]);
    for (; !whole && i < n; i += lanes) {
        const __mmask16 in = first(n - i);
        const __m512 v = compared(block, kind, row, in, i);
        greatest[0] = greater(kind, less, _mm512_mask_mov_ps(none, in, v), greatest[0]);
    }
    __m512 most = greater(kind, less, greatest[0], greatest[1]);
    if (kind == integer)
        most = !whole && n == 0 ? all(less ? INFINITY : -INFINITY)
                                : _mm512_cvtepi32_ps(_mm512_castps_si512(most));
    return less ? _mm512_xor_ps(most, all(-0.0f)) : most;
}

static ALWAYS_INLINE void find_factors(const npuenc_scores* block, int kind, Maker maker,
                                       Rows* rows) {
    const __m512 scale = _mm512_maskz_loadu_ps(first(block->rows), block->row_scale);
    const __m512 factor = kind & masked ? all(1) : _mm512_mul_ps(scale, all(npuenc_log2e));
    _mm512_storeu_ps(rows->factor, factor);
    _mm512_storeu_ps(rows->multiplier, _mm512_mul_ps(factor, all(maker.unit)));
}

static inline __mmask8 first_of_four(size_t n) {
    return n >= together ? 0xf : (__mmask8)((1u << n) - 1);
}

/* Finds what is to be known of some rows, from the greatest of each. */
static ALWAYS_INLINE void take_greatest(const npuenc_scores* block, Maker maker, size_t row,
                                        const __m512 greatest[together], Rows* rows) {
    const __m128 most = greatest_of_four(greatest), factor = _mm_loadu_ps(rows->factor + row);
    const __mmask8 none = _mm_cmp_ps_mask(most, _mm_set1_ps(-INFINITY), _CMP_EQ_OQ);
    const __mmask8 negated = _mm_cmp_ps_mask(factor, _mm_setzero_ps(), _CMP_LT_OQ);
    const __m128 score = _mm_mask_xor_ps(most, negated, most, _mm_set1_ps(-0.0f));
    const __m128 x = _mm_mask_mov_ps(_mm_mul_ps(score, factor), none, _mm_set1_ps(-INFINITY));
    const __mmask8 infinite = _mm_cmp_ps_mask(x, _mm_set1_ps(INFINITY), _CMP_EQ_OQ);
    _mm_mask_storeu_ps(block->greatest + row, first_of_four(block->rows - row), x);
    /* -inf less 0 makes zeros, and NaN of NaN. */
    __m128 base = _mm_maskz_mov_ps((__mmask8)~none, score);
    base = _mm_mask_mov_ps(base, infinite, _mm_set1_ps(NAN));
    if (maker.multiplied)
        base = _mm_fnmadd_ps(base, _mm_loadu_ps(rows->multiplier + row), _mm_set1_ps(maker.top));
    _mm_storeu_ps(rows->base + row, base);
}

static ALWAYS_INLINE void soften_kind(const npuenc_scores* block, int kind, int whole,
                                      Maker maker) {
    Rows rows;
    find_factors(block, kind, maker, &rows);
    for (size_t row = 0; row < block->rows; row += together) {
        __m512 greatest[together];
        UNROLLED_FOR (size_t i = 0; i < together; i++) {
            const size_t at = row + i;
            if (at >= block->rows)
                greatest[i] = all(-INFINITY);
            else if (!(kind & masked) && rows.factor[at] < 0)
                greatest[i] = greatest_of_row(block, kind, whole, 1, at);
            else
                greatest[i] = greatest_of_row(block, kind, whole, 0, at);
        }
        take_greatest(block, maker, row, greatest, &rows);
    }
    __m512 total[npuenc_most_queries];
    for (size_t row = 0; row < block->rows; row++)
        total[row] =
            maker.soften_row(block, kind, whole, row, rows.base[row], rows.multiplier[row]);
    for (size_t row = block->rows; row % together; row++)
        total[row] = all(0);
    for (size_t row = 0; row < block->rows; row += together)
        _mm_mask_storeu_ps(block->total + row, first_of_four(block->rows - row),
                           sums_of_four(total + row));
}

static ALWAYS_INLINE int is_whole(const npuenc_scores* block) {
    const __mmask16 in = first(block->rows);
    const __m512i seen = _mm512_maskz_loadu_epi32(in, block->n_keys);
    return block->keys % whole_step == 0 &&
           !_mm512_mask_cmpneq_epi32_mask(in, seen, _mm512_set1_epi32((int)block->keys));
}

/* A call for each kind, which is a constant in it. */
static ALWAYS_INLINE void soften(const npuenc_scores* block, Maker maker) {
    const npuenc_scores mine = *block; /* which no store can change */
    if (mine.mask && mine.integers)
        soften_kind(&mine, integer | masked, 0, maker);
    else if (mine.mask)
        soften_kind(&mine, masked, 0, maker);
    else if (mine.integers && is_whole(&mine))
        soften_kind(&mine, integer, 1, maker);
    else if (mine.integers)
        soften_kind(&mine, integer, 0, maker);
    else if (is_whole(&mine))
        soften_kind(&mine, real, 1, maker);
    else
        soften_kind(&mine, real, 0, maker);
}

/* Probabilities as bytes: what a score is multiplied by, and what is then added to it. */
typedef struct Scale {
    __m512 factor, base;
} Scale;

static ALWAYS_INLINE float byte_unit(void);
static ALWAYS_INLINE float byte_top(void);

/* Of 64 keys, of which those in `in` count. */
static ALWAYS_INLINE __m512i byte_probabilities(int kind, const float* scores, __mmask64 in,
                                                Scale scale);

/* Adds them up, some to each lane. */
static ALWAYS_INLINE __m512i add_bytes(__m512i total, __m512i bytes);

static inline __mmask32 first_words(size_t n) {
    return n >= 32 ? ~(__mmask32)0 : ((__mmask32)1 << n) - 1;
}

static inline __mmask64 first_bytes(size_t n) {
    return n >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << n) - 1;
}

static ALWAYS_INLINE __m512 soften_row_u8(const npuenc_scores* block, int kind, int whole,
                                          size_t row, float base, float multiplier) {
    const size_t step = 4 * lanes, n = whole ? block->keys : block->n_keys[row];
    const float* scores = scores_at(block, row);
    uint8_t* p = (uint8_t*)block->p + row * block->ldp;
    const Scale scale = {all(multiplier), all(base)};
    __m512i total = _mm512_setzero_si512();
    size_t i = 0;
    for (; i + 2 * step <= n; i += 2 * step)
        UNROLLED_FOR (size_t half = i; half < i + 2 * step; half += step) {
            const __m512i bytes = byte_probabilities(kind, scores + half, ~(__mmask64)0, scale);
            _mm512_storeu_si512(p + half, bytes);
            total = add_bytes(total, bytes);
        }
    for (; !whole && i < block->keys; i += step) {
        const __mmask64 in = i < n ? first_bytes(n - i) : 0;
        const __m512i bytes =
            _mm512_maskz_mov_epi8(in, byte_probabilities(kind, scores + i, in, scale));
        _mm512_mask_storeu_epi8(p + i, first_bytes(block->keys - i), bytes);
        total = add_bytes(total, bytes);
    }
    return _mm512_cvtepi32_ps(total);
}

static void block_u8(const npuenc_scores* block) {
    soften(block, (Maker){soften_row_u8, byte_unit(), 1, byte_top()});
}

#endif /* NPUENC_KERNELS_SOFTMAX_AVX512_H */
