/* SPDX-License-Identifier: MIT
 *
 * What becomes of a tile's sums, for AVX-512. The last columns are a vector under a mask. What
 * differs between instruction sets is how bf16 is made; a file of an instruction set defines it
 * before it includes this:
 *
 *   static inline __m512i bf16_of_two(__m512 lower, __m512 upper);
 */
#ifndef NPUENC_KERNELS_FINISH_SUMS_AVX512_H
#define NPUENC_KERNELS_FINISH_SUMS_AVX512_H

#include <immintrin.h>

#include "kernels/cpu/approximation.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/x86/unroll.h"
#include "kernels/cpu/x86/vector_avx512.h"

enum { to_nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };

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

/* For what is rounded to bf16 afterwards: y times a parabola for each quarter, from k / 4 - 1/8 on,
 * -16 <= k < 16, with the coefficients [k mod 32]. They are those of 1/2 (1 + erf(y / sqrt 2)) at
 * the Chebyshev nodes of the quarter, within 2^-15; in the first and the last one 0 and 1, which is
 * within 2^-12.7. */
static const float gelu_0[32] __attribute__((aligned(64))) = {
    0x1.000000p-1f, 0x1.ff2f48p-2f, 0x1.f99792p-2f, 0x1.eff772p-2f, 0x1.ea1cbcp-2f, 0x1.f3600cp-2f,
    0x1.0a4308p-1f, 0x1.277eb4p-1f, 0x1.4e0f7ap-1f, 0x1.7825e8p-1f, 0x1.9fd19ap-1f, 0x1.c0e064p-1f,
    0x1.d9951ap-1f, 0x1.ea4d48p-1f, 0x1.f49e08p-1f, 0x1.000000p+0f, 0x0.0p+0f,      0x1.63470ep-7f,
    0x1.6c3f1cp-6f, 0x1.5b2b90p-5f, 0x1.33572ap-4f, 0x1.f8fce2p-4f, 0x1.80b99ap-3f, 0x1.0fb432p-2f,
    0x1.63e10cp-2f, 0x1.b10298p-2f, 0x1.eb79f0p-2f, 0x1.064ffap-1f, 0x1.0af1a2p-1f, 0x1.080446p-1f,
    0x1.033438p-1f, 0x1.00685cp-1f,
};
static const float gelu_1[32] __attribute__((aligned(64))) = {
    0x1.97b86cp-2f, 0x1.a3e676p-2f, 0x1.c1dfe2p-2f, 0x1.e124e6p-2f, 0x1.ef1276p-2f, 0x1.df10d8p-2f,
    0x1.af2382p-2f, 0x1.6748e8p-2f, 0x1.14f8fcp-2f, 0x1.8b41b8p-3f, 0x1.055700p-3f, 0x1.40a982p-4f,
    0x1.6d8a74p-5f, 0x1.839a0cp-6f, 0x1.7eb2e8p-7f, 0x0.0p+0f,      0x0.0p+0f,      0x1.602c08p-8f,
    0x1.7eb2e8p-7f, 0x1.839a0cp-6f, 0x1.6d8a74p-5f, 0x1.40a982p-4f, 0x1.055700p-3f, 0x1.8b41b8p-3f,
    0x1.14f8fcp-2f, 0x1.6748e8p-2f, 0x1.af2382p-2f, 0x1.df10d8p-2f, 0x1.ef1276p-2f, 0x1.e124e6p-2f,
    0x1.c1dfe2p-2f, 0x1.a3e676p-2f,
};
static const float gelu_2[32] __attribute__((aligned(64))) = {
    0x1.967460p-49f, -0x1.8ad082p-5f, -0x1.678c66p-4f, -0x1.cd72a2p-4f, -0x1.ee96dcp-4f,
    -0x1.d2ecf4p-4f, -0x1.8d9616p-4f, -0x1.353c6ep-4f, -0x1.bab972p-5f, -0x1.2519c6p-5f,
    -0x1.681e26p-6f, -0x1.9b8b68p-7f, -0x1.b638e0p-8f, -0x1.b35dbcp-9f, -0x1.93f7c4p-10f,
    0x0.0p+0f,       0x0.0p+0f,       0x1.5e5ea8p-11f, 0x1.93f7c4p-10f, 0x1.b35dbcp-9f,
    0x1.b638e0p-8f,  0x1.9b8b68p-7f,  0x1.681e26p-6f,  0x1.2519c6p-5f,  0x1.bab972p-5f,
    0x1.353c6ep-4f,  0x1.8d9616p-4f,  0x1.d2ecf4p-4f,  0x1.ee96dcp-4f,  0x1.cd72a2p-4f,
    0x1.678c66p-4f,  0x1.8ad082p-5f,
};

