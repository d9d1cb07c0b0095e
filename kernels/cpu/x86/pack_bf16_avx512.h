/* SPDX-License-Identifier: MIT
 *
 * Packing of bf16 for AVX-512 where instructions multiply pairs of them. A file of an instruction
 * set defines how many k are a group, a multiple of 2, before it includes this:
 *
 *   enum { k_group = ... };
 */
#ifndef NPUENC_KERNELS_PACK_BF16_AVX512_H
#define NPUENC_KERNELS_PACK_BF16_AVX512_H

#include "kernels/cpu/x86/pack_avx512.h"

static inline size_t whole_groups(size_t k) {
    return (k + k_group - 1) / k_group * k_group;
}

static void pack_a(size_t k, const void* src, void* row) {
    uint16_t* out = row;
    memcpy(out, src, k * sizeof *out);
    memset(out + k, 0, (whole_groups(k) - k) * sizeof *out);
}

static void pack_b_rows(size_t cols, size_t k, const void* src, size_t ld, void* panel) {
    uint16_t* out = panel;
    pack_rows(cols, k * sizeof *out, src, ld * sizeof *out, panel);
    const size_t written = k + k % 2;
    memset(out + written * nr, 0, (whole_groups(k) - written) * nr * sizeof *out);
}

/* Two rows of B become one of pairs, in a range of up to 32 columns. */
static ALWAYS_INLINE void pack_range(size_t cols, size_t k, const uint16_t* in, size_t ld,
                                     uint16_t* out) {
    const __mmask32 mask = first_32(cols);
    /* unpack interleaves within quarters: the quarters are put so that pairs come out in order. */
    const __m512i order = _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0);
    for (size_t i = 0; i < whole_groups(k); i += 2, in += 2 * ld, out += 2 * nr) {
        const __m512i even =
            i < k ? _mm512_permutexvar_epi64(order, _mm512_maskz_loadu_epi16(mask, in))
                  : _mm512_setzero_si512();
        const __m512i odd =
            i + 1 < k ? _mm512_permutexvar_epi64(order, _mm512_maskz_loadu_epi16(mask, in + ld))
                      : _mm512_setzero_si512();
        const __m512i low = _mm512_unpacklo_epi16(even, odd);
        const __m512i high = _mm512_unpackhi_epi16(even, odd);
        _mm512_store_si512(out, low);
        _mm512_store_si512(out + 2 * lanes, high);
    }
}

static void pack_b_cols(size_t cols, size_t k, const void* src, size_t ld, void* panel) {
    const uint16_t* in = src;
    uint16_t* out = panel;
    for (size_t col = 0; col < nr; col += range)
        pack_range(cols > col ? cols - col : 0, k, cols > col ? in + col : in, ld, out + 2 * col);
}

#endif /* NPUENC_KERNELS_PACK_BF16_AVX512_H */
