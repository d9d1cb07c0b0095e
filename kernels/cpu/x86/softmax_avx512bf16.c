/* SPDX-License-Identifier: MIT
 *
 * Softmax by blocks for AVX-512 with BF16 and VBMI.
 */
#include <immintrin.h>

static inline __m512i bf16_of_two(__m512 lower, __m512 upper) {
    return (__m512i)_mm512_cvtne2ps_pbh(upper, lower);
}

#include "kernels/cpu/x86/softmax_avx512.h"

void npuenc_softmax_init_avx512bf16(npuenc_softmax* family) {
    family->block_bf16 = block_bf16;
    family->block_u8 = block_u8;
}
