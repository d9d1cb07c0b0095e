/* SPDX-License-Identifier: MIT
 *
 * bf16 products in plain C: widened to f32 a few k at a time, which compilers make vectors of, then
 * as gemm_f32.c. The product of two bf16 is exact in f32 where it neither overflows nor underflows,
 * so only the sums round.
 */
#include <stdint.h>

enum { mr = 4, nr = 8, block = 64 };
typedef uint16_t element;

#include "kernels/cpu/reference/gemm.h"

static void widen(size_t n, const uint16_t* in, float* out) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)in[i] << 16;
        memcpy(&out[i], &bits, sizeof bits);
    }
}

static void multiply_tile(const npuenc_tile* tile) {
    prefetch_soon(tile);
    const size_t rows = tile->rows;
    const char* a = tile->a;
    const uint16_t* b = tile->b;
    float sum[mr][nr];
    begin_sums(tile, sum);
    for (size_t done = 0; done < tile->k; done += block) {
        const size_t n = tile->k - done < block ? tile->k - done : block;
        float wide_b[block * nr];
        widen(n * nr, b + done * nr, wide_b);
        for (size_t r = 0; r < rows; r++) {
            float wide_a[block];
            widen(n, (const uint16_t*)(const void*)(a + r * tile->lda) + done, wide_a);
            for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < nr; j++)
                    sum[r][j] += wide_a[i] * wide_b[i * nr + j];
        }
    }
    end_sums(tile, sum);
}

void npuenc_gemm_bf16_init_reference(npuenc_gemm* family) {
    *family = (npuenc_gemm){mr,   nr,     1,           sizeof(element), sizeof(element),
                            0,    pack_a, pack_b_rows, pack_b_cols,     multiply_tile,
                            NULL, NULL};
}
