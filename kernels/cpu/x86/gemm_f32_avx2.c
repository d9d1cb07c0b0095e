/* SPDX-License-Identifier: MIT
 *
 * f32 products for AVX2 with FMA. A tile of 6 rows by two vectors takes 12 of the 16 registers for
 * its sums. Masked stores are slow on some CPUs: only the last column of a narrow tile has them.
 */
#include <immintrin.h>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/x86/unroll.h"

enum { mr = 6, nr = 16, lanes = 8 };

static inline __m256i first(size_t n) {
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < lanes ? (int)n : lanes), index);
}

/* Transposes in[8][8]. */
static inline __attribute__((always_inline)) void transpose(__m256 v[lanes]) {
    __m256 t[lanes];
    UNROLLED_FOR (int i = 0; i < lanes; i += 4) {
        const __m256 a = _mm256_unpacklo_ps(v[i], v[i + 1]);
        const __m256 b = _mm256_unpackhi_ps(v[i], v[i + 1]);
        const __m256 c = _mm256_unpacklo_ps(v[i + 2], v[i + 3]);
        const __m256 d = _mm256_unpackhi_ps(v[i + 2], v[i + 3]);
        t[i] = _mm256_shuffle_ps(a, c, 0x44);
        t[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
        t[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
        t[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
    }
    /* t[4 g + j] now has columns j and 4 + j of rows 4 g to 4 g + 3. */
    UNROLLED_FOR (int j = 0; j < 4; j++) {
        v[j] = _mm256_permute2f128_ps(t[j], t[4 + j], 0x20);
        v[4 + j] = _mm256_permute2f128_ps(t[j], t[4 + j], 0x31);
    }
}

/* panel[k][width] = src[row][k], for the `height` <= 8 columns of the panel from its first on. A
 * store of eight lanes may spill over into the next k, which is written after it. */
static inline __attribute__((always_inline)) void pack_rows(size_t width, size_t height,
                                                            size_t rows, size_t k, const float* src,
                                                            size_t ld, float* panel) {
    for (size_t i = 0; i < k; i += lanes) {
        const size_t depth = k - i < lanes ? k - i : lanes;
        const __m256i row = first(depth);
        __m256 v[lanes];
        UNROLLED_FOR (size_t r = 0; r < lanes; r++)
            v[r] = r < height && r < rows ? _mm256_maskload_ps(src + r * ld + i, row)
                                          : _mm256_setzero_ps();
        transpose(v);
        UNROLLED_FOR (size_t j = 0; j < lanes; j++) {
            float* out = panel + (i + j) * width;
            if (height == lanes ? j < depth : i + j + 1 < k)
                _mm256_storeu_ps(out, v[j]);
            else if (j < depth)
                _mm256_maskstore_ps(out, first(height), v[j]);
        }
    }
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
    const __m256i lower = first(cols);
    const __m256i upper = first(cols > lanes ? cols - lanes : 0);
    for (size_t i = 0; i < k; i++, src += ld, panel += nr) {
        _mm256_store_ps(panel, _mm256_maskload_ps(src, lower));
        _mm256_store_ps(panel + lanes, cols > lanes ? _mm256_maskload_ps(src + lanes, upper)
                                                    : _mm256_setzero_ps());
    }
}

/* `rows` and `vectors` are constants wherever this is expanded, so that `sum` is registers. */
static inline __attribute__((always_inline)) void tile_of(size_t rows, size_t vectors, size_t cols,
                                                          size_t k, const float* a, const float* b,
                                                          float* c, size_t ldc, int accumulate) {
    const size_t whole = cols / lanes; /* vectors without a mask */
    const __m256i mask = first(cols % lanes);
    __m256 sum[mr][2];
    UNROLLED_FOR (size_t r = 0; r < rows; r++)
        UNROLLED_FOR (size_t v = 0; v < vectors; v++) {
            const float* at = c + r * ldc + v * lanes;
            sum[r][v] = !accumulate ? _mm256_setzero_ps()
                        : v < whole ? _mm256_loadu_ps(at)
                                    : _mm256_maskload_ps(at, mask);
        }
    for (size_t i = 0; i < k; i++, a += mr, b += nr) {
        __m256 row[2];
        UNROLLED_FOR (size_t v = 0; v < vectors; v++)
            row[v] = _mm256_load_ps(b + v * lanes);
        UNROLLED_FOR (size_t r = 0; r < rows; r++) {
            const __m256 factor = _mm256_broadcast_ss(a + r);
            UNROLLED_FOR (size_t v = 0; v < vectors; v++)
                sum[r][v] = _mm256_fmadd_ps(factor, row[v], sum[r][v]);
        }
    }
    UNROLLED_FOR (size_t r = 0; r < rows; r++)
        UNROLLED_FOR (size_t v = 0; v < vectors; v++) {
            float* at = c + r * ldc + v * lanes;
            if (v < whole)
                _mm256_storeu_ps(at, sum[r][v]);
            else
                _mm256_maskstore_ps(at, mask, sum[r][v]);
        }
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
#undef CASE
    }
}

void npuenc_gemm_f32_init_avx2(npuenc_gemm_f32* family) {
    *family = (npuenc_gemm_f32){mr, nr, 1, pack_a, pack_b_rows, pack_b_cols, tile};
}
