/* SPDX-License-Identifier: MIT
 *
 * f32 products for AVX-512. A tile of 12 rows by two vectors takes 24 of the 32 registers for its
 * sums and 14 loads for 24 multiplications, and divides Whisper's 1500 frames and its widths.
 */
#include <immintrin.h>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/x86/unroll.h"

enum { mr = 12, nr = 32, lanes = 16 };

static inline __mmask16 first(size_t n) {
    return n >= lanes ? (__mmask16)0xffff : (__mmask16)((1u << n) - 1);
}

/* Four k of up to sixteen rows: out[k][row]. Each quarter of a vector is loaded from a row of its
 * own, which leaves a transposition within the quarters. */
static inline __attribute__((always_inline)) void
transpose(size_t rows, size_t depth, const float* src, size_t ld, __m512 out[4]) {
    const __mmask8 mask = (__mmask8)((1u << depth) - 1);
    __m512 in[4]; /* in[i] has rows i, 4 + i, 8 + i and 12 + i */
    UNROLLED_FOR (size_t i = 0; i < 4; i++) {
        in[i] = _mm512_setzero_ps();
        UNROLLED_FOR (size_t quarter = 0; quarter < 4; quarter++) {
            const size_t row = 4 * quarter + i;
            if (row < rows) {
                const float* at = src + row * ld;
                const __m128 four = depth == 4 ? _mm_loadu_ps(at) : _mm_maskz_loadu_ps(mask, at);
                const __mmask16 there = (__mmask16)(0xf << (4 * quarter));
                in[i] = _mm512_mask_broadcast_f32x4(in[i], there, four);
            }
        }
    }
    const __m512 a = _mm512_unpacklo_ps(in[0], in[1]), b = _mm512_unpackhi_ps(in[0], in[1]);
    const __m512 c = _mm512_unpacklo_ps(in[2], in[3]), d = _mm512_unpackhi_ps(in[2], in[3]);
    out[0] = _mm512_shuffle_ps(a, c, 0x44);
    out[1] = _mm512_shuffle_ps(a, c, 0xee);
    out[2] = _mm512_shuffle_ps(b, d, 0x44);
    out[3] = _mm512_shuffle_ps(b, d, 0xee);
}

/* panel[k][width] = src[row][k], for the `height` <= 16 columns of the panel from its first on. */
static inline __attribute__((always_inline)) void pack_rows_of(size_t width, size_t height,
                                                               size_t rows, size_t k,
                                                               const float* src, size_t ld,
                                                               float* panel) {
    const __mmask16 column = first(height);
    __m512 v[4];
    size_t i = 0;
    for (; i + 4 <= k; i += 4) {
        transpose(rows, 4, src + i, ld, v);
        UNROLLED_FOR (size_t j = 0; j < 4; j++)
            _mm512_mask_storeu_ps(panel + (i + j) * width, column, v[j]);
    }
    if (i < k) {
        transpose(rows, k - i, src + i, ld, v);
        UNROLLED_FOR (size_t j = 0; j < 4; j++)
            if (i + j < k)
                _mm512_mask_storeu_ps(panel + (i + j) * width, column, v[j]);
    }
}

static inline __attribute__((always_inline)) void pack_rows(size_t width, size_t height,
                                                            size_t rows, size_t k, const float* src,
                                                            size_t ld, float* panel) {
    if (rows >= height)
        pack_rows_of(width, height, height, k, src, ld, panel); /* without a branch per row */
    else
        pack_rows_of(width, height, rows, k, src, ld, panel);
}

static void pack_a(size_t rows, size_t k, const float* src, size_t ld, float* panel) {
    pack_rows(mr, mr, rows, k, src, ld, panel);
}

static void pack_b_rows(size_t cols, size_t k, const float* src, size_t ld, float* panel) {
    const size_t upper = cols > lanes ? cols - lanes : 0;
    pack_rows(nr, lanes, cols, k, src, ld, panel);
    pack_rows(nr, lanes, upper, k, upper ? src + lanes * ld : src, ld, panel + lanes);
}

static void pack_b_cols(size_t cols, size_t k, const float* src, size_t ld, float* panel) {
    const __mmask16 lower = first(cols);
    const __mmask16 upper = first(cols > lanes ? cols - lanes : 0);
    for (size_t i = 0; i < k; i++, src += ld, panel += nr) {
        _mm512_store_ps(panel, _mm512_maskz_loadu_ps(lower, src));
        _mm512_store_ps(panel + lanes,
                        upper ? _mm512_maskz_loadu_ps(upper, src + lanes) : _mm512_setzero_ps());
    }
}

/* `rows` and `vectors` are constants wherever this is expanded, so that `sum` is registers. */
static inline __attribute__((always_inline)) void tile_of(size_t rows, size_t vectors, size_t cols,
                                                          size_t k, const float* a, const float* b,
                                                          float* c, size_t ldc, int accumulate) {
    const __mmask16 last = first(cols - (vectors - 1) * lanes);
    const __mmask16 mask[2] = {vectors == 1 ? last : (__mmask16)0xffff, last};
    __m512 sum[mr][2];
    UNROLLED_FOR (size_t r = 0; r < rows; r++)
        UNROLLED_FOR (size_t v = 0; v < vectors; v++)
            sum[r][v] = accumulate ? _mm512_maskz_loadu_ps(mask[v], c + r * ldc + v * lanes)
                                   : _mm512_setzero_ps();
    for (size_t i = 0; i < k; i++, a += mr, b += nr) {
        __m512 row[2];
        UNROLLED_FOR (size_t v = 0; v < vectors; v++)
            row[v] = _mm512_load_ps(b + v * lanes);
        UNROLLED_FOR (size_t r = 0; r < rows; r++) {
            const __m512 factor = _mm512_set1_ps(a[r]);
            UNROLLED_FOR (size_t v = 0; v < vectors; v++)
                sum[r][v] = _mm512_fmadd_ps(factor, row[v], sum[r][v]);
        }
    }
    UNROLLED_FOR (size_t r = 0; r < rows; r++)
        UNROLLED_FOR (size_t v = 0; v < vectors; v++)
            _mm512_mask_storeu_ps(c + r * ldc + v * lanes, mask[v], sum[r][v]);
}

static void tile(size_t rows, size_t cols, size_t k, const float* a, const float* b, float* c,
                 size_t ldc, int accumulate) {
    switch (rows) {
#define CASE(n)                                                                                    \
    case n:                                                                                        \
        if (cols > lanes)                                                                          \
            tile_of(n, 2, cols, k, a, b, c, ldc, accumulate);                                      \
        else                                                                                       \
            tile_of(n, 1, cols, k, a, b, c, ldc, accumulate);                                      \
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

void npuenc_gemm_f32_init_avx512(npuenc_gemm_f32* family) {
    *family = (npuenc_gemm_f32){mr, nr, 1, pack_a, pack_b_rows, pack_b_cols, tile};
}
