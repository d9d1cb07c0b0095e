/* SPDX-License-Identifier: MIT
 *
 * f32 products for AVX-512.
 */
#include <immintrin.h>
#include <stddef.h>
#include <string.h>

enum { sizeof_element = 4, shifted_a = 0 };

static inline __m512i multiply_add(__m512i sum, __m512i a, __m512i b) {
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}

#include "kernels/cpu/x86/gemm_avx512.h"

static void pack_a(size_t k, const void* src, void* row) {
    memcpy(row, src, k * sizeof_element);
}

static void pack_b_rows(size_t cols, size_t k, const void* src, size_t ld, void* panel) {
    pack_rows(cols, k * sizeof_element, src, ld * sizeof_element, panel);
}

static void pack_b_cols(size_t cols, size_t k, const void* src, size_t ld, void* panel) {
    const float* in = src;
    float* out = panel;
    for (size_t i = 0; i < k; i++, in += ld, out += nr)
        UNROLLED_FOR (size_t v = 0; v < vectors_of_panel; v++) {
            const __mmask16 mask = of_vector(cols, v);
            _mm512_store_ps(out + v * lanes, mask ? _mm512_maskz_loadu_ps(mask, in + v * lanes)
                                                  : _mm512_setzero_ps());
        }
}

void npuenc_gemm_f32_init_avx512(npuenc_gemm* family) {
    *family = (npuenc_gemm){mr,     nr,          1,           sizeof_element, sizeof_element, 0,
                            pack_a, pack_b_rows, pack_b_cols, multiply_tile,  NULL,           NULL};
}
