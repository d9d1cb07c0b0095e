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

#endif /* NPUENC_KERNELS_REFERENCE_GEMM_H */