static inline __m512 chosen(const float table[32], __m512 k) {
    return _mm512_permutex2var_ps(_mm512_load_ps(table), _mm512_castps_si512(k),
                                  _mm512_load_ps(table + lanes));
}

/* Of a number and a NaN, min and max give the second: NaN passes. */
static inline __m512 gelu_bf16_of(__m512 y) {
    y = _mm512_max_ps(all(-4.1f), y);
    const __m512 within = _mm512_min_ps(all(3.87f), y);
    /* Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits. */
    const __m512 k = _mm512_fmadd_ps(within, all(4), all(0x1.8p23f));
    __m512 h = _mm512_fmadd_ps(chosen(gelu_2, k), within, chosen(gelu_1, k));
    h = _mm512_fmadd_ps(h, within, chosen(gelu_0, k));
    return _mm512_mul_ps(y, h);
}

static inline __m512i f16_of_two(__m512 lower, __m512 upper) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtps_ph(lower, to_nearest)),
                              _mm512_cvtps_ph(upper, to_nearest), 1);
}

/* A row of two vectors, of which `mask` has the columns that are there. */
static ALWAYS_INLINE void store(const npuenc_finish* how, size_t row, size_t col, __mmask32 mask,
                                const __m512 y[2]) {
    const size_t i = row * how->ldy + col;
    switch (how->type) {
    case npuenc_float_f32:
        _mm512_mask_storeu_ps((float*)how->y + i, (__mmask16)mask, y[0]);
        _mm512_mask_storeu_ps((float*)how->y + i + lanes, (__mmask16)(mask >> lanes), y[1]);
        break;
    case npuenc_float_bf16:
        _mm512_mask_storeu_epi16((uint16_t*)how->y + i, mask, bf16_of_two(y[0], y[1]));
        break;
    case npuenc_float_f16:
        _mm512_mask_storeu_epi16((uint16_t*)how->y + i, mask, f16_of_two(y[0], y[1]));
        break;
    }
}

static ALWAYS_INLINE __m512 part(const float* x, __mmask32 mask, size_t v) {
    return _mm512_maskz_loadu_ps((__mmask16)(mask >> v * lanes), x + v * lanes);
}

/* Two vectors of each row. `of_s32` and `gelu` are constants wherever this is expanded; `how` is
 * what no store can change. */
static ALWAYS_INLINE void finish_cols(int of_s32, npuenc_gelu gelu, size_t rows, __mmask32 mask,
                                      size_t col, const float* sums, size_t ld,
                                      const npuenc_finish* how) {
    __m512 col_scale[2], bias[2];
    UNROLLED_FOR (size_t v = 0; v < 2; v++) {
        col_scale[v] = how->col_scale ? part(how->col_scale + col, mask, v) : all(1);
        bias[v] = how->bias ? part(how->bias + col, mask, v) : all(0);
    }
    for (size_t row = 0; row < rows; row++, sums += ld) {
        const __m512 row_scale = all(how->row_scale ? how->row_scale[row] : 1);
        __m512 y[2];
        UNROLLED_FOR (size_t v = 0; v < 2; v++) {
            y[v] = part(sums, mask, v);
            if (of_s32)
                y[v] = _mm512_cvtepi32_ps(_mm512_castps_si512(y[v]));
            y[v] = _mm512_fmadd_ps(_mm512_mul_ps(y[v], row_scale), col_scale[v], bias[v]);
            if (gelu == npuenc_gelu_f32)
                y[v] = gelu_of(y[v]);
            if (gelu == npuenc_gelu_bf16)
                y[v] = gelu_bf16_of(y[v]);
        }
        if (how->addend)
            UNROLLED_FOR (size_t v = 0; v < 2; v++)
                y[v] = _mm512_add_ps(y[v], part(how->addend + row * how->ld_addend + col, mask, v));
        store(how, row, col, mask, y);
    }
}

static ALWAYS_INLINE void finish(int of_s32, npuenc_gelu gelu, size_t rows, size_t cols,
                                 const void* sums, size_t ld, const npuenc_finish* how) {
    const npuenc_finish mine = *how;
    const float* at = sums;
    size_t col = 0;
    for (; col + 2 * lanes <= cols; col += 2 * lanes)
        finish_cols(of_s32, gelu, rows, ~(__mmask32)0, col, at + col, ld, &mine);
    if (col < cols) {
        const __mmask32 mask = ((__mmask32)1 << (cols - col)) - 1;
        finish_cols(of_s32, gelu, rows, mask, col, at + col, ld, &mine);
    }
}

#include "kernels/cpu/x86/finish_sums.h"

#endif /* NPUENC_KERNELS_FINISH_SUMS_AVX512_H */
