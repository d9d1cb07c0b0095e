/* SPDX-License-Identifier: MIT
 *
 * Softmax by blocks for AVX-512. What differs between instruction sets is how bf16 is made; a file
 * of an instruction set defines it before it includes this, for values from 0 to 1 and NaN:
 *
 *   static inline __m512i bf16_of_two(__m512 lower, __m512 upper);
 */
#ifndef NPUENC_KERNELS_SOFTMAX_AVX512_H
#define NPUENC_KERNELS_SOFTMAX_AVX512_H

#include <immintrin.h>
#include <math.h>

#include "kernels/cpu/approximation.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/x86/unroll.h"

enum { lanes = 16 };

#define ALWAYS_INLINE inline __attribute__((always_inline))

static inline __mmask16 first(size_t n) {
    return n >= lanes ? (__mmask16)0xffff : (__mmask16)((1u << n) - 1);
}

static inline __m512 all(float value) {
    return _mm512_set1_ps(value);
}

/* Rows are taken four at a time, which hides the latency of what ends a row; fewer at the end. */
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

/* 2^n p for the integer n = shifted - shift. Adding 1.5 * 2^23 rounds to an integer and leaves it
 * in the low bits; vscalefps and vreduceps would take four times as long on Zen 4. */
#define SHIFT 0x1.8p23f

static ALWAYS_INLINE __m512i with_exponent(__m512 p, __m512 shifted) {
    return _mm512_add_epi32(_mm512_castps_si512(p),
                            _mm512_slli_epi32(_mm512_castps_si512(shifted), 23));
}

/* exp2(t) for t <= 0 or hardly more, and 0 outside of `in`. NaN stays NaN. */
static ALWAYS_INLINE __m512 exp2_of(__mmask16 in, __m512 t, int to_bf16) {
    const __m512 shifted = _mm512_add_ps(t, all(SHIFT));
    const __m512 f = _mm512_sub_ps(t, _mm512_sub_ps(shifted, all(SHIFT)));
    __m512 p;
    if (to_bf16) {
        p = all(npuenc_exp2_bf16_3);
        p = _mm512_fmadd_ps(p, f, all(npuenc_exp2_bf16_2));
        p = _mm512_fmadd_ps(p, f, all(npuenc_exp2_bf16_1));
        p = _mm512_fmadd_ps(p, f, all(npuenc_exp2_bf16_0));
    } else {
        p = all(npuenc_exp2_6);
        p = _mm512_fmadd_ps(p, f, all(npuenc_exp2_5));
        p = _mm512_fmadd_ps(p, f, all(npuenc_exp2_4));
        p = _mm512_fmadd_ps(p, f, all(npuenc_exp2_3));
        p = _mm512_fmadd_ps(p, f, all(npuenc_exp2_2));
        p = _mm512_fmadd_ps(p, f, all(npuenc_exp2_1));
        p = _mm512_fmadd_ps(p, f, all(npuenc_exp2_0));
    }
    const __mmask16 kept = _mm512_mask_cmp_ps_mask(in, t, all(npuenc_exp2_least), _CMP_NLT_UQ);
    return _mm512_castsi512_ps(_mm512_maskz_mov_epi32(kept, with_exponent(p, shifted)));
}

/* Some rows from `first` on. x log2 e is the score, times the key's scale, times `factor`; with a
 * mask it is stored in place of the score, and `factor` is 1. The difference to the greatest is
 * taken before it is scaled by that: so it is never above 0, however large the scores are. */
typedef struct Rows {
    size_t first;
    float* scores[together];
    size_t n[together];
    float factor[together];
    float base[together]; /* the score that makes the greatest x, or 0 where there is none */
} Rows;

/* What there is to do for the scores of a block; a constant wherever this is expanded. */
typedef enum Kind { plain = 0, keyed = 1, masked = 2 } Kind;

/* One vector of scores, times the scales of keys. */
static ALWAYS_INLINE __m512 keyed_scores(const npuenc_scores* block, int kind, const Rows* rows,
                                         size_t r, __mmask16 in, size_t i) {
    const __m512 v = _mm512_maskz_loadu_ps(in, rows->scores[r] + i);
    if (!(kind & keyed))
        return v;
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_castps_si512(v)),
                         _mm512_maskz_loadu_ps(in, block->key_scale + i));
}

/* The same as it is compared: with a mask, all of x log2 e. */
static ALWAYS_INLINE __m512 scaled_scores(const npuenc_scores* block, int kind, const Rows* rows,
                                          size_t r, __mmask16 in, size_t i) {
    __m512 v = keyed_scores(block, kind, rows, r, in, i);
    if (kind & masked) {
        const float* mask = block->mask + (rows->first + r) * block->ld_mask;
        const __m512 added = _mm512_maskz_loadu_ps(in, mask + i);
        const __mmask16 out = _mm512_cmp_ps_mask(added, all(-INFINITY), _CMP_EQ_OQ);
        const float scale = block->row_scale[rows->first + r] * npuenc_log2e;
        v = _mm512_fmadd_ps(added, all(npuenc_log2e), _mm512_mul_ps(v, all(scale)));
        v = _mm512_mask_mov_ps(v, out, added);
    }
    return v;
}

/* Finds the greatest score of each of `count` rows. A negative scale makes the greatest of the
 * least: such rows are negated. */
