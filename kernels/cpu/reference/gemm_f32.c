/* SPDX-License-Identifier: MIT
 *
 * f32 products in plain C: what every other instruction set is measured against, and what runs
 * where there is none. The tile is small enough for sixteen registers of four lanes.
 */
#include "kernels/cpu/isa.h"

enum { mr = 4, nr = 8 };

/* panel[k][width] = src[row][k] */
static void pack_rows(size_t width, size_t rows, size_t k, const float* src, size_t ld,
                      float* panel) {
    for (size_t i = 0; i < k; i++)
        for (size_t r = 0; r < width; r++)
            panel[i * width + r] = r < rows ? src[r * ld + i] : 0.0f;
}

static void pack_a(size_t rows, size_t k, const float* src, size_t ld, float* panel) {
    pack_rows(mr, rows, k, src, ld, panel);
}

static void pack_b_rows(size_t cols, size_t k, const float* src, size_t ld, float* panel) {
    pack_rows(nr, cols, k, src, ld, panel);
}

static void pack_b_cols(size_t cols, size_t k, const float* src, size_t ld, float* panel) {
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < nr; j++)
            panel[i * nr + j] = j < cols ? src[i * ld + j] : 0.0f;
}

static void tile(size_t rows, size_t cols, size_t k, const float* a, const float* b, float* c,
                 size_t ldc, int accumulate) {
    float sum[mr][nr] = {{0}};
    if (accumulate)
        for (size_t r = 0; r < rows; r++)
            for (size_t j = 0; j < cols; j++)
                sum[r][j] = c[r * ldc + j];
    for (size_t i = 0; i < k; i++, a += mr, b += nr)
        for (size_t r = 0; r < mr; r++)
            for (size_t j = 0; j < nr; j++)
                sum[r][j] += a[r] * b[j];
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < cols; j++)
            c[r * ldc + j] = sum[r][j];
}

void npuenc_gemm_f32_init_reference(npuenc_gemm_f32* family) {
    *family = (npuenc_gemm_f32){mr, nr, 1, pack_a, pack_b_rows, pack_b_cols, tile};
}
