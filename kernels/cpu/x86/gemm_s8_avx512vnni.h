/* SPDX-License-Identifier: MIT
 *
 * Products of bytes for AVX-512 with VNNI, whose instruction multiplies unsigned by signed: rows of
 * A that are signed are shifted. A file says whether they are before it includes this:
 *
 *   enum { shifted_a };
 */
#ifndef NPUENC_KERNELS_GEMM_S8_AVX512VNNI_H
#define NPUENC_KERNELS_GEMM_S8_AVX512VNNI_H

#include <immintrin.h>
#include <stddef.h>

enum { sizeof_element = 1, k_group = 4 };

static inline __m512i multiply_add(__m512i sum, __m512i a, __m512i b) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}

#include "kernels/cpu/x86/gemm_avx512.h"
#include "kernels/cpu/x86/pack_s8_avx512.h"

#endif /* NPUENC_KERNELS_GEMM_S8_AVX512VNNI_H */
