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

/* What there is to do for the scores of a block; a constant wherever this is expanded. */
typedef enum Kind { real = 0, integer = 1, masked = 2 } Kind;

/* The rows of a block. x log2 e is the score times `factor`; with a mask it is stored in place of
 * the score, and `factor` is 1. The difference to the greatest is taken before it is scaled by
 * that: so it is never above 0, however large the scores are. */
typedef struct Rows {
    float factor[npuenc_most_queries];
    float base[npuenc_most_queries]; /* the score that makes the greatest x, or 0 where there is
                                        none */
} Rows;

static inline float* scores_at(const npuenc_scores* block, size_t row) {
    return (float*)block->scores + row * block->ld;
}

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

/* A vector of what a row's greatest is looked for in, `flip` being -1 where that is the least. With
 * a mask, x log2 e is stored. */
static ALWAYS_INLINE __m512 compared(const npuenc_scores* block, int kind, size_t row, __mmask16 in,
                                     size_t i, __m512i flip) {
    float* scores = scores_at(block, row) + i;
    if (kind & masked) {
        const __m512 x = masked_scores(block, kind, row, in, i);
        _mm512_mask_storeu_ps(scores, in, x);
        return x;
    }
    const __m512i v = _mm512_maskz_loadu_epi32(in, scores);
    /* ~v is in the opposite order, as -v is, but always there. */
    return _mm512_castsi512_ps(
        _mm512_xor_si512(v, kind & integer ? flip : _mm512_slli_epi32(flip, 31)));
}

/* The greater of each lane. Integers are compared as such; of a number and a NaN it is the second
 * argument. */
static ALWAYS_INLINE __m512 greater(int kind, __m512 v, __m512 greatest) {
    if (kind == integer)
        return _mm512_castsi512_ps(
            _mm512_max_epi32(_mm512_castps_si512(v), _mm512_castps_si512(greatest)));
    return _mm512_max_ps(v, greatest);
}

/* The greatest of a row in each lane, as f32; negated where a negative factor belongs to it. */
static ALWAYS_INLINE __m512 greatest_of_row(const npuenc_scores* block, int kind, size_t row,
                                            float factor) {
    const __m512i flip = _mm512_set1_epi32(factor < 0 ? -1 : 0);
    const __m512 least =
        kind == integer ? _mm512_castsi512_ps(_mm512_set1_epi32(INT32_MIN)) : all(-INFINITY);
    const size_t n = block->n_keys[row];
    __m512 greatest[together] = {least, least, least, least};
    size_t i = 0;
    for (; i + together * lanes <= n; i += together * lanes)
        UNROLLED_FOR (size_t v = 0; v < together; v++)
            greatest[v] =
                greater(kind, compared(block, kind, row, 0xffff, i + v * lanes, flip), greatest[v]);
    for (; i < n; i += lanes) {
        const __mmask16 in = first(n - i);
        const __m512 v = compared(block, kind, row, in, i, flip);
        greatest[0] = greater(kind, _mm512_mask_mov_ps(least, in, v), greatest[0]);
    }
    const __m512 most = greater(kind, greater(kind, greatest[0], greatest[1]),
                                greater(kind, greatest[2], greatest[3]));
    if (kind != integer)
        return most;
    const __m512 score = _mm512_cvtepi32_ps(_mm512_xor_si512(flip, _mm512_castps_si512(most)));
    const __m512 sign = _mm512_castsi512_ps(_mm512_slli_epi32(flip, 31));
    return n == 0 ? all(-INFINITY) : _mm512_xor_ps(score, sign);
}

