/* SPDX-License-Identifier: MIT
 *
 * Products for AVX2, whatever the type: a group of k is four bytes in each, one f32, two s16 or
 * four s8, and a sum is a lane of 32 bits. What differs is one instruction; a file of an
 * instruction set defines it before it includes this:
 *
 *   enum { sizeof_element, shifted_a };                     of an element once packed
 *   static inline __m256i multiply_add(__m256i sum, __m256i a, __m256i b);
 *
 * A tile of 6 rows by two vectors takes 12 of the 16 registers for its sums, and leaves two for B,
 * one for A and one for what multiply_add needs.
 */
#ifndef NPUENC_KERNELS_GEMM_AVX2_H
#define NPUENC_KERNELS_GEMM_AVX2_H

#include <immintrin.h>
#include <string.h>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/prefetch.h"
#include "kernels/cpu/x86/unroll.h"

enum { mr = 6, nr = 16, lanes = 8, group_bytes = 4, vector_bytes = 32 };

#define ALWAYS_INLINE inline __attribute__((always_inline))

static inline __m256i first(size_t n) {
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < lanes ? (int)n : lanes), index);
}

/* The bytes at `at`, and zeros beyond the first `bytes`, which alone are read. */
static ALWAYS_INLINE __m128i load_some(const void* at, size_t bytes) {
    if (bytes >= sizeof(__m128i))
        return _mm_loadu_si128(at);
    char some[sizeof(__m128i)] = {0};
    memcpy(some, at, bytes);
    return _mm_loadu_si128((const __m128i*)(const void*)some);
}

/* Four groups of up to eight columns, each of whose rows of `bytes` <= 16 bytes are read:
 * out[group][column]. Each half of a vector is loaded from a row of its own, which leaves a
 * transposition within the halves. */
static ALWAYS_INLINE void transpose(size_t cols, size_t bytes, const char* src, size_t ld,
                                    __m256i out[4]) {
    __m256i in[4]; /* in[i] has columns i and 4 + i */
    UNROLLED_FOR (size_t i = 0; i < 4; i++) {
        const __m128i low = i < cols ? load_some(src + i * ld, bytes) : _mm_setzero_si128();
        const __m128i high =
            4 + i < cols ? load_some(src + (4 + i) * ld, bytes) : _mm_setzero_si128();
        in[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
    }
    const __m256i a = _mm256_unpacklo_epi32(in[0], in[1]);
    const __m256i b = _mm256_unpackhi_epi32(in[0], in[1]);
    const __m256i c = _mm256_unpacklo_epi32(in[2], in[3]);
    const __m256i d = _mm256_unpackhi_epi32(in[2], in[3]);
    out[0] = _mm256_unpacklo_epi64(a, c);
    out[1] = _mm256_unpackhi_epi64(a, c);
    out[2] = _mm256_unpacklo_epi64(b, d);
    out[3] = _mm256_unpackhi_epi64(b, d);
}

/* Up to eight columns, `row_bytes` of each: one vector of every pair in the panel. */
static ALWAYS_INLINE void pack_half(size_t cols, size_t row_bytes, const char* src, size_t ld,
                                    char* panel) {
    const size_t step = 2 * vector_bytes;
    __m256i v[4];
    size_t i = 0;
    for (; i + 16 <= row_bytes; i += 16) {
        transpose(cols, 16, src + i, ld, v);
        UNROLLED_FOR (size_t j = 0; j < 4; j++)
            _mm256_store_si256((__m256i*)(void*)(panel + (i / group_bytes + j) * step), v[j]);
    }
    if (i < row_bytes) {
        transpose(cols, row_bytes - i, src + i, ld, v);
        UNROLLED_FOR (size_t j = 0; j < 4; j++)
            if (i + j * group_bytes < row_bytes)
                _mm256_store_si256((__m256i*)(void*)(panel + (i / group_bytes + j) * step), v[j]);
    }
}

/* Rows of `row_bytes`, `ld` bytes apart, into a panel of groups of four of these bytes. */
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

/* `rows` and `vectors` are constants wherever this is expanded, so that `sum` is registers. Masked
 * stores are slow on some CPUs: only the last columns of a narrow tile have them. */
static ALWAYS_INLINE void tile_of(size_t rows, size_t vectors, const npuenc_tile* tile) {
    const size_t whole = tile->cols / lanes; /* vectors without a mask */
    const __m256i mask = first(tile->cols % lanes);
    const size_t groups = (tile->k * sizeof_element + group_bytes - 1) / group_bytes;
    const size_t lda = tile->lda, ldc = tile->ldc;
    int* c = tile->c;
    __m256i sum[mr][2];
    UNROLLED_FOR (size_t v = 0; v < vectors; v++) {
        const int* start = (const int*)tile->start + v * lanes;
        const __m256i begin = shifted_a && !tile->accumulate
                                  ? _mm256_loadu_si256((const __m256i*)(const void*)start)
                                  : _mm256_setzero_si256();
        UNROLLED_FOR (size_t r = 0; r < rows; r++) {
            const int* at = c + r * ldc + v * lanes;
            sum[r][v] = !tile->accumulate ? begin
                        : v < whole       ? _mm256_loadu_si256((const __m256i*)(const void*)at)
                                          : _mm256_maskload_epi32(at, mask);
        }
    }
    /* Rows in threes, which the addressing modes reach from one pointer. */
    const char* b = tile->b;
    const char* a[(mr + 2) / 3];
    UNROLLED_FOR (size_t r = 0; r < rows; r += 3)
        a[r / 3] = (const char*)tile->a + r * lda;
    for (size_t i = 0; i < groups; i++, b += 2 * vector_bytes) {
        __m256i factor[2];
        UNROLLED_FOR (size_t v = 0; v < vectors; v++)
            factor[v] = _mm256_load_si256((const __m256i*)(const void*)(b + v * vector_bytes));
        UNROLLED_FOR (size_t r = 0; r < rows; r++) {
            int32_t group;
            memcpy(&group, a[r / 3] + r % 3 * lda, sizeof group);
            const __m256i row = _mm256_set1_epi32(group);
            UNROLLED_FOR (size_t v = 0; v < vectors; v++)
                sum[r][v] = multiply_add(sum[r][v], row, factor[v]);
        }
        UNROLLED_FOR (size_t r = 0; r < rows; r += 3)
            a[r / 3] += group_bytes;
    }
    UNROLLED_FOR (size_t r = 0; r < rows; r++)
        UNROLLED_FOR (size_t v = 0; v < vectors; v++) {
            int* at = c + r * ldc + v * lanes;
            if (v < whole)
                _mm256_storeu_si256((__m256i*)(void*)at, sum[r][v]);
            else
                _mm256_maskstore_epi32(at, mask, sum[r][v]);
        }
}

static void multiply_tile(const npuenc_tile* tile) {
    prefetch_soon(tile);
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
#undef CASE
    }
}

#endif /* NPUENC_KERNELS_GEMM_AVX2_H */
