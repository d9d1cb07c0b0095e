/* SPDX-License-Identifier: MIT
 *
 * Products for AVX-512, whatever the type: a group of k is four bytes in each, one f32, two bf16 or
 * four s8, and a sum is a lane of 32 bits. What differs is one instruction; a file of an
 * instruction set defines it before it includes this:
 *
 *   static inline __m512i multiply_add(__m512i sum, __m512i a, __m512i b);
 *
 * They write it out, since around its intrinsic GCC 12 copies sums from register to register, at
 * half the speed.
 *
 * A tile of 12 rows by two vectors takes 24 of the 32 registers for its sums and 14 loads for 24
 * multiplications, and divides Whisper's 1500 frames and its widths.
 */
#ifndef NPUENC_KERNELS_GEMM_AVX512_H
#define NPUENC_KERNELS_GEMM_AVX512_H

#include <immintrin.h>
#include <string.h>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/x86/unroll.h"
#include "kernels/cpu/x86/vector_avx512.h"

enum { mr = 12, nr = 32, group_bytes = 4, vector_bytes = 64 };

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

/* Up to sixteen columns, `row_bytes` of each: one vector of every pair in the panel. */
static ALWAYS_INLINE void pack_half(size_t cols, size_t row_bytes, const char* src, size_t ld,
                                    char* panel) {
    const size_t step = 2 * vector_bytes;
    __m512i v[4];
    size_t i = 0;
    for (; i + 16 <= row_bytes; i += 16) {
        transpose(cols, 16, src + i, ld, v);
        UNROLLED_FOR (size_t j = 0; j < 4; j++)
            _mm512_store_si512(panel + (i / group_bytes + j) * step, v[j]);
    }
    if (i < row_bytes) {
        transpose(cols, row_bytes - i, src + i, ld, v);
        UNROLLED_FOR (size_t j = 0; j < 4; j++)
            if (i + j * group_bytes < row_bytes)
                _mm512_store_si512(panel + (i / group_bytes + j) * step, v[j]);
    }
}

/* pack_b_rows for rows of `row_bytes`, `ld` bytes apart. */
static inline void pack_rows(size_t cols, size_t row_bytes, const char* src, size_t ld,
                             char* panel) {
    if (cols >= nr) { /* without a branch per column */
        pack_half(lanes, row_bytes, src, ld, panel);
        pack_half(lanes, row_bytes, src + lanes * ld, ld, panel + vector_bytes);
    } else {
        const size_t upper = cols > lanes ? cols - lanes : 0;
        pack_half(cols, row_bytes, src, ld, panel);
        pack_half(upper, row_bytes, upper ? src + lanes * ld : src, ld, panel + vector_bytes);
    }
}

/* `rows` and `vectors` are constants wherever this is expanded, so that `sum` is registers, and k
 * is at least 1: with a way around the loop, GCC 12 keeps sums on the stack. */
static ALWAYS_INLINE void tile_of(size_t rows, size_t vectors, const npuenc_tile* tile) {
    const __mmask16 last = first(tile->cols - (vectors - 1) * lanes);
    const __mmask16 mask[2] = {vectors == 1 ? last : (__mmask16)0xffff, last};
    const size_t groups = (tile->k * sizeof_element + group_bytes - 1) / group_bytes;
    const size_t lda = tile->lda, ldc = tile->ldc;
    __m512i sum[mr][2];
    if (tile->accumulate) {
        const int32_t* c = tile->c;
        UNROLLED_FOR (size_t r = 0; r < rows; r++, c += ldc)
            UNROLLED_FOR (size_t v = 0; v < vectors; v++)
                sum[r][v] = _mm512_maskz_loadu_epi32(mask[v], c + v * lanes);
    } else {
        UNROLLED_FOR (size_t v = 0; v < vectors; v++) {
            const __m512i start =
                unsigned_a ? _mm512_loadu_si512((const char*)tile->start + v * vector_bytes)
                           : _mm512_setzero_si512();
            UNROLLED_FOR (size_t r = 0; r < rows; r++)
                sum[r][v] = start;
        }
    }
    /* Rows in threes, which the addressing modes reach from one pointer. */
    const char* b = tile->b;
    const char* a[(mr + 2) / 3];
    UNROLLED_FOR (size_t r = 0; r < rows; r += 3)
        a[r / 3] = (const char*)tile->a + r * lda;
    size_t i = 0;
    do {
        __m512i factor[2];
        UNROLLED_FOR (size_t v = 0; v < vectors; v++)
            factor[v] = _mm512_load_si512(b + v * vector_bytes);
        UNROLLED_FOR (size_t r = 0; r < rows; r++) {
            int32_t group;
            __builtin_memcpy(&group, a[r / 3] + r % 3 * lda, sizeof group);
            const __m512i row = _mm512_set1_epi32(group);
            UNROLLED_FOR (size_t v = 0; v < vectors; v++)
                sum[r][v] = multiply_add(sum[r][v], row, factor[v]);
        }
        UNROLLED_FOR (size_t r = 0; r < rows; r += 3)
            a[r / 3] += group_bytes;
        b += 2 * vector_bytes;
    } while (++i < groups);
    int32_t* c = tile->c;
    UNROLLED_FOR (size_t r = 0; r < rows; r++) {
        /* Hidden from compilers, which would find all the rows' addresses before the loop, and
         * spill them. */
        __asm__("" : "+r"(c));
        UNROLLED_FOR (size_t v = 0; v < vectors; v++)
            _mm512_mask_storeu_epi32(c + v * lanes, mask[v], sum[r][v]);
        c += ldc;
    }
}

/* Of no products at all. */
static void begin_tile(const npuenc_tile* tile) {
    static const int32_t zeros[nr];
    if (!tile->accumulate)
        for (size_t row = 0; row < tile->rows; row++)
            memcpy((int32_t*)tile->c + row * tile->ldc, unsigned_a ? tile->start : zeros,
                   tile->cols * sizeof(int32_t));
}

static void multiply_tile(const npuenc_tile* tile) {
    if (tile->k == 0) {
        begin_tile(tile);
        return;
    }
    switch (tile->rows) {
#define CASE(n)                                                                                    \
    case n:                                                                                        \
        if (tile->cols > lanes)                                                                    \
            tile_of(n, 2, tile);                                                                   \
        else                                                                                       \
            tile_of(n, 1, tile);                                                                   \
        break;
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
        CASE(5)
        CASE(6)
        CASE(7)
        CASE(8)
        CASE(9)
        CASE(10)
        CASE(11)
        CASE(12)
#undef CASE
    }
}

#endif /* NPUENC_KERNELS_GEMM_AVX512_H */
