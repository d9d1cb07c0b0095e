/* SPDX-License-Identifier: MIT
 *
 * Results of the NPU out of their order, for AVX2: a row of eight values is a vector.
 */
#include <immintrin.h>

#include "kernels/cpu/isa.h"

enum {
    rows = npuenc_unpacked_rows,
    cols = npuenc_unpacked_cols,
    width = npuenc_unpacked_width,
    strip = rows * width
};

static void s32(const int32_t* packed, int32_t* c, size_t ldc) {
    for (size_t col = 0; col < cols; col += width)
        for (size_t row = 0; row < rows; row++, packed += width)
            _mm256_storeu_si256((__m256i*)(void*)(c + row * ldc + col),
                                _mm256_loadu_si256((const __m256i*)(const void*)packed));
}

static void s16(const int16_t* packed, int32_t* c, size_t ldc) {
    for (size_t col = 0; col < cols; col += width)
        for (size_t row = 0; row < rows; row++, packed += width) {
            const __m128i eight = _mm_loadu_si128((const __m128i*)(const void*)packed);
            _mm256_storeu_si256((__m256i*)(void*)(c + row * ldc + col),
                                _mm256_cvtepi16_epi32(eight));
        }
}

/* The two halves of a vector lie apart. */
static void f32(const float* packed, float* c, size_t ldc) {
    enum { half = npuenc_unpacked_width_bf16, apart = rows * half };
    for (size_t col = 0; col < cols; col += width, packed += strip)
        for (size_t row = 0; row < rows; row++) {
            const float* left = packed + row * half;
            _mm256_storeu_ps(c + row * ldc + col, _mm256_loadu2_m128(left + apart, left));
        }
}

static void s16_of_bf16(const int16_t* packed, int32_t* c, size_t ldc) {
    enum { half = npuenc_unpacked_width_bf16, apart = rows * half };
    for (size_t col = 0; col < cols; col += width, packed += strip)
        for (size_t row = 0; row < rows; row++) {
            const int16_t* left = packed + row * half;
            const __m128i eight =
                _mm_unpacklo_epi64(_mm_loadu_si64(left), _mm_loadu_si64(left + apart));
            _mm256_storeu_si256((__m256i*)(void*)(c + row * ldc + col),
                                _mm256_cvtepi16_epi32(eight));
        }
}

void npuenc_unpack_init_avx2(npuenc_unpack* family) {
    family->s32 = s32;
    family->s16 = s16;
    family->f32 = f32;
    family->s16_of_bf16 = s16_of_bf16;
}
