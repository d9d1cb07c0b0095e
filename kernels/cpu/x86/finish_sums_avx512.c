/* SPDX-License-Identifier: MIT
 *
 * What becomes of a tile's sums, for AVX-512.
 */
#include <immintrin.h>

static inline __m256i bf16_of(__m512 value) {
    const __m512i bits = _mm512_castps_si512(value);
    const __m512i top = _mm512_srli_epi32(bits, 16);
    const __m512i odd = _mm512_and_si512(top, _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 is_nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
    const __m512i nearest = _mm512_srli_epi32(up, 16);
    return _mm512_cvtepi32_epi16(
        _mm512_mask_or_epi32(nearest, is_nan, top, _mm512_set1_epi32(0x40)));
}

static inline __m512i bf16_of_two(__m512 lower, __m512 upper) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(bf16_of(lower)), bf16_of(upper), 1);
}

#include "kernels/cpu/x86/finish_sums_avx512.h"

void npuenc_finish_sums_init_avx512(npuenc_finish_sums* family) {
    *family = (npuenc_finish_sums){finish_f32, finish_s32};
}
