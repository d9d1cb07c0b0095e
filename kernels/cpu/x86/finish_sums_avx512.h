/* SPDX-License-Identifier: MIT
 *
 * What becomes of a tile's sums, for AVX-512. The last columns are a vector under a mask. What
 * differs between instruction sets is how bf16 is made; a file of an instruction set defines it
 * before it includes this:
 *
 *   static inline __m256i bf16_of(__m512 value);
 */
#ifndef NPUENC_KERNELS_FINISH_SUMS_AVX512_H
#define NPUENC_KERNELS_FINISH_SUMS_AVX512_H

#include <immintrin.h>

#include "kernels/cpu/approximation.h"
#include "kernels/cpu/isa.h"

enum { lanes = 16, to_nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };

#define ALWAYS_INLINE inline __attribute__((always_inline))

static inline __mmask16 first(size_t n) {
    return n >= lanes ? (__mmask16)0xffff : (__mmask16)((1u << n) - 1);
}

static inline __m512 all(float value) {
    return _mm512_set1_ps(value);
}

/* y (1/2 + h). Of a number and a NaN, min and max give the second: NaN passes. */
static inline __m512 gelu_with(__m512 y, __m512 h) {
    h = _mm512_min_ps(all(0.5f), h);
    h = _mm512_max_ps(all(-0.5f), h);
    return _mm512_mul_ps(_mm512_max_ps(all(npuenc_gelu_least), y), _mm512_add_ps(h, all(0.5f)));
}

static inline __m512 gelu_of(__m512 y) {
    const __m512 u = _mm512_fmadd_ps(_mm512_mul_ps(y, y), all(npuenc_gelu_inverse_13), all(-1));
    __m512 h = all(npuenc_gelu_12);
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_11));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_10));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_9));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_8));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_7));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_6));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_5));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_4));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_3));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_2));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_1));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_0));
    return gelu_with(y, _mm512_mul_ps(h, y));
}

static inline __m512 gelu_bf16_of(__m512 y) {
    const __m512 u = _mm512_fmadd_ps(_mm512_mul_ps(y, y), all(npuenc_gelu_bf16_factor), all(-1));
    __m512 h = all(npuenc_gelu_bf16_6);
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_bf16_5));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_bf16_4));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_bf16_3));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_bf16_2));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_bf16_1));
    h = _mm512_fmadd_ps(h, u, all(npuenc_gelu_bf16_0));
    return gelu_with(y, _mm512_mul_ps(h, y));
}

static inline void store(const npuenc_finish* how, size_t row, size_t col, __mmask16 mask,
                         __m512 y) {
    const size_t i = row * how->ldy + col;
    switch (how->type) {
    case npuenc_float_f32:
        _mm512_mask_storeu_ps((float*)how->y + i, mask, y);
        break;
    case npuenc_float_bf16:
        _mm256_mask_storeu_epi16((uint16_t*)how->y + i, mask, bf16_of(y));
        break;
    case npuenc_float_f16:
        _mm256_mask_storeu_epi16((uint16_t*)how->y + i, mask, _mm512_cvtps_ph(y, to_nearest));
        break;
    }
}

/* `of_s32` and `gelu` are constants wherever this is expanded. */
static ALWAYS_INLINE void finish(int of_s32, npuenc_gelu gelu, size_t rows, size_t cols,
                                 const void* sums, size_t ld, const npuenc_finish* how) {
    for (size_t col = 0; col < cols; col += lanes) {
        const __mmask16 mask = first(cols - col);
        const __m512 col_scale =
            how->col_scale ? _mm512_maskz_loadu_ps(mask, how->col_scale + col) : all(1);
        const __m512 bias = how->bias ? _mm512_maskz_loadu_ps(mask, how->bias + col) : all(0);
        for (size_t row = 0; row < rows; row++) {
            const void* at = (const char*)sums + (row * ld + col) * sizeof(float);
            __m512 y = of_s32 ? _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(mask, at))
                              : _mm512_maskz_loadu_ps(mask, at);
            if (how->row_scale)
                y = _mm512_mul_ps(y, all(how->row_scale[row]));
            y = _mm512_fmadd_ps(y, col_scale, bias);
            if (gelu == npuenc_gelu_f32)
                y = gelu_of(y);
            if (gelu == npuenc_gelu_bf16)
                y = gelu_bf16_of(y);
            if (how->addend) {
                const float* addend = how->addend + row * how->ld_addend + col;
                y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(mask, addend));
            }
            store(how, row, col, mask, y);
        }
    }
}

static void finish_f32(size_t rows, size_t cols, const float* sums, size_t ld,
                       const npuenc_finish* how) {
    switch (how->gelu) {
    case npuenc_gelu_none:
        finish(0, npuenc_gelu_none, rows, cols, sums, ld, how);
        break;
    case npuenc_gelu_f32:
        finish(0, npuenc_gelu_f32, rows, cols, sums, ld, how);
        break;
    case npuenc_gelu_bf16:
        finish(0, npuenc_gelu_bf16, rows, cols, sums, ld, how);
        break;
    }
}

static void finish_s32(size_t rows, size_t cols, const int32_t* sums, size_t ld,
                       const npuenc_finish* how) {
    switch (how->gelu) {
    case npuenc_gelu_none:
        finish(1, npuenc_gelu_none, rows, cols, sums, ld, how);
        break;
    case npuenc_gelu_f32:
        finish(1, npuenc_gelu_f32, rows, cols, sums, ld, how);
        break;
    case npuenc_gelu_bf16:
        finish(1, npuenc_gelu_bf16, rows, cols, sums, ld, how);
        break;
    }
}

#endif /* NPUENC_KERNELS_FINISH_SUMS_AVX512_H */
