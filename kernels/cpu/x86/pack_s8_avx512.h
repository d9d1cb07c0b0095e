/* SPDX-License-Identifier: MIT
 *
 * Packing of bytes for AVX-512. Where an instruction multiplies unsigned by signed, and the rows of
 * A are signed, they are shifted, to a + 128, and sums begin at -128 times the sum of their column
 * of B. A file of an instruction set defines whether that is so, and how many k are a group, a
 * multiple of 4, before it includes this:
 *
 *   enum { k_group = ..., shifted_a = ... };
 */
#ifndef NPUENC_KERNELS_PACK_S8_AVX512_H
#define NPUENC_KERNELS_PACK_S8_AVX512_H

#include "kernels/cpu/x86/pack_avx512.h"

static inline size_t whole_groups(size_t k) {
    return (k + k_group - 1) / k_group * k_group;
}

static void pack_a(size_t k, const void* src, void* row) {
    const int8_t* in = src;
    uint8_t* out = row;
    const __m512i sign = _mm512_set1_epi8(shifted_a ? -128 : 0);
    for (size_t i = 0; i < k; i += vector_bytes) {
        const size_t n = k - i, padded = whole_groups(n);
        const __mmask64 mask = n >= vector_bytes ? ~(__mmask64)0 : ((__mmask64)1 << n) - 1;
        const __mmask64 whole =
            padded >= vector_bytes ? ~(__mmask64)0 : ((__mmask64)1 << padded) - 1;
        _mm512_mask_storeu_epi8(out + i, whole,
                                _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, in + i), sign));
    }
}

static void append_start(size_t k, void* panel) {
    if (!shifted_a)
        return;
    const __m512i ones = _mm512_set1_epi8(1);
    __m512i sum[vectors_of_panel];
    UNROLLED_FOR (size_t v = 0; v < vectors_of_panel; v++)
        sum[v] = _mm512_setzero_si512();
    char* at = panel;
    for (size_t i = 0; i < whole_groups(k); i += group_bytes, at += row_of_panel)
        UNROLLED_FOR (size_t v = 0; v < vectors_of_panel; v++)
            sum[v] = _mm512_dpbusd_epi32(sum[v], ones, _mm512_load_si512(at + v * vector_bytes));
    UNROLLED_FOR (size_t v = 0; v < vectors_of_panel; v++)
        _mm512_store_si512(at + v * vector_bytes,
                           _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(sum[v], 7)));
}

static void pack_b_rows(size_t cols, size_t k, const void* src, size_t ld, void* panel) {
    pack_rows(cols, k, src, ld, panel);
    const size_t written = (k + group_bytes - 1) / group_bytes * group_bytes;
    memset((char*)panel + written * nr, 0, (whole_groups(k) - written) * nr);
    append_start(k, panel);
}

/* Four rows of B become one of groups, in a range of up to 32 columns. */
static ALWAYS_INLINE void pack_range(size_t cols, size_t k, const int8_t* in, size_t ld,
                                     char* out) {
    const __mmask32 mask = first_32(cols);
    for (size_t i = 0; i < whole_groups(k); i += 4, in += 4 * ld, out += row_of_panel) {
        __m256i row[4];
        UNROLLED_FOR (size_t j = 0; j < 4; j++)
            row[j] =
                i + j < k ? _mm256_maskz_loadu_epi8(mask, in + j * ld) : _mm256_setzero_si256();
        const __m256i low01 = _mm256_unpacklo_epi8(row[0], row[1]);
        const __m256i high01 = _mm256_unpackhi_epi8(row[0], row[1]);
        const __m256i low23 = _mm256_unpacklo_epi8(row[2], row[3]);
        const __m256i high23 = _mm256_unpackhi_epi8(row[2], row[3]);
        /* Each has four columns of the first sixteen and four of the others. */
        const __m256i part[4] = {
            _mm256_unpacklo_epi16(low01, low23), _mm256_unpackhi_epi16(low01, low23),
            _mm256_unpacklo_epi16(high01, high23), _mm256_unpackhi_epi16(high01, high23)};
        UNROLLED_FOR (size_t j = 0; j < 4; j++) {
            _mm_store_si128((__m128i*)(out + 16 * j), _mm256_castsi256_si128(part[j]));
            _mm_store_si128((__m128i*)(out + vector_bytes + 16 * j),
                            _mm256_extracti128_si256(part[j], 1));
        }
    }
}

static void pack_b_cols(size_t cols, size_t k, const void* src, size_t ld, void* panel) {
    const int8_t* in = src;
    char* out = panel;
    for (size_t col = 0; col < nr; col += range)
        pack_range(cols > col ? cols - col : 0, k, cols > col ? in + col : in, ld,
                   out + col * group_bytes);
    append_start(k, panel);
}

#endif /* NPUENC_KERNELS_PACK_S8_AVX512_H */
