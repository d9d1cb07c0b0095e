/* SPDX-License-Identifier: MIT
 *
 * s8 products in plain C: widened to f32 a few k at a time and multiplied as in gemm_f32.c, since
 * every vector unit multiplies f32 and not every one 32-bit integers. That is exact: a sum over a
 * block stays below 64 * 2^14 = 2^20. The sums of blocks are unsigned, for which wrapping is
 * defined.
 */
#include "kernels/cpu/isa.h"

enum { mr = 4, nr = 8, block = 64 };

static void widen(size_t n, const int8_t* in, float* out) {
    for (size_t i = 0; i < n; i++)
        out[i] = in[i];
}

/* panel[k][width] = src[row][k] */
static void pack_rows(size_t width, size_t rows, size_t k, const int8_t* src, size_t ld,
                      int8_t* panel) {
    for (size_t i = 0; i < k; i++)
        for (size_t r = 0; r < width; r++)
            panel[i * width + r] = r < rows ? src[r * ld + i] : 0;
}

static void pack_a(size_t rows, size_t k, const int8_t* src, size_t ld, int8_t* panel) {
    pack_rows(mr, rows, k, src, ld, panel);
}

static void pack_b_rows(size_t cols, size_t k, const int8_t* src, size_t ld, int8_t* panel) {
    pack_rows(nr, cols, k, src, ld, panel);
}

static void pack_b_cols(size_t cols, size_t k, const int8_t* src, size_t ld, int8_t* panel) {
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < nr; j++)
            panel[i * nr + j] = j < cols ? src[i * ld + j] : 0;
}

static void tile(size_t rows, size_t cols, size_t k, const int8_t* a, const int8_t* b, int32_t* c,
                 size_t ldc, int accumulate) {
    uint32_t sum[mr][nr] = {{0}};
    if (accumulate)
        for (size_t r = 0; r < rows; r++)
            for (size_t j = 0; j < cols; j++)
                sum[r][j] = (uint32_t)c[r * ldc + j];
    for (size_t done = 0; done < k; done += block) {
        const size_t n = k - done < block ? k - done : block;
        float wide_a[block * mr], wide_b[block * nr], part[mr][nr] = {{0}};
        widen(n * mr, a + done * mr, wide_a);
        widen(n * nr, b + done * nr, wide_b);
        for (size_t i = 0; i < n; i++)
            for (size_t r = 0; r < mr; r++)
                for (size_t j = 0; j < nr; j++)
                    part[r][j] += wide_a[i * mr + r] * wide_b[i * nr + j];
        for (size_t r = 0; r < mr; r++)
            for (size_t j = 0; j < nr; j++)
                sum[r][j] += (uint32_t)(int32_t)part[r][j];
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < cols; j++)
            c[r * ldc + j] = (int32_t)sum[r][j];
}

void npuenc_gemm_s8_init_reference(npuenc_gemm_s8* family) {
    *family = (npuenc_gemm_s8){mr, nr, 1, pack_a, pack_b_rows, pack_b_cols, tile};
}
