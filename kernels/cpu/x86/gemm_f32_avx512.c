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

/* Transposes in[16][16]. */
static inline __attribute__((always_inline)) void transpose(__m512 v[lanes]) {
    __m512 t[lanes];
    UNROLL
    for (int i = 0; i < lanes; i += 4) {
        const __m512 a = _mm512_unpacklo_ps(v[i], v[i + 1]);
        const __m512 b = _mm512_unpackhi_ps(v[i], v[i + 1]);
        const __m512 c = _mm512_unpacklo_ps(v[i + 2], v[i + 3]);
        const __m512 d = _mm512_unpackhi_ps(v[i + 2], v[i + 3]);
        t[i] = _mm512_shuffle_ps(a, c, 0x44);
        t[i + 1] = _mm512_shuffle_ps(a, c, 0xee);
        t[i + 2] = _mm512_shuffle_ps(b, d, 0x44);
        t[i + 3] = _mm512_shuffle_ps(b, d, 0xee);
    }
    /* t[4 g + j] now has columns j, 4 + j, 8 + j, 12 + j of rows 4 g to 4 g + 3. */
    UNROLL
    for (int j = 0; j < 4; j++) {
        const __m512 a = _mm512_shuffle_f32x4(t[j], t[4 + j], 0x88);
        const __m512 b = _mm512_shuffle_f32x4(t[j], t[4 + j], 0xdd);
        const __m512 c = _mm512_shuffle_f32x4(t[8 + j], t[12 + j], 0x88);
        const __m512 d = _mm512_shuffle_f32x4(t[8 + j], t[12 + j], 0xdd);
        v[j] = _mm512_shuffle_f32x4(a, c, 0x88);
        v[4 + j] = _mm512_shuffle_f32x4(b, d, 0x88);
        v[8 + j] = _mm512_shuffle_f32x4(a, c, 0xdd);
        v[12 + j] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
}

/* panel[k][width] = src[row][k], for the `height` <= 16 columns of the panel from its first on. */
static inline __attribute__((always_inline)) void pack_rows(size_t width, size_t height,
                                                            size_t rows, size_t k, const float *src,
                                                            size_t ld, float *panel) {
    const __mmask16 column = first(height);
    for (size_t i = 0; i < k; i += lanes) {
        const size_t depth = k - i < lanes ? k - i : lanes;
        const __mmask16 row = first(depth);
        __m512 v[lanes];
        UNROLL
        for (size_t r = 0; r < lanes; r++)
            v[r] = r < height && r < rows ? _mm512_maskz_loadu_ps(row, src + r * ld + i)
                                          : _mm512_setzero_ps();
        transpose(v);
        UNROLL
        for (size_t j = 0; j < lanes; j++)
            if (j < depth)
                _mm512_mask_storeu_ps(panel + (i + j) * width, column, v[j]);
    }
}

static void pack_a(size_t rows, size_t k, const float *src, size_t ld, float *panel) {
    pack_rows(mr, mr, rows, k, src, ld, panel);
}

static void pack_b_rows(size_t cols, size_t k, const float *src, size_t ld, float *panel) {
    const size_t upper = cols > lanes ? cols - lanes : 0;
    pack_rows(nr, lanes, cols, k, src, ld, panel);
    pack_rows(nr, lanes, upper, k, upper ? src + lanes * ld : src, ld, panel + lanes);
}

static void pack_b_cols(size_t cols, size_t k, const float *src, size_t ld, float *panel) {
    const __mmask16 lower = first(cols);
    const __mmask16 upper = first(cols > lanes ? cols - lanes : 0);
    for (size_t i = 0; i < k; i++, src += ld, panel += nr) {
        _mm512_store_ps(panel, _mm512_maskz_loadu_ps(lower, src));
        _mm512_store_ps(panel + lanes,
                        upper ? _mm512_maskz_loadu_ps(upper, src + lanes) : _mm512_setzero_ps());
    }
}

/* `rows` and `vectors` are constants wherever this is expanded, so that `sum` is registers. */
static inline __attribute__((always_inline)) void
tile_of(size_t rows, size_t vectors, size_t cols, size_t k, const float *a, const float *b,
        float *c, size_t ldc, int accumulate) {
    const __mmask16 last = first(cols - (vectors - 1) * lanes);
    const __mmask16 mask[2] = {vectors == 1 ? last : (__mmask16)0xffff, last};
    __m512 sum[mr][2];
    UNROLL
    for (size_t r = 0; r < rows; r++)
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            sum[r][v] = accumulate ? _mm512_maskz_loadu_ps(mask[v], c + r * ldc + v * lanes)
                                   : _mm512_setzero_ps();
    for (size_t i = 0; i < k; i++, a += mr, b += nr) {
        __m512 row[2];
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            row[v] = _mm512_load_ps(b + v * lanes);
    UNROLL
        for (size_t r = 0; r < rows; r++) {
            const __m512 factor = _mm512_set1_ps(a[r]);
            UNROLL
            for (size_t v = 0; v < vectors; v++)
                sum[r][v] = _mm512_fmadd_ps(factor, row[v], sum[r][v]);
        }
    }
    UNROLL
    for (size_t r = 0; r < rows; r++)
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            _mm512_mask_storeu_ps(c + r * ldc + v * lanes, mask[v], sum[r][v]);
}

static void tile(size_t rows, size_t cols, size_t k, const float *a, const float *b, float *c,
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

void npuenc_gemm_f32_init_avx512(npuenc_gemm_f32 *family) {
    *family = (npuenc_gemm_f32){mr, nr, 1, pack_a, pack_b_rows, pack_b_cols, tile};
}
