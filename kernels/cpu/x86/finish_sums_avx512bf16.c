/* SPDX-License-Identifier: MIT
 *
 * What becomes of a tile's sums, for AVX-512 with BF16.
 */
#include <immintrin.h>

static inline __m256i bf16_of(__m512 value) {
    return (__m256i)_mm512_cvtneps_pbh(value);
}

#include "kernels/cpu/x86/finish_sums_avx512.h"

void npuenc_finish_sums_init_avx512bf16(npuenc_finish_sums* family) {
    *family = (npuenc_finish_sums){finish_f32, finish_s32};
}
