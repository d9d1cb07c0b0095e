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
 * A tile of 6 rows by four vectors takes 24 of the 32 registers for its sums and 10 loads for 24
 * multiplications, and divides Whisper's 1500 frames, its widths and its heads. Alone on a core, 12
 * rows by two vectors are as fast with their 14 loads; where another thread shares the core and its
 * loads, they take longer. For the same reason groups are taken four at a time.
 */
#ifndef NPUENC_KERNELS_GEMM_AVX512_H
#define NPUENC_KERNELS_GEMM_AVX512_H

enum { mr = 6, nr = 64 };

#include "kernels/cpu/prefetch.h"
#include "kernels/cpu/x86/pack_avx512.h"

/* One group of all rows. Rows are in threes, which the addressing modes reach from one pointer. */
static ALWAYS_INLINE void multiply_group(size_t rows, size_t vectors, const char* const* a,
                                         size_t lda, size_t at, const char* b,
                                         __m512i sum[mr][vectors_of_panel]) {
    __m512i factor[vectors_of_panel];
    UNROLLED_FOR (size_t v = 0; v < vectors; v++)
        factor[v] = _mm512_load_si512(b + v * vector_bytes);
    UNROLLED_FOR (size_t r = 0; r < rows; r++) {
        int32_t group;
        __builtin_memcpy(&group, a[r / 3] + r % 3 * lda + at, sizeof group);
        const __m512i row = _mm512_set1_epi32(group);
        UNROLLED_FOR (size_t v = 0; v < vectors; v++)
            sum[r][v] = multiply_add(sum[r][v], row, factor[v]);
    }
}

/* `rows` and `vectors` are constants wherever this is expanded, so that `sum` is registers. */
static ALWAYS_INLINE void tile_of(size_t rows, size_t vectors, const npuenc_tile* tile) {
    const __mmask16 last = first(tile->cols - (vectors - 1) * lanes);
    __mmask16 mask[vectors_of_panel];
    UNROLLED_FOR (size_t v = 0; v < vectors; v++)
        mask[v] = v + 1 < vectors ? (__mmask16)0xffff : last;
    const size_t groups = (tile->k * sizeof_element + group_bytes - 1) / group_bytes;
    const size_t lda = tile->lda, ldc = tile->ldc;
    __m512i sum[mr][vectors_of_panel];
    if (tile->accumulate) {
        const int32_t* c = tile->c;
        UNROLLED_FOR (size_t r = 0; r < rows; r++, c += ldc)
            UNROLLED_FOR (size_t v = 0; v < vectors; v++)
                sum[r][v] = _mm512_maskz_loadu_epi32(mask[v], c + v * lanes);
    } else {
        UNROLLED_FOR (size_t v = 0; v < vectors; v++) {
            const __m512i start =
                shifted_a ? _mm512_loadu_si512((const char*)tile->start + v * vector_bytes)
                          : _mm512_setzero_si512();
            UNROLLED_FOR (size_t r = 0; r < rows; r++)
                sum[r][v] = start;
        }
    }
    enum { at_once = 4 };
    const char* b = tile->b;
    const char* a[(mr + 2) / 3];
    UNROLLED_FOR (size_t r = 0; r < rows; r += 3)
        a[r / 3] = (const char*)tile->a + r * lda;
    size_t i = 0;
    for (; i + at_once <= groups; i += at_once) {
        UNROLLED_FOR (size_t j = 0; j < at_once; j++)
            multiply_group(rows, vectors, a, lda, j * group_bytes, b + j * row_of_panel, sum);
        UNROLLED_FOR (size_t r = 0; r < rows; r += 3)
            a[r / 3] += at_once * group_bytes;
        b += at_once * row_of_panel;
    }
    for (; i < groups; i++) {
        multiply_group(rows, vectors, a, lda, 0, b, sum);
        UNROLLED_FOR (size_t r = 0; r < rows; r += 3)
            a[r / 3] += group_bytes;
        b += row_of_panel;
    }
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

static void multiply_tile(const npuenc_tile* tile) {
    prefetch_soon(tile);
    const size_t vectors = (tile->cols + lanes - 1) / lanes;
    switch (tile->rows * 10 + vectors) {
#define CASE(n_rows, n_vectors)                                                                    \
    case n_rows##n_vectors:                                                                        \
        tile_of(n_rows, n_vectors, tile);                                                          \
        break;
#define CASES(n_rows) CASE(n_rows, 1) CASE(n_rows, 2) CASE(n_rows, 3) CASE(n_rows, 4)
        CASES(1)
        CASES(2)
        CASES(3)
        CASES(4)
        CASES(5)
        CASES(6)
#undef CASES
#undef CASE
    }
}

#endif /* NPUENC_KERNELS_GEMM_AVX512_H */
