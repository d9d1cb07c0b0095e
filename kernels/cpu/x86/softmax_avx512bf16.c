/* SPDX-License-Identifier: MIT
 *
 * Softmax by blocks for AVX-512 with BF16, VBMI and VNNI. What becomes 8 or 16 bits is made in 16:
 * log2 of p as an integer, and from its bits, by a table, p.
 */
#include <immintrin.h>

#include "kernels/cpu/x86/softmax_avx512.h"

/* A bf16 is 2^n (1 + m / 128), and its bits, as an integer, are 128 (n + 127) + m. Those of the
 * nearest to 2^(i / 128), 0 <= i < 128, are less than 128 * 127 + i by so much. */
static const uint8_t curve[128] __attribute__((aligned(64))) = {
    0,  0,  1,  1,  1,  1,  2,  2,  2,  3,  3,  3,  3,  4,  4,  4,  4,  5,  5,  5,  5,  6,
    6,  6,  6,  6,  7,  7,  7,  7,  7,  8,  8,  8,  8,  8,  8,  9,  9,  9,  9,  9,  9,  9,
    10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11,
    11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 10, 10, 10, 10, 10, 10,
    10, 10, 10, 9,  9,  9,  9,  9,  9,  9,  8,  8,  8,  8,  8,  7,  7,  7,  7,  7,  6,  6,
    6,  6,  5,  5,  5,  4,  4,  4,  3,  3,  3,  3,  2,  2,  1,  1,  1,  0,
};

/* 128 (127 + log2 p) of a vector of scores. */
static ALWAYS_INLINE __m512 exponents(int kind, const float* scores, __mmask16 in, __m512 base,
                                      __m512 factor) {
    const __m512 x = scores_of(kind & masked ? real : kind, scores, in);
    return _mm512_fmadd_ps(_mm512_sub_ps(x, base), factor, all(128 * 127));
}

/* bf16 of two vectors of these. Below 0, which is below 2^-127, it is 0. */
static ALWAYS_INLINE __m512i bf16_of(__m512 lower, __m512 upper) {
    const __mmask64 lower_bytes = 0x5555555555555555;
    /* Packing works within quarters. */
    const __m512i order = _mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0);
    const __m512i t = _mm512_packus_epi32(_mm512_cvtps_epi32(lower), _mm512_cvtps_epi32(upper));
    const __m512i below = _mm512_maskz_permutex2var_epi8(lower_bytes, _mm512_load_si512(curve), t,
                                                         _mm512_load_si512(curve + 64));
    return _mm512_permutexvar_epi64(order, _mm512_sub_epi16(t, below));
}

/* The sums of two vectors of bf16. */
static ALWAYS_INLINE __m512 add_bf16(__m512 total, __m512i p) {
    const __m512i ones = _mm512_set1_epi16(0x3f80);
    return _mm512_dpbf16_ps(total, (__m512bh)p, (__m512bh)ones);
}

/* The probabilities of a row; returns their sums. Integers have no NaN to be looked for: where
 * there is one among the scores, so it is in the sums. */
static ALWAYS_INLINE __m512 soften_row_bf16(const npuenc_scores* block, int kind, int whole,
                                            size_t row, float row_base, float multiplier) {
    const __m512 base = all(row_base), factor = all(multiplier);
    const size_t step = 2 * lanes, n = whole ? block->keys : block->n_keys[row];
    const float* scores = scores_at(block, row);
    uint16_t* p = (uint16_t*)block->p + row * block->ldp;
    __m512 total = all(0), checked = all(0);
    size_t i = 0;
    for (; i + step <= n; i += step) {
        const __m512 lower = exponents(kind, scores + i, 0xffff, base, factor);
        const __m512 upper = exponents(kind, scores + i + lanes, 0xffff, base, factor);
        const __m512i both = bf16_of(lower, upper);
        _mm512_storeu_si512(p + i, both);
        total = add_bf16(total, both);
        if (kind != integer)
            checked = _mm512_add_ps(checked, _mm512_add_ps(lower, upper));
    }
    for (; !whole && i < block->keys; i += step) {
        const __mmask32 in = i < n ? first_words(n - i) : 0;
        const __mmask16 low_in = (__mmask16)in, high_in = (__mmask16)(in >> lanes);
        const __m512 lower = exponents(kind, scores + i, low_in, base, factor);
        const __m512 upper = exponents(kind, scores + i + lanes, high_in, base, factor);
        const __m512i both = _mm512_maskz_mov_epi16(in, bf16_of(lower, upper));
        _mm512_mask_storeu_epi16(p + i, first_words(block->keys - i), both);
        total = add_bf16(total, both);
        if (kind != integer) {
            checked = _mm512_mask_add_ps(checked, low_in, checked, lower);
            checked = _mm512_mask_add_ps(checked, high_in, checked, upper);
        }
    }
    if (kind == integer)
        return total;
    const __mmask16 nan = _mm512_cmp_ps_mask(checked, checked, _CMP_UNORD_Q);
    return _mm512_mask_mov_ps(total, nan, checked);
}

