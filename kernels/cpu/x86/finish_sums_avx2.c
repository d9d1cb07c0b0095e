/* SPDX-License-Identifier: MIT
 *
 * What becomes of a tile's sums, for AVX2 with FMA and F16C. The last columns are a vector under a
 * mask; only there are the loads and stores masked, since masked stores are slow on some CPUs.
 */
#include <immintrin.h>
#include <string.h>

#include "kernels/cpu/approximation.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/x86/vector_avx2.h"

enum { to_nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };

/* y (1/2 + h). Of a number and a NaN, min and max give the second: NaN passes. */
static inline __m256 gelu_with(__m256 y, __m256 h) {
    h = _mm256_min_ps(all(0.5f), h);
    h = _mm256_max_ps(all(-0.5f), h);
    return _mm256_mul_ps(_mm256_max_ps(all(npuenc_gelu_least), y), _mm256_add_ps(h, all(0.5f)));
}

static inline __m256 gelu_of(__m256 y) {
    const __m256 u = _mm256_fmadd_ps(_mm256_mul_ps(y, y), all(npuenc_gelu_inverse_13), all(-1));
    __m256 h = all(npuenc_gelu_12);
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_11));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_10));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_9));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_8));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_7));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_6));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_5));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_4));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_3));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_2));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_1));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_0));
    return gelu_with(y, _mm256_mul_ps(h, y));
}

static inline __m256 gelu_bf16_of(__m256 y) {
    const __m256 u = _mm256_fmadd_ps(_mm256_mul_ps(y, y), all(npuenc_gelu_bf16_factor), all(-1));
    __m256 h = all(npuenc_gelu_bf16_6);
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_bf16_5));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_bf16_4));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_bf16_3));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_bf16_2));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_bf16_1));
    h = _mm256_fmadd_ps(h, u, all(npuenc_gelu_bf16_0));
    return gelu_with(y, _mm256_mul_ps(h, y));
}

static inline __m128i bf16_of(__m256 value) {
    const __m256i bits = _mm256_castps_si256(value);
    const __m256i top = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(top, _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
    const __m256i quiet = _mm256_or_si256(top, _mm256_set1_epi32(0x40));
    const __m256i wide = _mm256_blendv_epi8(_mm256_srli_epi32(up, 16), quiet, is_nan);
    return _mm_packus_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
}

/* There are no masks for 16 bits: the end of a row goes through a vector on the stack. */
static inline void store_16(uint16_t* at, size_t left, __m128i v) {
    uint16_t some[lanes];
    if (left >= lanes) {
        _mm_storeu_si128((__m128i*)(void*)at, v);
    } else {
        _mm_storeu_si128((__m128i*)(void*)some, v);
        memcpy(at, some, left * sizeof *at);
    }
}

static inline void store_row(const npuenc_finish* how, size_t row, size_t col, size_t left,
                             __m256 y) {
    const size_t i = row * how->ldy + col;
    switch (how->type) {
    case npuenc_float_f32:
        if (left >= lanes)
            _mm256_storeu_ps((float*)how->y + i, y);
        else
            _mm256_maskstore_ps((float*)how->y + i, first(left), y);
        break;
    case npuenc_float_bf16:
        store_16((uint16_t*)how->y + i, left, bf16_of(y));
        break;
    case npuenc_float_f16:
        store_16((uint16_t*)how->y + i, left, _mm256_cvtps_ph(y, to_nearest));
        break;
    }
}

/* Up to a vector of columns, from `col` on. `of_s32`, `gelu` and, of a whole vector, `left` are
 * constants wherever this is expanded. */
static ALWAYS_INLINE void finish_columns(int of_s32, npuenc_gelu gelu, size_t rows, size_t col,
                                         size_t left, const float* sums, size_t ld,
                                         const npuenc_finish* how) {
    const __m256 col_scale = how->col_scale ? load(how->col_scale + col, left) : all(1);
    const __m256 bias = how->bias ? load(how->bias + col, left) : all(0);
    for (size_t row = 0; row < rows; row++) {
        __m256 y = load(sums + row * ld + col, left);
        if (of_s32)
            y = _mm256_cvtepi32_ps(_mm256_castps_si256(y));
        if (how->row_scale)
            y = _mm256_mul_ps(y, all(how->row_scale[row]));
        if (how->col_scale)
            y = _mm256_mul_ps(y, col_scale);
        if (how->bias)
            y = _mm256_add_ps(y, bias);
        if (gelu == npuenc_gelu_f32)
            y = gelu_of(y);
        if (gelu == npuenc_gelu_bf16)
            y = gelu_bf16_of(y);
        if (how->addend)
            y = _mm256_add_ps(y, load(how->addend + row * how->ld_addend + col, left));
        store_row(how, row, col, left, y);
    }
}

static ALWAYS_INLINE void finish(int of_s32, npuenc_gelu gelu, size_t rows, size_t cols,
                                 const void* sums, size_t ld, const npuenc_finish* how) {
    const npuenc_finish parts = *how; /* which no store to y can change */
    size_t col = 0;
    for (; col + lanes <= cols; col += lanes)
        finish_columns(of_s32, gelu, rows, col, lanes, sums, ld, &parts);
    if (col < cols)
        finish_columns(of_s32, gelu, rows, col, cols - col, sums, ld, &parts);
}

#include "kernels/cpu/x86/finish_sums.h"

void npuenc_finish_sums_init_avx2(npuenc_finish_sums* family) {
    *family = (npuenc_finish_sums){finish_f32, finish_s32};
}
