/* SPDX-License-Identifier: MIT
 *
 * s8 products for AVX2: widened to s16 when packed, whose instruction adds two products in 32 bits.
 * That is exact for all values; multiplying bytes would saturate at 16 bits.
 */
#include <immintrin.h>
#include <stddef.h>
#include <string.h>

enum { sizeof_element = 2, shifted_a = 0 };

static inline __m256i multiply_add(__m256i sum, __m256i a, __m256i b) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}

#include "kernels/cpu/x86/gemm_avx2.h"

static void pack_a(size_t k, const void* src, void* row) {
    const int8_t* in = src;
    int16_t* out = row;
    size_t i = 0;
    for (; i + 16 <= k; i += 16) {
        const __m128i bytes = _mm_loadu_si128((const __m128i*)(const void*)(in + i));
        _mm256_storeu_si256((__m256i*)(void*)(out + i), _mm256_cvtepi8_epi16(bytes));
    }
    for (; i < k; i++)
        out[i] = in[i];
    if (k % 2)
        out[k] = 0;
}

/* First a few k of all columns in groups of four s8; then the pairs of a group apart. */
static void pack_b_rows(size_t cols, size_t k, const void* src, size_t ld, void* panel) {
    enum { depth = 128 };
    /* Bytes 0 and 1, or 2 and 3, of a group become the upper halves of words. */
    const __m256i first_pair =
        _mm256_set_epi8(13, -1, 12, -1, 9, -1, 8, -1, 5, -1, 4, -1, 1, -1, 0, -1, 13, -1, 12, -1, 9,
                        -1, 8, -1, 5, -1, 4, -1, 1, -1, 0, -1);
    const __m256i second_pair =
        _mm256_set_epi8(15, -1, 14, -1, 11, -1, 10, -1, 7, -1, 6, -1, 3, -1, 2, -1, 15, -1, 14, -1,
                        11, -1, 10, -1, 7, -1, 6, -1, 3, -1, 2, -1);
    const char* in = src;
    char* out = panel;
    for (size_t done = 0; done < k; done += depth) {
        const size_t n = k - done < depth ? k - done : depth;
        _Alignas(64) char groups[depth / group_bytes * 2 * vector_bytes];
        pack_rows(cols, n, in + done, ld, groups);
        for (size_t i = 0; i < n; i += 2)
            UNROLLED_FOR (size_t v = 0; v < 2; v++, out += vector_bytes) {
                const char* at = groups + (i / 4 * 2 + v) * vector_bytes;
                const __m256i group = _mm256_load_si256((const __m256i*)(const void*)at);
                const __m256i pair = _mm256_shuffle_epi8(group, i % 4 ? second_pair : first_pair);
                _mm256_store_si256((__m256i*)(void*)out, _mm256_srai_epi16(pair, 8));
            }
    }
}

/* Two rows of B become one of pairs. */
static void pack_b_cols(size_t cols, size_t k, const void* src, size_t ld, void* panel) {
    const int8_t* in = src;
    char* out = panel;
    for (size_t i = 0; i < k; i += 2, in += 2 * ld, out += 2 * vector_bytes) {
        const __m128i even = load_some(in, cols);
        const __m128i odd = i + 1 < k ? load_some(in + ld, cols) : _mm_setzero_si128();
        _mm256_store_si256((__m256i*)(void*)out,
                           _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(even, odd)));
        _mm256_store_si256((__m256i*)(void*)(out + vector_bytes),
                           _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(even, odd)));
    }
}

void npuenc_gemm_s8_init_avx2(npuenc_gemm* family) {
    *family = (npuenc_gemm){mr,     nr,          2,           sizeof_element, sizeof_element, 0,
                            pack_a, pack_b_rows, pack_b_cols, multiply_tile,  NULL,           NULL};
}
