/* SPDX-License-Identifier: MIT
 *
 * bf16 products for AVX2 with FMA, which has no arithmetic of bf16: widened to f32 when packed, and
 * multiplied as such.
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

static inline __m256i widen(__m128i eight) {
    return _mm256_slli_epi32(_mm256_cvtepu16_epi32(eight), 16);
}

static void pack_a(size_t k, const void* src, void* row) {
    const uint16_t* in = src;
    uint32_t* out = row;
    size_t i = 0;
    for (; i + lanes <= k; i += lanes)
        _mm256_storeu_si256((__m256i*)(void*)(out + i),
                            widen(_mm_loadu_si128((const __m128i*)(const void*)(in + i))));
    for (; i < k; i++)
        out[i] = (uint32_t)in[i] << 16;
}

/* First a few k of all columns as pairs of bf16; then each pair apart. */
static void pack_b_rows(size_t cols, size_t k, const void* src, size_t ld, void* panel) {
    enum { depth = 64 };
    const __m256i odd = _mm256_set1_epi32(-65536);
    const uint16_t* in = src;
    char* out = panel;
    for (size_t done = 0; done < k; done += depth) {
        const size_t n = k - done < depth ? k - done : depth;
        _Alignas(64) char pairs[depth / 2 * 2 * vector_bytes];
        pack_rows(cols, n * sizeof *in, (const char*)(in + done), ld * sizeof *in, pairs);
        for (size_t i = 0; i < n; i++)
            UNROLLED_FOR (size_t v = 0; v < 2; v++, out += vector_bytes) {
                const char* at = pairs + (i / 2 * 2 + v) * vector_bytes;
                const __m256i pair = _mm256_load_si256((const __m256i*)(const void*)at);
                _mm256_store_si256((__m256i*)(void*)out, i % 2 ? _mm256_and_si256(pair, odd)
                                                               : _mm256_slli_epi32(pair, 16));
            }
    }
}

static void pack_b_cols(size_t cols, size_t k, const void* src, size_t ld, void* panel) {
    const uint16_t* in = src;
    char* out = panel;
    const size_t lower = (cols < lanes ? cols : lanes) * sizeof *in;
    const size_t upper = cols > lanes ? (cols - lanes) * sizeof *in : 0;
    for (size_t i = 0; i < k; i++, in += ld, out += 2 * vector_bytes) {
        _mm256_store_si256((__m256i*)(void*)out, widen(load_some(in, lower)));
        _mm256_store_si256((__m256i*)(void*)(out + vector_bytes),
                           upper ? widen(load_some(in + lanes, upper)) : _mm256_setzero_si256());
    }
}

void npuenc_gemm_bf16_init_avx2(npuenc_gemm* family) {
    *family = (npuenc_gemm){mr,     nr,          1,           sizeof_element, sizeof_element, 0,
                            pack_a, pack_b_rows, pack_b_cols, multiply_tile,  NULL,           NULL};
}
