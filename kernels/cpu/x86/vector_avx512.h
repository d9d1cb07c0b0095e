/* SPDX-License-Identifier: MIT
 *
 * What files of kernels for AVX-512 have in common: sixteen lanes, or those of them that are left.
 */
#ifndef NPUENC_KERNELS_VECTOR_AVX512_H
#define NPUENC_KERNELS_VECTOR_AVX512_H

#include <immintrin.h>
#include <stddef.h>

enum { lanes = 16 };

#define ALWAYS_INLINE inline __attribute__((always_inline))

static inline __mmask16 first(size_t n) {
    return n >= lanes ? (__mmask16)0xffff : (__mmask16)((1u << n) - 1);
}

static inline __m512 all(float value) {
    return _mm512_set1_ps(value);
}

#endif /* NPUENC_KERNELS_VECTOR_AVX512_H */
