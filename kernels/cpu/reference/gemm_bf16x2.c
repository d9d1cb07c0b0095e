/* SPDX-License-Identifier: MIT
 *
 * Products of pairs of bf16 in plain C: packed as f32, split a few k at a time, and then as
 * gemm_bf16.c.
 */
#include "kernels/cpu/reference/bits.h"

enum { mr = 4, nr = 8, block = 64 };
typedef float element;

#include "kernels/cpu/reference/gemm.h"

static void split(size_t n, const float* in, float* high, float* low) {
    for (size_t i = 0; i < n; i++) {
        high[i] = float_of((uint32_t)bf16_of(in[i]) << 16);
        low[i] = float_of((uint32_t)bf16_of(in[i] - high[i]) << 16);
    }
}

static void multiply_tile(const npuenc_tile* tile) {
    prefetch_soon(tile);
    const size_t rows = tile->rows;
    const char* a = tile->a;
    const float* b = tile->b;
    float sum[mr][nr];
    begin_sums(tile, sum);
    for (size_t done = 0; done < tile->k; done += block) {
        const size_t n = tile->k - done < block ? tile->k - done : block;
        float high_b[block * nr], low_b[block * nr];
        split(n * nr, b + done * nr, high_b, low_b);
        for (size_t r = 0; r < rows; r++) {
            float high_a[block], low_a[block];
            split(n, (const float*)(const void*)(a + r * tile->lda) + done, high_a, low_a);
            for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < nr; j++)
                    sum[r][j] += high_a[i] * low_b[i * nr + j] + low_a[i] * high_b[i * nr + j] +
                                 high_a[i] * high_b[i * nr + j];
        }
    }
    end_sums(tile, sum);
}

void npuenc_gemm_bf16x2_init_reference(npuenc_gemm* family) {
    *family = (npuenc_gemm){
        mr,   nr,  1, sizeof(element), sizeof(element), 0, pack_a, pack_b_rows, NULL, multiply_tile,
        NULL, NULL};
}
