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
    const size_t rows = tile->rows;
    const char* a = tile->a;
    const float* b = tile->b;
    float sum[mr][nr];
    begin_sums(tile, sum);
    for (size_t i = 0; i < tile->k; i++, b += nr)
        for (size_t r = 0; r < rows; r++) {
            const float factor = ((const float*)(const void*)(a + r * tile->lda))[i];
            for (size_t j = 0; j < nr; j++)
                sum[r][j] += factor * b[j];
        }
    end_sums(tile, sum);
}

void npuenc_gemm_f32_init_reference(npuenc_gemm* family) {
    *family = (npuenc_gemm){mr,   nr,     1,           sizeof(element), sizeof(element),
                            0,    pack_a, pack_b_rows, pack_b_cols,     multiply_tile,
                            NULL, NULL};
}