/* Finds the greatest of each row. */
static ALWAYS_INLINE void scale_rows(const npuenc_scores* block, int kind, Rows* rows) {
    const __mmask16 in = first(block->rows);
    const __m512 scale =
        _mm512_mul_ps(_mm512_maskz_loadu_ps(in, block->row_scale), all(npuenc_log2e));
    const __m512 factor = kind & masked ? all(1) : scale;
    _mm512_storeu_ps(rows->factor, factor);

    __m512 greatest[npuenc_most_queries];
    for (size_t row = 0; row < block->rows; row++)
        greatest[row] = greatest_of_row(block, kind, row, rows->factor[row]);
    for (size_t row = block->rows; row % together; row++)
        greatest[row] = all(-INFINITY);
    float found[npuenc_most_queries] = {0};
    for (size_t row = 0; row < block->rows; row += together)
        _mm_storeu_ps(found + row, greatest_of_four(greatest + row));

    const __m512 most = _mm512_loadu_ps(found);
    const __mmask16 none = _mm512_cmp_ps_mask(most, all(-INFINITY), _CMP_EQ_OQ);
    const __mmask16 negated = _mm512_cmp_ps_mask(factor, all(0), _CMP_LT_OQ);
    const __m512 base = _mm512_mask_xor_ps(most, negated, most, all(-0.0f));
    const __m512 x = _mm512_mask_mov_ps(_mm512_mul_ps(base, factor), none, all(-INFINITY));
    const __mmask16 infinite = _mm512_cmp_ps_mask(x, all(INFINITY), _CMP_EQ_OQ);
    _mm512_mask_storeu_ps(block->greatest, in, x);
    /* -inf less 0 makes zeros, and NaN of NaN. */
    _mm512_storeu_ps(rows->base, _mm512_mask_mov_ps(_mm512_maskz_mov_ps((__mmask16)~none, base),
                                                    infinite, all(NAN)));
}

/* A vector of x log2 e less the greatest of it. */
static ALWAYS_INLINE __m512 exponent(int kind, const float* scores, __mmask16 in, __m512 base,
                                     __m512 factor) {
    const __m512 x = scores_of(kind & masked ? real : kind, scores, in);
    return _mm512_mul_ps(_mm512_sub_ps(x, base), factor);
}

/* The probabilities of a row; returns their sums. `to_bf16` is a constant wherever this is
 * expanded, too. */
static ALWAYS_INLINE __m512 soften_row(const npuenc_scores* block, int kind, int to_bf16,
                                       size_t row, const Rows* rows) {
    const __m512 base = all(rows->base[row]), factor = all(rows->factor[row]);
    const size_t n = block->n_keys[row];
    const float* scores = scores_at(block, row);
    float* p = (float*)block->p + row * block->ldp;
    uint16_t* narrow = (uint16_t*)block->p + row * block->ldp;
    __m512 total = all(0);
    size_t i = 0;
    for (; i + 2 * lanes <= n; i += 2 * lanes) {
        __m512 e[2];
        UNROLLED_FOR (size_t v = 0; v < 2; v++) {
            const __m512 t = exponent(kind, scores + i + v * lanes, 0xffff, base, factor);
            e[v] = exp2_of(0xffff, t, to_bf16);
            if (!to_bf16)
                _mm512_storeu_ps(p + i + v * lanes, e[v]);
        }
        total = _mm512_add_ps(total, _mm512_add_ps(e[0], e[1]));
        if (to_bf16)
            _mm512_storeu_si512(narrow + i, bf16_of_two(e[0], e[1]));
    }
    for (; i < block->keys; i += lanes) {
        const __mmask16 in = i < n ? first(n - i) : 0, there = first(block->keys - i);
        const __m512 e = exp2_of(in, exponent(kind, scores + i, in, base, factor), to_bf16);
        total = _mm512_add_ps(total, e);
        if (to_bf16)
            _mm256_mask_storeu_epi16(narrow + i, there,
                                     _mm512_castsi512_si256(bf16_of_two(e, all(0))));
        else
            _mm512_mask_storeu_ps(p + i, there, e);
    }
    return total;
}

static ALWAYS_INLINE void soften_kind(const npuenc_scores* block, int kind, int to_bf16) {
    Rows rows;
    __m512 total[npuenc_most_queries];
    float sums[npuenc_most_queries] = {0};
    scale_rows(block, kind, &rows);
    for (size_t row = 0; row < block->rows; row++)
        total[row] = soften_row(block, kind, to_bf16, row, &rows);
    for (size_t row = block->rows; row % together; row++)
        total[row] = all(0);
    for (size_t row = 0; row < block->rows; row += together)
        _mm_storeu_ps(sums + row, sums_of_four(total + row));
    _mm512_mask_storeu_ps(block->total, first(block->rows), _mm512_loadu_ps(sums));
}

static ALWAYS_INLINE void soften(const npuenc_scores* block, int to_bf16) {
    if (block->mask)
        soften_kind(block, block->integers ? integer | masked : masked, to_bf16);
    else
        soften_kind(block, block->integers ? integer : real, to_bf16);
}

static void block_bf16(const npuenc_scores* block) {
    soften(block, 1);
}

