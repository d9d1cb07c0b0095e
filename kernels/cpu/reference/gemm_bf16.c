/* SPDX-License-Identifier: MIT
 *
 * bf16 products in plain C: widened to f32 a few k at a time, which compilers make vectors of, then
 * as gemm_f32.c. The product of two bf16 is exact in f32 where it neither overflows nor underflows,
 * so only the sums round.
 */
#include <string.h>

#include "kernels/cpu/isa.h"

enum { mr = 4, nr = 8, block = 64 };

static void widen(size_t n, const uint16_t* in, float* out) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)in[i] << 16;
        memcpy(&out[i], &bits, sizeof bits);
    }
}

/* panel[k][width] = src[row][k] */
static void pack_rows(size_t width, size_t rows, size_t k, const uint16_t* src, size_t ld,
                      uint16_t* panel) {
    for (size_t i = 0; i < k; i++)
        for (size_t r = 0; r < width; r++)
            panel[i * width + r] = r < rows ? src[r * ld + i] : 0;
}

static void pack_a(size_t rows, size_t k, const uint16_t* src, size_t ld, uint16_t* panel) {
    pack_rows(mr, rows, k, src, ld, panel);
}

static void pack_b_rows(size_t cols, size_t k, const uint16_t* src, size_t ld, uint16_t* panel) {
    pack_rows(nr, cols, k, src, ld, panel);
}

static void pack_b_cols(size_t cols, size_t k, const uint16_t* src, size_t ld, uint16_t* panel) {
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < nr; j++)
            panel[i * nr + j] = j < cols ? src[i * ld + j] : 0;
}

static void tile(size_t rows, size_t cols, size_t k, const uint16_t* a, const uint16_t* b, float* c,
                 size_t ldc, int accumulate) {
    float sum[mr][nr] = {{0}};
    if (accumulate)
        for (size_t r = 0; r < rows; r++)
            for (size_t j = 0; j < cols; j++)
                sum[r][j] = c[r * ldc + j];
    for (size_t done = 0; done < k; done += block) {
        const size_t n = k - done < block ? k - done : block;
        float wide_a[block * mr], wide_b[block * nr];
        widen(n * mr, a + done * mr, wide_a);
        widen(n * nr, b + done * nr, wide_b);
        for (size_t i = 0; i < n; i++)
            for (size_t r = 0; r < mr; r++)
                for (size_t j = 0; j < nr; j++)
                    sum[r][j] += wide_a[i * mr + r] * wide_b[i * nr + j];
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < cols; j++)
            c[r * ldc + j] = sum[r][j];
}

void npuenc_gemm_bf16_init_reference(npuenc_gemm_bf16* family) {
    *family = (npuenc_gemm_bf16){mr, nr, 1, pack_a, pack_b_rows, pack_b_cols, tile};
}
