/* SPDX-License-Identifier: MIT
 *
 * What becomes of a tile's sums, for AVX-512 with BF16.
 */
#include <immintrin.h>

static inline __m512i bf16_of_two(__m512 lower, __m512 upper) {
    return (__m512i)_mm512_cvtne2ps_pbh(upper, lower);
}

#include "kernels/cpu/x86/finish_sums_avx512.h"

void npuenc_finish_sums_init_avx512bf16(npuenc_finish_sums* family) {
    *family = (npuenc_finish_sums){finish_f32, finish_s32};
}