/* Of log2(p / 255): what a score is multiplied by, and that times the greatest score. */
typedef struct Scale {
    __m512 factor, base;
} Scale;

static inline Scale byte_scale(const Rows* rows, size_t row, float unit) {
    const float factor = rows->factor[row] * unit;
    return (Scale){all(factor), all(rows->base[row] * factor)};
}

#if defined(__AVX512VBMI__)

enum { byte_unit = 128 };

/* rint(255 2^(-i / 128)) */
static const uint8_t halving[128] __attribute__((aligned(64))) = {
    255, 254, 252, 251, 250, 248, 247, 246, 244, 243, 242, 240, 239, 238, 236, 235, 234, 233, 231,
    230, 229, 228, 226, 225, 224, 223, 222, 220, 219, 218, 217, 216, 214, 213, 212, 211, 210, 209,
    208, 206, 205, 204, 203, 202, 201, 200, 199, 198, 197, 196, 195, 193, 192, 191, 190, 189, 188,
    187, 186, 185, 184, 183, 182, 181, 180, 179, 178, 177, 176, 175, 175, 174, 173, 172, 171, 170,
    169, 168, 167, 166, 165, 164, 164, 163, 162, 161, 160, 159, 158, 157, 157, 156, 155, 154, 153,
    152, 152, 151, 150, 149, 148, 148, 147, 146, 145, 144, 144, 143, 142, 141, 141, 140, 139, 138,
    138, 137, 136, 135, 135, 134, 133, 132, 132, 131, 130, 130, 129, 128,
};

/* The probabilities of 64 keys, of which those in `in` count. */
static ALWAYS_INLINE __m512i byte_probabilities(int kind, const float* scores, __mmask64 in,
                                                Scale scale) {
    /* Packing works within quarters: fours of keys of one vector and of the next one take turns. */
    static const uint8_t order[64] __attribute__((aligned(64))) = {
        1,  3,  5,  7,  17, 19, 21, 23, 33,  35,  37,  39,  49,  51,  53,  55,
        9,  11, 13, 15, 25, 27, 29, 31, 41,  43,  45,  47,  57,  59,  61,  63,
        65, 67, 69, 71, 81, 83, 85, 87, 97,  99,  101, 103, 113, 115, 117, 119,
        73, 75, 77, 79, 89, 91, 93, 95, 105, 107, 109, 111, 121, 123, 125, 127,
    };
    const __mmask64 upper_bytes = 0xaaaaaaaaaaaaaaaa;
    __m512i t[4], m[2];
    UNROLLED_FOR (size_t v = 0; v < 4; v++) {
        const __mmask16 mask = (__mmask16)(in >> v * lanes);
        const __m512 x = scores_of(kind & masked ? real : kind, scores + v * lanes, mask);
        /* -log2(p / 255) in 128ths */
        __m512 exponent = _mm512_fnmadd_ps(x, scale.factor, scale.base);
        if (kind & masked) /* what is masked is at infinity */
            exponent = _mm512_min_ps(exponent, all(0xffff));
        t[v] = _mm512_cvtps_epi32(exponent);
    }
    /* 2^-t is the 128th from the table, halved as often as the upper bits say. It stands in the
     * upper byte, and 128 makes halves round up. */
    UNROLLED_FOR (size_t v = 0; v < 2; v++) {
        const __m512i n = _mm512_packus_epi32(t[2 * v], t[2 * v + 1]);
        const __m512i whole = _mm512_maskz_permutex2var_epi8(
            upper_bytes, _mm512_load_si512(halving), _mm512_slli_epi16(n, 8),
            _mm512_load_si512(halving + 64));
        m[v] = _mm512_add_epi16(_mm512_srlv_epi16(whole, _mm512_srli_epi16(n, 7)),
                                _mm512_set1_epi16(128));
    }
    return _mm512_permutex2var_epi8(m[0], _mm512_load_si512(order), m[1]);
}

#else

enum { byte_unit = 1 };

