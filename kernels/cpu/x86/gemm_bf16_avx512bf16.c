/* SPDX-License-Identifier: MIT
 *
 * bf16 products for AVX-512 with BF16.
 */
#include <immintrin.h>
#include <stddef.h>
#include <string.h>

enum { sizeof_element = 2, unsigned_a = 0 };

static inline __m512i multiply_add(__m512i sum, __m512i a, __m512i b) {
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}

#include "kernels/cpu/x86/gemm_avx512.h"

static void pack_a(size_t k, const void* src, void* row) {
    uint16_t* out = row;
    memcpy(out, src, k * sizeof_element);
    if (k % 2)
        out[k] = 0;
}

static void pack_b_rows(size_t cols, size_t k, const void* src, size_t ld, void* panel) {
    pack_rows(cols, k * sizeof_element, src, ld * sizeof_element, panel);
}

/* Two rows of B become one of pairs. */
static void pack_b_cols(size_t cols, size_t k, const void* src, size_t ld, void* panel) {
    const uint16_t* in = src;
    uint16_t* out = panel;
    const __mmask32 mask = cols >= nr ? ~(__mmask32)0 : ((__mmask32)1 << cols) - 1;
    /* unpack interleaves within quarters: the quarters are put so that pairs come out in order. */
    const __m512i order = _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0);
    for (size_t i = 0; i < k; i += 2, in += 2 * ld, out += 2 * nr) {
        const __m512i even = _mm512_permutexvar_epi64(order, _mm512_maskz_loadu_epi16(mask, in));
        const __m512i odd =
            i + 1 < k ? _mm512_permutexvar_epi64(order, _mm512_maskz_loadu_epi16(mask, in + ld))
                      : _mm512_setzero_si512();
        const __m512i low = _mm512_unpacklo_epi16(even, odd);
        const __m512i high = _mm512_unpackhi_epi16(even, odd);
        _mm512_store_si512(out, low);
        _mm512_store_si512(out + nr, high);
    }
}

void npuenc_gemm_bf16_init_avx512bf16(npuenc_gemm* family) {
    *family = (npuenc_gemm){mr, nr,     2,           sizeof_element, sizeof_element,
                            0,  pack_a, pack_b_rows, pack_b_cols,    multiply_tile};
}
