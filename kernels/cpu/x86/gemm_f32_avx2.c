/* SPDX-License-Identifier: MIT
 *
 * f32 products for AVX2 with FMA.
 */
#include <immintrin.h>
#include <stddef.h>
#include <string.h>

enum { sizeof_element = 4, shifted_a = 0 };

static inline __m256i multiply_add(__m256i sum, __m256i a, __m256i b) {
    return _mm256_castps_si256(
        _mm256_fmadd_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), _mm256_castsi256_ps(sum)));
}

#include "kernels/cpu/x86/gemm_avx2.h"

static void pack_a(size_t k, const void* src, void* row) {
    memcpy(row, src, k * sizeof_element);
}

static void pack_b_rows(size_t cols, size_t k, const void* src, size_t ld, void* panel) {
    pack_rows(cols, k * sizeof_element, src, ld * sizeof_element, panel);
}

static void pack_b_cols(size_t cols, size_t k, const void* src, size_t ld, void* panel) {
    const float* in = src;
    float* out = panel;
    const __m256i lower = first(cols);
    const __m256i upper = first(cols > lanes ? cols - lanes : 0);
    for (size_t i = 0; i < k; i++, in += ld, out += nr) {
        _mm256_store_ps(out, _mm256_maskload_ps(in, lower));
        _mm256_store_ps(out + lanes,
                        cols > lanes ? _mm256_maskload_ps(in + lanes, upper) : _mm256_setzero_ps());
    }
}

void npuenc_gemm_f32_init_avx2(npuenc_gemm* family) {
    *family = (npuenc_gemm){mr,     nr,          1,           sizeof_element, sizeof_element, 0,
                            pack_a, pack_b_rows, pack_b_cols, multiply_tile,  NULL,           NULL};
}
