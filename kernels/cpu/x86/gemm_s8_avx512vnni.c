/* SPDX-License-Identifier: MIT
 *
 * s8 products for AVX-512 with VNNI, whose instruction multiplies unsigned by signed.
 */
#include <immintrin.h>
#include <stddef.h>

enum { sizeof_element = 1, unsigned_a = 1, k_group = 4 };

static inline __m512i multiply_add(__m512i sum, __m512i a, __m512i b) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}

#include "kernels/cpu/x86/gemm_avx512.h"
#include "kernels/cpu/x86/pack_s8_avx512.h"

void npuenc_gemm_s8_init_avx512vnni(npuenc_gemm* family) {
    *family = (npuenc_gemm){mr,     nr,          k_group,     sizeof_element, sizeof_element, 1,
                            pack_a, pack_b_rows, pack_b_cols, multiply_tile,  NULL,           NULL};
}
