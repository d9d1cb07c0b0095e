/* SPDX-License-Identifier: MIT
 *
 * Softmax by blocks for AVX-512. That of bf16 stays AVX2's: without instructions for it, bf16 is
 * multiplied as f32, and so are the probabilities.
 */
#include <immintrin.h>

#include "kernels/cpu/x86/softmax_avx512.h"

/* Adding SHIFT * 2^-b rounds to a multiple of 2^-b and leaves it in the low bits; vscalefps and
 * vreduceps would take four times as long on Zen 4. */
#define SHIFT 0x1.8p23f

/* The bits of 2^(i / 32), less i << 18. */
static const uint32_t power[32] __attribute__((aligned(64))) = {
    0x3f800000, 0x3f7ecd87, 0x3f7daac3, 0x3f7c980f, 0x3f7b95c2, 0x3f7aa43a, 0x3f79c3d3, 0x3f78f4f0,
    0x3f7837f0, 0x3f778d3a, 0x3f76f532, 0x3f767043, 0x3f75fed7, 0x3f75a15b, 0x3f75583f, 0x3f7523f6,
    0x3f7504f3, 0x3f74fbaf, 0x3f7508a4, 0x3f752c4d, 0x3f75672a, 0x3f75b9be, 0x3f76248c, 0x3f76a81e,
    0x3f7744fd, 0x3f77fbb8, 0x3f78ccdf, 0x3f79b907, 0x3f7ac0c7, 0x3f7be4ba, 0x3f7d257d, 0x3f7e83b3,
};

/* exp2(x factor) for x factor <= 0, and 0 outside of `in` and below npuenc_exp2_least. NaN stays
 * NaN. It is 2^(n / 32) 2^f, n = rint(32 x factor): the low bits of n choose from a table, the
 * others are the exponent, and 2^f, |f| <= 1/64, is a parabola within 2^-24.1 of it. */
static ALWAYS_INLINE __m512 exp2_of(__mmask16 in, __m512 x, __m512 factor) {
    const __m512 shift = all(SHIFT / 32);
    const __m512 shifted = _mm512_fmadd_ps(x, factor, shift);
    const __m512 f = _mm512_fmsub_ps(x, factor, _mm512_sub_ps(shifted, shift));
    const __m512i n = _mm512_castps_si512(shifted);
    const __m512i bits =
        _mm512_permutex2var_epi32(_mm512_load_si512(power), n, _mm512_load_si512(power + lanes));
    const __m512 whole = _mm512_castsi512_ps(_mm512_add_epi32(bits, _mm512_slli_epi32(n, 18)));
    const __m512 slope = _mm512_fmadd_ps(all(npuenc_exp2_32_2), f, all(npuenc_exp2_32_1));
    const __mmask16 kept =
        _mm512_mask_cmp_ps_mask(in, shifted, all(SHIFT / 32 + npuenc_exp2_least), _CMP_NLT_UQ);
    return _mm512_maskz_fmadd_ps(kept, _mm512_mul_ps(slope, f), whole, whole);
}

/* The probabilities of a row; returns their sums. */
static ALWAYS_INLINE __m512 soften_row_f32(const npuenc_scores* block, int kind, int whole,
                                           size_t row, float row_base, float multiplier) {
    const __m512 base = all(row_base), factor = all(multiplier);
    const size_t n = whole ? block->keys : block->n_keys[row];
    const float* scores = scores_at(block, row);
    float* p = (float*)block->p + row * block->ldp;
    __m512 total = all(0);
    size_t i = 0;
    for (; i + 2 * lanes <= n; i += 2 * lanes) {
        __m512 e[2];
        UNROLLED_FOR (size_t v = 0; v < 2; v++) {
            const __m512 x = scores_of(kind & masked ? real : kind, scores + i + v * lanes, 0xffff);
            e[v] = exp2_of(0xffff, _mm512_sub_ps(x, base), factor);
            _mm512_storeu_ps(p + i + v * lanes, e[v]);
        }
        total = _mm512_add_ps(total, _mm512_add_ps(e[0], e[1]));
    }
    for (; !whole && i < block->keys; i += lanes) {
        const __mmask16 in = i < n ? first(n - i) : 0;
        const __m512 x = scores_of(kind & masked ? real : kind, scores + i, in);
        const __m512 e = exp2_of(in, _mm512_sub_ps(x, base), factor);
        _mm512_mask_storeu_ps(p + i, first(block->keys - i), e);
        total = _mm512_add_ps(total, e);
    }
    return total;
}

static void block_f32(const npuenc_scores* block) {
    soften(block, (Maker){soften_row_f32, 1, 0, 0});
}

static ALWAYS_INLINE float byte_unit(void) {
    return 1;
}

static ALWAYS_INLINE float byte_top(void) {
    return 0;
}

