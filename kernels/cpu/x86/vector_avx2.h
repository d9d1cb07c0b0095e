/* SPDX-License-Identifier: MIT
 *
 * What files of kernels for AVX2 have in common: eight f32, or those of them that are left.
 */
#ifndef NPUENC_KERNELS_VECTOR_AVX2_H
#define NPUENC_KERNELS_VECTOR_AVX2_H

#include <immintrin.h>
#include <stddef.h>

enum { lanes = 8 };

#define ALWAYS_INLINE inline __attribute__((always_inline))

static inline __m256i first(size_t n) {
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < lanes ? (int)n : lanes), index);
}

/* Up to a vector from or to a row that has `left` elements left; zeros beyond. */
static inline __m256 load(const float* x, size_t left) {
    return left >= lanes ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, first(left));
}

static inline void store(float* x, size_t left, __m256 v) {
    if (left >= lanes)
        _mm256_storeu_ps(x, v);
    else
        _mm256_maskstore_ps(x, first(left), v);
}

static inline __m256 all(float value) {
    return _mm256_set1_ps(value);
}

static inline float sum_of(__m256 v) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

static inline float greatest_of(__m256 v) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

#endif /* NPUENC_KERNELS_VECTOR_AVX2_H */
