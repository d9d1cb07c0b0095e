/* SPDX-License-Identifier: MIT
 *
 * Panels of B for AVX-512, whatever the type: a row of a panel has four bytes of k, one f32, two
 * bf16 or four s8, of each column. What includes this defines how many columns there are before, a
 * multiple of 32:
 *
 *   enum { nr = ... };
 */
#ifndef NPUENC_KERNELS_PACK_AVX512_H
#define NPUENC_KERNELS_PACK_AVX512_H

#include <immintrin.h>
#include <string.h>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/x86/unroll.h"
#include "kernels/cpu/x86/vector_avx512.h"

enum { group_bytes = 4, vector_bytes = 64 };
enum { vectors_of_panel = nr * group_bytes / vector_bytes, row_of_panel = nr * group_bytes };

/* What pack_b_cols takes at a time: so many columns. */
enum { range = 32 };

/* The first n lanes of 32. */
static inline __mmask32 first_32(size_t n) {
    return n >= range ? ~(__mmask32)0 : ((__mmask32)1 << n) - 1;
}

/* Those of a vector's columns that are among the first `cols` of a panel. */
static inline __mmask16 of_vector(size_t cols, size_t v) {
    return first(cols > v * lanes ? cols - v * lanes : 0);
}

/* Four groups of up to sixteen columns, each of whose rows of `bytes` <= 16 bytes are read:
 * out[group][column]. Each quarter of a vector is loaded from a row of its own, which leaves a
 * transposition within the quarters. */
static ALWAYS_INLINE void transpose(size_t cols, size_t bytes, const char* src, size_t ld,
                                    __m512i out[4]) {
    const __mmask16 mask = first(bytes);
    __m512i in[4]; /* in[i] has columns i, 4 + i, 8 + i and 12 + i */
    UNROLLED_FOR (size_t i = 0; i < 4; i++) {
        in[i] = _mm512_setzero_si512();
        UNROLLED_FOR (size_t quarter = 0; quarter < 4; quarter++) {
            const size_t col = 4 * quarter + i;
            if (col < cols) {
                const char* at = src + col * ld;
                const __m128i four = bytes == 16 ? _mm_loadu_si128((const __m128i*)at)
                                                 : _mm_maskz_loadu_epi8(mask, at);
                const __mmask16 there = (__mmask16)(0xf << (4 * quarter));
                in[i] = _mm512_mask_broadcast_i32x4(in[i], there, four);
            }
        }
    }
    const __m512i a = _mm512_unpacklo_epi32(in[0], in[1]);
    const __m512i b = _mm512_unpackhi_epi32(in[0], in[1]);
    const __m512i c = _mm512_unpacklo_epi32(in[2], in[3]);
    const __m512i d = _mm512_unpackhi_epi32(in[2], in[3]);
    out[0] = _mm512_unpacklo_epi64(a, c);
    out[1] = _mm512_unpackhi_epi64(a, c);
    out[2] = _mm512_unpacklo_epi64(b, d);
    out[3] = _mm512_unpackhi_epi64(b, d);
}

/* Up to sixteen columns, `row_bytes` of each: one vector of every row of the panel. */
static ALWAYS_INLINE void pack_vector(size_t cols, size_t row_bytes, const char* src, size_t ld,
                                      char* panel) {
    __m512i v[4];
    size_t i = 0;
    for (; i + 16 <= row_bytes; i += 16) {
        transpose(cols, 16, src + i, ld, v);
        UNROLLED_FOR (size_t j = 0; j < 4; j++)
            _mm512_store_si512(panel + (i / group_bytes + j) * row_of_panel, v[j]);
    }
    if (i < row_bytes) {
        transpose(cols, row_bytes - i, src + i, ld, v);
        UNROLLED_FOR (size_t j = 0; j < 4; j++)
            if (i + j * group_bytes < row_bytes)
                _mm512_store_si512(panel + (i / group_bytes + j) * row_of_panel, v[j]);
    }
}

/* pack_b_rows for rows of `row_bytes`, `ld` bytes apart. */
static inline void pack_rows(size_t cols, size_t row_bytes, const char* src, size_t ld,
                             char* panel) {
    for (size_t v = 0; v < vectors_of_panel; v++, panel += vector_bytes) {
        const size_t first_col = v * lanes;
        if (first_col + lanes <= cols) /* without a branch per column */
            pack_vector(lanes, row_bytes, src + first_col * ld, ld, panel);
        else if (first_col < cols)
            pack_vector(cols - first_col, row_bytes, src + first_col * ld, ld, panel);
        else
            pack_vector(0, row_bytes, src, ld, panel);
    }
}

#endif /* NPUENC_KERNELS_PACK_AVX512_H */