/* rint(255 exp2(t)) of a vector, of an exp2 that is exact enough for a byte. */
static ALWAYS_INLINE __m512i byte_exponential(int kind, const float* scores, __mmask16 in,
                                              Scale scale) {
    const __m512 x = scores_of(kind & masked ? real : kind, scores, in);
    /* At least -32, which makes 0. Of negative floats the unsigned bits grow with the magnitude. */
    const __m512 t = _mm512_castsi512_ps(
        _mm512_min_epu32(_mm512_castps_si512(_mm512_fmadd_ps(x, scale.factor, scale.base)),
                         _mm512_castps_si512(all(-32))));
    const __m512 shifted = _mm512_add_ps(t, all(SHIFT));
    const __m512 f = _mm512_sub_ps(t, _mm512_sub_ps(shifted, all(SHIFT)));
    __m512 p = all(255 * npuenc_exp2_u8_2);
    p = _mm512_fmadd_ps(p, f, all(255 * npuenc_exp2_u8_1));
    p = _mm512_fmadd_ps(p, f, all(255 * npuenc_exp2_u8_0));
    return _mm512_cvtps_epi32(_mm512_castsi512_ps(_mm512_add_epi32(
        _mm512_castps_si512(p), _mm512_slli_epi32(_mm512_castps_si512(shifted), 23))));
}

static ALWAYS_INLINE __m512i byte_probabilities(int kind, const float* scores, __mmask64 in,
                                                Scale scale) {
    /* Packing works within quarters, which puts fours of bytes out of order. */
    const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    __m512i e[4];
    UNROLLED_FOR (size_t v = 0; v < 4; v++)
        e[v] = byte_exponential(kind, scores + v * lanes, (__mmask16)(in >> v * lanes), scale);
    return _mm512_permutexvar_epi32(order, _mm512_packus_epi16(_mm512_packus_epi32(e[0], e[1]),
                                                               _mm512_packus_epi32(e[2], e[3])));
}

static ALWAYS_INLINE __m512i add_bytes(__m512i total, __m512i bytes) {
    return _mm512_add_epi32(total, _mm512_sad_epu8(bytes, _mm512_setzero_si512()));
}

/* One vector of a row's results. */
static inline void merge_vector(const npuenc_part* part, __mmask16 mask, const float* added,
                                __m512 col_scale, __m512 new_factor, __m512 old_factor,
                                float* out) {
    __m512 v = _mm512_maskz_loadu_ps(mask, added);
    if (part->col_scale)
        v = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_castps_si512(v)), col_scale);
    const __m512 kept = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, out), old_factor);
    _mm512_mask_storeu_ps(out, mask, _mm512_fmadd_ps(v, new_factor, kept));
}

/* Four vectors of each row, of which `mask` has the columns that are there. */
static inline void merge_cols(const npuenc_part* part, __mmask64 mask, size_t col,
                              const float* new_factors, const float* old_factors, float* out,
                              size_t ld_out) {
    __m512 col_scale[4];
    UNROLLED_FOR (size_t v = 0; v < 4; v++)
        col_scale[v] = part->col_scale ? _mm512_maskz_loadu_ps((__mmask16)(mask >> v * lanes),
                                                               part->col_scale + col + v * lanes)
                                       : all(1);
    const float* added = (const float*)part->part + col;
    out += col;
    for (size_t row = 0; row < part->rows; row++, added += part->ld, out += ld_out) {
        const __m512 new_factor = all(new_factors[row]), old_factor = all(old_factors[row]);
        UNROLLED_FOR (size_t v = 0; v < 4; v++)
            merge_vector(part, (__mmask16)(mask >> v * lanes), added + v * lanes, col_scale[v],
                         new_factor, old_factor, out + v * lanes);
    }
}

static void merge(const npuenc_part* part, float* out, size_t ld_out, float* greatest,
                  float* total) {
    const npuenc_part mine = *part; /* which no store can change */
    const __mmask16 in = first(mine.rows);
    const __m512 before = _mm512_maskz_loadu_ps(in, greatest);
    const __m512 here = _mm512_maskz_loadu_ps(in, mine.greatest);
    const __m512 base = _mm512_max_ps(before, here);
    /* One of the two factors is 1, or with two of -inf both are 0. */
    const __m512 least = _mm512_min_ps(before, here);
    const __mmask16 none = _mm512_cmp_ps_mask(base, all(-INFINITY), _CMP_EQ_OQ);
    const __m512 lesser =
        exp2_of(0xffff, _mm512_sub_ps(least, _mm512_mask_mov_ps(base, none, all(0))), all(1));
    const __mmask16 is_new = _mm512_cmp_ps_mask(here, before, _CMP_GT_OQ);
    const __m512 whole = _mm512_maskz_mov_ps((__mmask16)~none, all(1));
    const __m512 old_factor = _mm512_mask_mov_ps(whole, is_new, lesser);
    const __m512 new_factor = _mm512_mask_mov_ps(lesser, is_new, whole);
    const __m512 sum = _mm512_mul_ps(_mm512_maskz_loadu_ps(in, total), old_factor);
    _mm512_mask_storeu_ps(total, in,
                          _mm512_fmadd_ps(_mm512_maskz_loadu_ps(in, mine.total), new_factor, sum));
    _mm512_mask_storeu_ps(greatest, in, base);

    float old_factors[npuenc_most_queries], new_factors[npuenc_most_queries];
    _mm512_storeu_ps(old_factors, old_factor);
    _mm512_storeu_ps(new_factors, new_factor);
    const size_t step = 4 * lanes;
    size_t col = 0;
    for (; col + step <= mine.n; col += step)
        merge_cols(&mine, ~(__mmask64)0, col, new_factors, old_factors, out, ld_out);
    if (col < mine.n)
        merge_cols(&mine, ((__mmask64)1 << (mine.n - col)) - 1, col, new_factors, old_factors, out,
                   ld_out);
}

void npuenc_softmax_init_avx512(npuenc_softmax* family) {
    family->block_f32 = block_f32;
    family->block_u8 = block_u8;
    family->merge = merge;
}
