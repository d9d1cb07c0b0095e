/* SPDX-License-Identifier: MIT
 *
 * f32 products in plain C: what every other instruction set is measured against, and what runs
 * where there is none.
 */
enum { mr = 4, nr = 8 };
typedef float element;

#include "kernels/cpu/reference/gemm.h"

static void multiply_tile(const npuenc_tile* tile) {
    prefetch_soon(tile);
    const size_t rows = tile->rows, cols = tile->cols;
    const char* a = tile->a;
    const float* b = tile->b;
    float* c = tile->c;
    float sum[mr][nr] = {{0}};
    if (tile->accumulate)
        for (size_t r = 0; r < rows; r++)
            for (size_t j = 0; j < cols; j++)
                sum[r][j] = c[r * tile->ldc + j];
    for (size_t i = 0; i < tile->k; i++, b += nr)
        for (size_t r = 0; r < rows; r++) {
            const float factor = ((const float*)(const void*)(a + r * tile->lda))[i];
            for (size_t j = 0; j < nr; j++)
                sum[r][j] += factor * b[j];
        }
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < cols; j++)
            c[r * tile->ldc + j] = sum[r][j];
}

void npuenc_gemm_f32_init_reference(npuenc_gemm* family) {
    *family = (npuenc_gemm){mr,   nr,     1,           sizeof(element), sizeof(element),
                            0,    pack_a, pack_b_rows, pack_b_cols,     multiply_tile,
                            NULL, NULL};
}
