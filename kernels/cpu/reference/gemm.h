/* SPDX-License-Identifier: MIT
 *
 * What products in plain C share: packing into panels of the elements as they are, k by k. A file
 * defines `element` and the tile's mr and nr before it includes this. The tile is small enough for
 * sixteen registers of four lanes.
 */
#ifndef NPUENC_KERNELS_REFERENCE_GEMM_H
#define NPUENC_KERNELS_REFERENCE_GEMM_H

#include <string.h>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/prefetch.h"

static void pack_a(size_t k, const void* src, void* row) {
    memcpy(row, src, k * sizeof(element));
}

static void pack_b_rows(size_t cols, size_t k, const void* src, size_t ld, void* panel) {
    const element* in = src;
    element* out = panel;
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < nr; j++)
            out[i * nr + j] = j < cols ? in[j * ld + i] : 0;
}

static inline void pack_b_cols(size_t cols, size_t k, const void* src, size_t ld, void* panel) {
    const element* in = src;
    element* out = panel;
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < nr; j++)
            out[i * nr + j] = j < cols ? in[i * ld + j] : 0;
}

/* What the sums of a tile of floats begin with, and where they go. */
static inline void begin_sums(const npuenc_tile* tile, float sum[mr][nr]) {
    const float* c = tile->c;
    memset(sum, 0, sizeof(float[mr][nr]));
    if (tile->accumulate)
        for (size_t r = 0; r < tile->rows; r++)
            for (size_t j = 0; j < tile->cols; j++)
                sum[r][j] = c[r * tile->ldc + j];
}

static inline void end_sums(const npuenc_tile* tile, float sum[mr][nr]) {
    float* c = tile->c;
    for (size_t r = 0; r < tile->rows; r++)
        for (size_t j = 0; j < tile->cols; j++)
            c[r * tile->ldc + j] = sum[r][j];
}

#endif /* NPUENC_KERNELS_REFERENCE_GEMM_H */