static ALWAYS_INLINE void scale_rows(const npuenc_scores* block, int kind, size_t count,
                                     Rows* rows) {
    __m512 greatest[together];
    UNROLLED_FOR (size_t r = 0; r < together; r++)
        greatest[r] = all(-INFINITY);
    UNROLLED_FOR (size_t r = 0; r < count; r++) {
        const float scale = block->row_scale[rows->first + r] * npuenc_log2e;
        const __m512 sign = all(!(kind & masked) && scale < 0 ? -0.0f : 0.0f);
        rows->scores[r] = (float*)block->scores + (rows->first + r) * block->ld;
        rows->n[r] = block->n_keys[rows->first + r];
        rows->factor[r] = kind & masked ? 1 : scale;
        size_t i = 0;
        for (; i + lanes <= rows->n[r]; i += lanes) {
            const __m512 v = scaled_scores(block, kind, rows, r, 0xffff, i);
            greatest[r] = _mm512_max_ps(_mm512_xor_ps(v, sign), greatest[r]);
            if (kind & masked)
                _mm512_storeu_ps(rows->scores[r] + i, v);
        }
        if (i < rows->n[r]) {
            const __mmask16 in = first(rows->n[r] - i);
            const __m512 v = scaled_scores(block, kind, rows, r, in, i);
            greatest[r] = _mm512_mask_max_ps(greatest[r], in, _mm512_xor_ps(v, sign), greatest[r]);
            if (kind & masked)
                _mm512_mask_storeu_ps(rows->scores[r] + i, in, v);
        }
    }
    float found[together];
    _mm_storeu_ps(found, greatest_of_four(greatest));
    UNROLLED_FOR (size_t r = 0; r < count; r++) {
        const int none = found[r] == -INFINITY;
        const float base = rows->factor[r] < 0 ? -found[r] : found[r];
        const float x = none ? -INFINITY : base * rows->factor[r];
        block->greatest[rows->first + r] = x;
        /* -inf less 0 makes zeros, and NaN of NaN. */
        rows->base[r] = none ? 0 : x == INFINITY ? NAN : base;
    }
}

/* Vector i of row r: x log2 e less the greatest of it. */
static ALWAYS_INLINE __m512 exponent(const npuenc_scores* block, int kind, const Rows* rows,
                                     size_t r, __mmask16 in, size_t i) {
    const __m512 x = keyed_scores(block, kind & masked ? plain : kind, rows, r, in, i);
    return _mm512_mul_ps(_mm512_sub_ps(x, all(rows->base[r])), all(rows->factor[r]));
}

/* `to_bf16` and `count` are constants wherever this is expanded, too. */
static ALWAYS_INLINE void soften_rows(const npuenc_scores* block, int kind, int to_bf16,
                                      size_t first_row, size_t count) {
    Rows rows;
    rows.first = first_row;
    scale_rows(block, kind, count, &rows);
    __m512 total[together];
    UNROLLED_FOR (size_t r = 0; r < together; r++)
        total[r] = all(0);
    UNROLLED_FOR (size_t r = 0; r < count; r++) {
        const size_t n = rows.n[r];
        float* p = (float*)block->p + (first_row + r) * block->ldp;
        uint16_t* narrow = (uint16_t*)block->p + (first_row + r) * block->ldp;
        size_t i = 0;
        for (; i + 2 * lanes <= n; i += 2 * lanes) {
            __m512 e[2];
            UNROLLED_FOR (size_t v = 0; v < 2; v++) {
                const __m512 t = exponent(block, kind, &rows, r, 0xffff, i + v * lanes);
                e[v] = exp2_of(0xffff, t, to_bf16);
                if (!to_bf16)
                    _mm512_storeu_ps(p + i + v * lanes, e[v]);
            }
            total[r] = _mm512_add_ps(total[r], _mm512_add_ps(e[0], e[1]));
            if (to_bf16)
                _mm512_storeu_si512(narrow + i, bf16_of_two(e[0], e[1]));
        }
        for (; i < block->keys; i += lanes) {
            const __mmask16 in = i < n ? first(n - i) : 0, there = first(block->keys - i);
            const __m512 t = exponent(block, kind, &rows, r, in, i);
            const __m512 e = exp2_of(in, t, to_bf16);
            total[r] = _mm512_add_ps(total[r], e);
            if (to_bf16)
                _mm256_mask_storeu_epi16(narrow + i, there,
                                         _mm512_castsi512_si256(bf16_of_two(e, all(0))));
            else
                _mm512_mask_storeu_ps(p + i, there, e);
        }
    }
    float sums[together];
    _mm_storeu_ps(sums, sums_of_four(total));
    UNROLLED_FOR (size_t r = 0; r < count; r++)
        block->total[first_row + r] = sums[r];
}

static ALWAYS_INLINE void soften_kind(const npuenc_scores* block, int kind, int to_bf16) {
    size_t row = 0;
    for (; row + together <= block->rows; row += together)
        soften_rows(block, kind, to_bf16, row, together);
    for (; row < block->rows; row++)
        soften_rows(block, kind, to_bf16, row, 1);
}

static ALWAYS_INLINE void soften(const npuenc_scores* block, int to_bf16) {
    if (block->mask)
        soften_kind(block, block->key_scale ? keyed | masked : masked, to_bf16);
    else if (block->key_scale)
        soften_kind(block, keyed, to_bf16);
    else
        soften_kind(block, plain, to_bf16);
}

static void block_bf16(const npuenc_scores* block) {
    soften(block, 1);
}

#endif /* NPUENC_KERNELS_SOFTMAX_AVX512_H */