/* rint(255 exp2(t)) of a vector, of an exp2 that is exact enough for a byte. */
static ALWAYS_INLINE __m512i byte_exponential(int kind, const float* scores, __mmask16 in,
                                              Scale scale) {
    const __m512 x = scores_of(kind & masked ? real : kind, scores, in);
    /* At least -32, which makes 0. Of negative floats the unsigned bits grow with the magnitude. */
    const __m512 t = _mm512_castsi512_ps(
        _mm512_min_epu32(_mm512_castps_si512(_mm512_fmsub_ps(x, scale.factor, scale.base)),
                         _mm512_castps_si512(all(-32))));
    const __m512 shifted = _mm512_add_ps(t, all(SHIFT));
    const __m512 f = _mm512_sub_ps(t, _mm512_sub_ps(shifted, all(SHIFT)));
    __m512 p = all(255 * npuenc_exp2_u8_2);
    p = _mm512_fmadd_ps(p, f, all(255 * npuenc_exp2_u8_1));
    p = _mm512_fmadd_ps(p, f, all(255 * npuenc_exp2_u8_0));
    return _mm512_cvtps_epi32(_mm512_castsi512_ps(with_exponent(p, shifted)));
}

/* The probabilities of 64 keys, of which those in `in` count. Packing works within quarters, which
 * puts fours of bytes out of order. */
static ALWAYS_INLINE __m512i byte_probabilities(int kind, const float* scores, __mmask64 in,
                                                Scale scale) {
    const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    __m512i e[4];
    UNROLLED_FOR (size_t v = 0; v < 4; v++)
        e[v] = byte_exponential(kind, scores + v * lanes, (__mmask16)(in >> v * lanes), scale);
    return _mm512_permutexvar_epi32(order, _mm512_packus_epi16(_mm512_packus_epi32(e[0], e[1]),
                                                               _mm512_packus_epi32(e[2], e[3])));
}

#endif

/* The sums of four rows, each below 2^32, of eight partial ones. */
static inline __m128i totals_of_four(const __m512i v[together]) {
    const __m512i ab = _mm512_or_si512(v[0], _mm512_slli_epi64(v[1], 32));
    const __m512i cd = _mm512_or_si512(v[2], _mm512_slli_epi64(v[3], 32));
    const __m512i abcd =
        _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    const __m256i half =
        _mm256_add_epi32(_mm512_castsi512_si256(abcd), _mm512_extracti64x4_epi64(abcd, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

static inline __mmask64 first_bytes(size_t n) {
    return n >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << n) - 1;
}

static ALWAYS_INLINE __m512i soften_row_u8(const npuenc_scores* block, int kind, size_t row,
                                           const Rows* rows) {
    const size_t step = 4 * lanes, n = block->n_keys[row];
    const float* scores = scores_at(block, row);
    uint8_t* p = (uint8_t*)block->p + row * block->ldp;
    const Scale scale = byte_scale(rows, row, byte_unit);
    const __m512i zero = _mm512_setzero_si512();
    __m512i total = zero;
    size_t i = 0;
    for (; i + step <= n; i += step) {
        const __m512i bytes = byte_probabilities(kind, scores + i, ~(__mmask64)0, scale);
        _mm512_storeu_si512(p + i, bytes);
        total = _mm512_add_epi64(total, _mm512_sad_epu8(bytes, zero));
    }
    for (; i < block->keys; i += step) {
        const __mmask64 in = i < n ? first_bytes(n - i) : 0;
        const __m512i bytes =
            _mm512_maskz_mov_epi8(in, byte_probabilities(kind, scores + i, in, scale));
        _mm512_mask_storeu_epi8(p + i, first_bytes(block->keys - i), bytes);
        total = _mm512_add_epi64(total, _mm512_sad_epu8(bytes, zero));
    }
    return total;
}

static ALWAYS_INLINE void soften_kind_u8(const npuenc_scores* block, int kind) {
    Rows rows;
    __m512i total[npuenc_most_queries];
    float sums[npuenc_most_queries] = {0};
    scale_rows(block, kind, &rows);
    for (size_t row = 0; row < block->rows; row++)
        total[row] = soften_row_u8(block, kind, row, &rows);
    for (size_t row = block->rows; row % together; row++)
        total[row] = _mm512_setzero_si512();
    for (size_t row = 0; row < block->rows; row += together)
        _mm_storeu_ps(sums + row, _mm_cvtepi32_ps(totals_of_four(total + row)));
    _mm512_mask_storeu_ps(block->total, first(block->rows), _mm512_loadu_ps(sums));
}

static void block_u8(const npuenc_scores* block) {
    if (block->mask)
        soften_kind_u8(block, block->integers ? integer | masked : masked);
    else
        soften_kind_u8(block, block->integers ? integer : real);
}

#endif /* NPUENC_KERNELS_SOFTMAX_AVX512_H */
