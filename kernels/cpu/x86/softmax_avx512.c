/* SPDX-License-Identifier: MIT
 *
 * Softmax by blocks for AVX-512.
 */
#include <immintrin.h>

/* To nearest even, into the upper half. */
static inline __m512i rounded(__m512 value) {
    const __m512i bits = _mm512_castps_si512(value);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    return _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
}

static inline __m512i bf16_of_two(__m512 lower, __m512 upper) {
    const __m256i low = _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded(lower), 16));
    const __m256i high = _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded(upper), 16));
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

#include "kernels/cpu/x86/softmax_avx512.h"

static void block_f32(const npuenc_scores* block) {
    soften(block, 0);
}

/* exp2(a - base), where both may be -inf. */
static inline __m512 factor_of(__m512 a, __m512 base) {
    const __mmask16 none = _mm512_cmp_ps_mask(base, all(-INFINITY), _CMP_EQ_OQ);
    return exp2_of(0xffff, _mm512_sub_ps(a, _mm512_mask_mov_ps(base, none, all(0))), 0);
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
    const __m512 old_factor = factor_of(before, base), new_factor = factor_of(here, base);
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
    *family = (npuenc_softmax){block_f32, block_bf16, block_u8, merge};
}
