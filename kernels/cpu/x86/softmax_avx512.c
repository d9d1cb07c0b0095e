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

static void merge(const npuenc_part* part, float* out, size_t ld_out, float* greatest,
                  float* total) {
    const __mmask16 in = first(part->rows);
    const __m512 before = _mm512_maskz_loadu_ps(in, greatest);
    const __m512 here = _mm512_maskz_loadu_ps(in, part->greatest);
    const __m512 base = _mm512_max_ps(before, here);
    const __m512 old_factor = factor_of(before, base), new_factor = factor_of(here, base);
    const __m512 sum = _mm512_mul_ps(_mm512_maskz_loadu_ps(in, total), old_factor);
    _mm512_mask_storeu_ps(total, in,
                          _mm512_fmadd_ps(_mm512_maskz_loadu_ps(in, part->total), new_factor, sum));
    _mm512_mask_storeu_ps(greatest, in, base);

    float old_factors[npuenc_most_queries], new_factors[npuenc_most_queries];
    _mm512_storeu_ps(old_factors, old_factor);
    _mm512_storeu_ps(new_factors, new_factor);
    for (size_t i = 0; i < part->n; i += lanes) {
        const __mmask16 mask = first(part->n - i);
        const __m512 scale =
            part->col_scale ? _mm512_maskz_loadu_ps(mask, part->col_scale + i) : all(1);
        for (size_t row = 0; row < part->rows; row++) {
            const void* at = (const float*)part->part + row * part->ld + i;
            const __m512 added =
                part->col_scale
                    ? _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(mask, at)), scale)
                    : _mm512_maskz_loadu_ps(mask, at);
            float* to = out + row * ld_out + i;
            const __m512 kept =
                _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, to), all(old_factors[row]));
            _mm512_mask_storeu_ps(to, mask, _mm512_fmadd_ps(added, all(new_factors[row]), kept));
        }
    }
}

void npuenc_softmax_init_avx512(npuenc_softmax* family) {
    *family = (npuenc_softmax){block_f32, block_bf16, block_u8, merge};
}
