/* SPDX-License-Identifier: MIT
 *
 * s8 products in plain C: widened to f32 a few k at a time and multiplied as in gemm_f32.c, since
 * every vector unit multiplies f32 and not every one 32-bit integers. That is exact: a sum over a
 * block stays below 64 * 2^14 = 2^20. The sums of blocks are unsigned, for which wrapping is
 * defined.
 */
#include <stdint.h>

enum { mr = 4, nr = 8, block = 64 };
typedef int8_t element;

#include "kernels/cpu/reference/gemm.h"

static void widen(size_t n, const int8_t* in, float* out) {
    for (size_t i = 0; i < n; i++)
        out[i] = in[i];
}

static void multiply_tile(const npuenc_tile* tile) {
    prefetch_soon(tile);
    const size_t rows = tile->rows, cols = tile->cols;
    const char* a = tile->a;
    const int8_t* b = tile->b;
    int32_t* c = tile->c;
    uint32_t sum[mr][nr] = {{0}};
    if (tile->accumulate)
        for (size_t r = 0; r < rows; r++)
            for (size_t j = 0; j < cols; j++)
                sum[r][j] = (uint32_t)c[r * tile->ldc + j];
    for (size_t done = 0; done < tile->k; done += block) {
        const size_t n = tile->k - done < block ? tile->k - done : block;
        float wide_b[block * nr];
        widen(n * nr, b + done * nr, wide_b);
        for (size_t r = 0; r < rows; r++) {
            float wide_a[block], part[nr] = {0};
            widen(n, (const int8_t*)(a + r * tile->lda) + done, wide_a);
            for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < nr; j++)
                    part[j] += wide_a[i] * wide_b[i * nr + j];
            for (size_t j = 0; j < nr; j++)
                sum[r][j] += (uint32_t)(int32_t)part[j];
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < cols; j++)
            c[r * tile->ldc + j] = (int32_t)sum[r][j];
}

void npuenc_gemm_s8_init_reference(npuenc_gemm* family) {
    *family = (npuenc_gemm){mr,   nr,     1,           sizeof(element), sizeof(element),
                            0,    pack_a, pack_b_rows, pack_b_cols,     multiply_tile,
                            NULL, NULL};
}
