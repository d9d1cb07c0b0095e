/* SPDX-License-Identifier: MIT
 *
 * Conversions for AVX-512. The end is a vector under a mask.
 */
#include <immintrin.h>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/x86/vector_avx512.h"

enum { to_nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };

static inline __m512i all_s32(int32_t value) {
    return _mm512_set1_epi32(value);
}

/* bf16 in the low half of each lane. */
static inline __m512i bf16_of(__m512 value) {
    const __m512i bits = _mm512_castps_si512(value);
    const __m512i top = _mm512_srli_epi32(bits, 16);
    const __m512i odd = _mm512_and_si512(top, all_s32(1));
    const __m512i nearest =
        _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(odd, all_s32(0x7fff))), 16);
    const __mmask16 is_nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
    return _mm512_mask_or_epi32(nearest, is_nan, top, all_s32(0x40));
}

static void f32_to_bf16(size_t n, const float* in, uint16_t* out) {
    for (size_t i = 0; i < n; i += lanes) {
        const __mmask16 mask = first(n - i);
        const __m512 value = _mm512_maskz_loadu_ps(mask, in + i);
        _mm256_mask_storeu_epi16(out + i, mask, _mm512_cvtepi32_epi16(bf16_of(value)));
    }
}

static void f32_to_bf16x2(size_t n, const float* in, uint16_t* high, uint16_t* low) {
    for (size_t i = 0; i < n; i += lanes) {
        const __mmask16 mask = first(n - i);
        const __m512 value = _mm512_maskz_loadu_ps(mask, in + i);
        const __m512i nearest = bf16_of(value);
        const __m512 rest =
            _mm512_sub_ps(value, _mm512_castsi512_ps(_mm512_slli_epi32(nearest, 16)));
        _mm256_mask_storeu_epi16(high + i, mask, _mm512_cvtepi32_epi16(nearest));
        _mm256_mask_storeu_epi16(low + i, mask, _mm512_cvtepi32_epi16(bf16_of(rest)));
    }
}

static void bf16_to_f32(size_t n, const uint16_t* in, float* out) {
    for (size_t i = 0; i < n; i += lanes) {
        const __mmask16 mask = first(n - i);
        const __m512i bits =
            _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, in + i)), 16);
        const __m512 value = _mm512_castsi512_ps(bits);
        const __mmask16 is_nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
        const __m512i result = _mm512_mask_or_epi32(bits, is_nan, bits, all_s32(1 << 22));
        _mm512_mask_storeu_epi32(out + i, mask, result);
    }
}

static void f32_to_f16(size_t n, const float* in, uint16_t* out) {
    for (size_t i = 0; i < n; i += lanes) {
        const __mmask16 mask = first(n - i);
        const __m512 value = _mm512_maskz_loadu_ps(mask, in + i);
        _mm256_mask_storeu_epi16(out + i, mask, _mm512_cvtps_ph(value, to_nearest));
    }
}

static void f16_to_f32(size_t n, const uint16_t* in, float* out) {
    for (size_t i = 0; i < n; i += lanes) {
        const __mmask16 mask = first(n - i);
        const __m256i half = _mm256_maskz_loadu_epi16(mask, in + i);
        _mm512_mask_storeu_ps(out + i, mask, _mm512_cvtph_ps(half));
    }
}

/* rint(value) clamped, and 0 for NaN. */
static inline __m512i nearest_within(__m512 value, __m512 least, __m512 most) {
    const __mmask16 is_number = _mm512_cmp_ps_mask(value, value, _CMP_ORD_Q);
    const __m512 clamped = _mm512_min_ps(_mm512_max_ps(value, least), most);
    return _mm512_maskz_cvtps_epi32(is_number, clamped);
}

static void f32_to_s8(size_t n, const float* in, float scale, int8_t* out) {
    const __m512 least = _mm512_set1_ps(-128);
    const __m512 most = _mm512_set1_ps(127);
    for (size_t i = 0; i < n; i += lanes) {
        const __mmask16 mask = first(n - i);
        const __m512 value =
            _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, in + i), _mm512_set1_ps(scale));
        const __m512i level = nearest_within(value, least, most);
        _mm_mask_storeu_epi8(out + i, mask, _mm512_cvtepi32_epi8(level));
    }
}

static void s8_to_f32(size_t n, const int8_t* in, float scale, float* out) {
    for (size_t i = 0; i < n; i += lanes) {
        const __mmask16 mask = first(n - i);
        const __m512i level = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, in + i));
        _mm512_mask_storeu_ps(out + i, mask,
                              _mm512_mul_ps(_mm512_cvtepi32_ps(level), _mm512_set1_ps(scale)));
    }
}

static void s32_to_s8(size_t n, const int32_t* in, float scale, int32_t zero_point, int8_t* out) {
    const int32_t zero_limit = 1 << 21;
    const __m512 limit = _mm512_set1_ps(0x1p22f);
    const __m512i zero = _mm512_min_epi32(
        _mm512_max_epi32(all_s32(zero_point), all_s32(-zero_limit)), all_s32(zero_limit));
    for (size_t i = 0; i < n; i += lanes) {
        const __mmask16 mask = first(n - i);
        const __m512 value = _mm512_mul_ps(
            _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(mask, in + i)), _mm512_set1_ps(scale));
        const __m512i level =
            nearest_within(value, _mm512_sub_ps(_mm512_setzero_ps(), limit), limit);
        _mm_mask_storeu_epi8(out + i, mask, _mm512_cvtsepi32_epi8(_mm512_add_epi32(level, zero)));
    }
}

void npuenc_convert_init_avx512(npuenc_convert* family) {
    *family = (npuenc_convert){f32_to_bf16, f32_to_bf16x2, bf16_to_f32, f32_to_f16,
                               f16_to_f32,  f32_to_s8,     s8_to_f32,   s32_to_s8};
}
