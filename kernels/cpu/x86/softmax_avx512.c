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

/* rint(255 exp2(t)) of vector i of row r, of an exp2 that is exact enough for a byte; 0 outside of
 * `in`. */
static ALWAYS_INLINE __m512i byte_exponential(const npuenc_scores* block, int kind,
                                              const Rows* rows, size_t r, __mmask16 in, size_t i,
                                              __m512 factor, __m512 base) {
    const __m512 x = keyed_scores(block, kind & masked ? plain : kind, rows, r, in, i);
    /* At least -32, which makes 0. Of negative floats the unsigned bits grow with the magnitude. */
    const __m512 t = _mm512_castsi512_ps(_mm512_min_epu32(
        _mm512_castps_si512(_mm512_fmsub_ps(x, factor, base)), _mm512_castps_si512(all(-32))));
    const __m512 shifted = _mm512_add_ps(t, all(SHIFT));
    const __m512 f = _mm512_sub_ps(t, _mm512_sub_ps(shifted, all(SHIFT)));
    __m512 p = all(255 * npuenc_exp2_u8_2);
    p = _mm512_fmadd_ps(p, f, all(255 * npuenc_exp2_u8_1));
    p = _mm512_fmadd_ps(p, f, all(255 * npuenc_exp2_u8_0));
    return _mm512_maskz_cvtps_epi32(in, _mm512_castsi512_ps(with_exponent(p, shifted)));
}

/* Four vectors to bytes. Packing works within quarters, which puts fours of bytes out of order. */
static ALWAYS_INLINE __m512i packed_bytes(const __m512i v[4]) {
    const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    const __m512i words = _mm512_packus_epi32(v[0], v[1]), more = _mm512_packus_epi32(v[2], v[3]);
    return _mm512_permutexvar_epi32(order, _mm512_packus_epi16(words, more));
}

/* `count` is a constant wherever this is expanded. */
static ALWAYS_INLINE void soften_rows_u8(const npuenc_scores* block, int kind, size_t first_row,
                                         size_t count) {
    const size_t step = 4 * lanes;
    Rows rows;
    rows.first = first_row;
    scale_rows(block, kind, count, &rows);
    UNROLLED_FOR (size_t r = 0; r < count; r++) {
        const size_t n = rows.n[r];
        uint8_t* p = (uint8_t*)block->p + (first_row + r) * block->ldp;
        const __m512 factor = all(rows.factor[r]), base = all(rows.base[r] * rows.factor[r]);
        __m512i total = _mm512_setzero_si512();
        size_t i = 0;
        for (; i + step <= n; i += step) {
            __m512i e[4];
            UNROLLED_FOR (size_t v = 0; v < 4; v++)
                e[v] = byte_exponential(block, kind, &rows, r, 0xffff, i + v * lanes, factor, base);
            const __m512i bytes = packed_bytes(e);
            total = _mm512_add_epi64(total, _mm512_sad_epu8(bytes, _mm512_setzero_si512()));
            _mm512_storeu_si512(p + i, bytes);
        }
        for (; i < block->keys; i += step) {
            __m512i e[4];
            UNROLLED_FOR (size_t v = 0; v < 4; v++) {
                const size_t at = i + v * lanes;
                e[v] = byte_exponential(block, kind, &rows, r, at < n ? first(n - at) : 0, at,
                                        factor, base);
            }
            const __m512i bytes = packed_bytes(e);
            const size_t left = block->keys - i;
            total = _mm512_add_epi64(total, _mm512_sad_epu8(bytes, _mm512_setzero_si512()));
            _mm512_mask_storeu_epi8(
                p + i, left >= step ? ~(__mmask64)0 : ((__mmask64)1 << left) - 1, bytes);
        }
        block->total[first_row + r] = (float)_mm512_reduce_add_epi64(total);
    }
}

static ALWAYS_INLINE void soften_kind_u8(const npuenc_scores* block, int kind) {
    size_t row = 0;
    for (; row + together <= block->rows; row += together)
        soften_rows_u8(block, kind, row, together);
    for (; row < block->rows; row++)
        soften_rows_u8(block, kind, row, 1);
}

static void block_u8(const npuenc_scores* block) {
    if (block->key_scale && !block->mask)
        soften_kind_u8(block, keyed);
    else if (block->mask)
        soften_kind_u8(block, block->key_scale ? keyed | masked : masked);
    else
        soften_kind_u8(block, plain);
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