static void block_bf16(const npuenc_scores* block) {
    soften(block, (Maker){soften_row_bf16, 128, 0, 0});
}

/* p = 255 2^-t is 255 2^((m - 575) / 64) with m = 575 - 64 t. */
static ALWAYS_INLINE float byte_unit(void) {
    return 64;
}

static ALWAYS_INLINE float byte_top(void) {
    return 575;
}

/* rint(255 2^((i - 63) / 64)), but the first one is rounded down: of m = 0 nothing is to be left.
 */
static const uint8_t rise[64] __attribute__((aligned(64))) = {
    128, 130, 132, 133, 135, 136, 138, 139, 141, 142, 144, 145, 147, 148, 150, 152,
    153, 155, 157, 158, 160, 162, 164, 165, 167, 169, 171, 173, 175, 176, 178, 180,
    182, 184, 186, 188, 190, 192, 195, 197, 199, 201, 203, 205, 208, 210, 212, 214,
    217, 219, 222, 224, 226, 229, 231, 234, 236, 239, 242, 244, 247, 250, 252, 255,
};

static ALWAYS_INLINE __m512i byte_probabilities(int kind, const float* scores, __mmask64 in,
                                                Scale scale) {
    /* Packing works within quarters: fours of keys of one vector and of the next one take turns. */
    static const uint8_t order[64] __attribute__((aligned(64))) = {
        1,  3,  5,  7,  17, 19, 21, 23, 33,  35,  37,  39,  49,  51,  53,  55,
        9,  11, 13, 15, 25, 27, 29, 31, 41,  43,  45,  47,  57,  59,  61,  63,
        65, 67, 69, 71, 81, 83, 85, 87, 97,  99,  101, 103, 113, 115, 117, 119,
        73, 75, 77, 79, 89, 91, 93, 95, 105, 107, 109, 111, 121, 123, 125, 127,
    };
    const __mmask64 lower_bytes = 0x5555555555555555;
    __m512i m[4], p[2];
    UNROLLED_FOR (size_t v = 0; v < 4; v++) {
        const __mmask16 mask = (__mmask16)(in >> v * lanes);
        const __m512 x = scores_of(kind & masked ? real : kind, scores + v * lanes, mask);
        m[v] = _mm512_cvtps_epi32(_mm512_fmadd_ps(x, scale.factor, scale.base));
    }
    /* Shifting by the whole part of m / 64 leaves p in the upper byte, which is rounded by what is
     * added. Below 0, m is 0, and p too. */
    UNROLLED_FOR (size_t v = 0; v < 2; v++) {
        const __m512i n = _mm512_packus_epi32(m[2 * v], m[2 * v + 1]);
        const __m512i part = _mm512_maskz_permutexvar_epi8(lower_bytes, n, _mm512_load_si512(rise));
        p[v] = _mm512_add_epi16(_mm512_sllv_epi16(part, _mm512_srli_epi16(n, 6)),
                                _mm512_set1_epi16(127));
    }
    return _mm512_permutex2var_epi8(p[0], _mm512_load_si512(order), p[1]);
}

static ALWAYS_INLINE __m512i add_bytes(__m512i total, __m512i bytes) {
    /* In memory: compilers make such a constant at each use. */
    static const uint8_t ones[64] __attribute__((aligned(64))) = {
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    };
    return _mm512_dpbusd_epi32(total, bytes, _mm512_load_si512(ones));
}

void npuenc_softmax_init_avx512bf16(npuenc_softmax* family) {
    family->block_bf16 = block_bf16;
    family->block_u8 = block_u8;
}
