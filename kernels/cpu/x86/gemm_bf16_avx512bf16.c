/* SPDX-License-Identifier: MIT
 *
 * bf16 products for AVX-512 with BF16.
 */
#include <immintrin.h>
#include <stddef.h>
#include <string.h>

enum { sizeof_element = 2, shifted_a = 0, k_group = 2 };

static inline __m512i multiply_add(__m512i sum, __m512i a, __m512i b) {
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}

#include "kernels/cpu/x86/gemm_avx512.h"
#include "kernels/cpu/x86/pack_bf16_avx512.h"

void npuenc_gemm_bf16_init_avx512bf16(npuenc_gemm* family) {
    *family = (npuenc_gemm){mr,     nr,          k_group,     sizeof_element, sizeof_element, 0,
                            pack_a, pack_b_rows, pack_b_cols, multiply_tile,  NULL,           NULL};
}
