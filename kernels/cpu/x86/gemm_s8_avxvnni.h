/* SPDX-License-Identifier: MIT
 *
 * Products of bytes for AVX2 with AVX-VNNI, whose instruction multiplies unsigned by signed: rows
 * of A that are signed are shifted, to a + 128, and sums then begin at -128 times the sum of their
 * column of B. A file says whether they are before it includes this:
 *
 *   enum { shifted_a };
 */
#ifndef NPUENC_KERNELS_GEMM_S8_AVXVNNI_H
#define NPUENC_KERNELS_GEMM_S8_AVXVNNI_H

#include <immintrin.h>
#include <stddef.h>
#include <string.h>

enum { sizeof_element = 1 };

/* As _mm256_dpbusd_avx_epi32, around which GCC 12 copies every sum, at half the speed. The encoding
 * is said, since assemblers take that of AVX-512 where both would do. */
static inline __m256i multiply_add(__m256i sum, __m256i a, __m256i b) {
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
    return sum;
}

#include "kernels/cpu/x86/gemm_avx2.h"

static void pack_a(size_t k, const void* src, void* row) {
    const char* in = src;
    char* out = row;
    const __m256i sign = _mm256_set1_epi8(shifted_a ? -128 : 0);
    size_t i = 0;
    for (; i + vector_bytes <= k; i += vector_bytes) {
        const __m256i bytes = _mm256_loadu_si256((const __m256i*)(const void*)(in + i));
        _mm256_storeu_si256((__m256i*)(void*)(out + i), _mm256_xor_si256(bytes, sign));
    }
    if (i < k) { /* up to the end of a group, where B is 0 */
        const size_t rest = k - i, padded = (rest + group_bytes - 1) / group_bytes * group_bytes;
        char bytes[vector_bytes] = {0};
        memcpy(bytes, in + i, rest);
        __m256i v = _mm256_loadu_si256((const __m256i*)(const void*)bytes);
        _mm256_storeu_si256((__m256i*)(void*)bytes, _mm256_xor_si256(v, sign));
        memcpy(out + i, bytes, padded);
    }
}

static void append_start(size_t k, void* panel) {
    if (!shifted_a)
        return;
    const __m256i ones = _mm256_set1_epi8(1);
    __m256i sum[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    char* at = panel;
    for (size_t i = 0; i < k; i += group_bytes, at += 2 * vector_bytes)
        UNROLLED_FOR (size_t v = 0; v < 2; v++) {
            const char* group = at + v * vector_bytes;
            sum[v] =
                multiply_add(sum[v], ones, _mm256_load_si256((const __m256i*)(const void*)group));
        }
    UNROLLED_FOR (size_t v = 0; v < 2; v++)
        _mm256_store_si256((__m256i*)(void*)(at + v * vector_bytes),
                           _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_slli_epi32(sum[v], 7)));
}

static void pack_b_rows(size_t cols, size_t k, const void* src, size_t ld, void* panel) {
    pack_rows(cols, k, src, ld, panel);
    append_start(k, panel);
}

/* Four rows of B become one of groups. */
static void pack_b_cols(size_t cols, size_t k, const void* src, size_t ld, void* panel) {
    const int8_t* in = src;
    char* out = panel;
    for (size_t i = 0; i < k; i += 4, in += 4 * ld, out += 2 * vector_bytes) {
        __m128i row[4];
        UNROLLED_FOR (size_t j = 0; j < 4; j++)
            row[j] = i + j < k ? load_some(in + j * ld, cols) : _mm_setzero_si128();
        const __m128i low01 = _mm_unpacklo_epi8(row[0], row[1]);
        const __m128i high01 = _mm_unpackhi_epi8(row[0], row[1]);
        const __m128i low23 = _mm_unpacklo_epi8(row[2], row[3]);
        const __m128i high23 = _mm_unpackhi_epi8(row[2], row[3]);
        __m128i* four = (__m128i*)(void*)out; /* columns of each */
        _mm_store_si128(four, _mm_unpacklo_epi16(low01, low23));
        _mm_store_si128(four + 1, _mm_unpackhi_epi16(low01, low23));
        _mm_store_si128(four + 2, _mm_unpacklo_epi16(high01, high23));
        _mm_store_si128(four + 3, _mm_unpackhi_epi16(high01, high23));
    }
    append_start(k, panel);
}

#endif /* NPUENC_KERNELS_GEMM_S8_AVXVNNI_H */
