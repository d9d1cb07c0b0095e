/* SPDX-License-Identifier: MIT
 *
 * bf16 products for AVX-512, which alone has no arithmetic of bf16: widened to f32 when packed, and
 * multiplied as such.
 */
#include <immintrin.h>
#include <stddef.h>

enum { sizeof_element = 4, shifted_a = 0 };

static inline __m512i multiply_add(__m512i sum, __m512i a, __m512i b) {
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}

#include "kernels/cpu/x86/gemm_avx512.h"

/* Those of sixteen bf16 that the mask has, and zeros. */
static inline __m512i load_wide(__mmask16 mask, const uint16_t* at) {
    return _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, at)), 16);
}

static void pack_a(size_t k, const void* src, void* row) {
    const uint16_t* in = src;
    uint32_t* out = row;
    for (size_t i = 0; i < k; i += lanes) {
        const __mmask16 mask = first(k - i);
        _mm512_mask_storeu_epi32(out + i, mask, load_wide(mask, in + i));
    }
}

/* First a few k of all columns as pairs of bf16; then each pair apart. */
static void pack_b_rows(size_t cols, size_t k, const void* src, size_t ld, void* panel) {
    enum { depth = 64 };
    const __m512i odd = _mm512_set1_epi32(-65536);
    const uint16_t* in = src;
    char* out = panel;
    for (size_t done = 0; done < k; done += depth) {
        const size_t n = k - done < depth ? k - done : depth;
        _Alignas(64) char pairs[depth / 2 * row_of_panel];
        pack_rows(cols, n * sizeof *in, (const char*)(in + done), ld * sizeof *in, pairs);
        for (size_t i = 0; i < n; i++)
            UNROLLED_FOR (size_t v = 0; v < vectors_of_panel; v++, out += vector_bytes) {
                const __m512i pair =
                    _mm512_load_si512(pairs + i / 2 * row_of_panel + v * vector_bytes);
                _mm512_store_si512(out, i % 2 ? _mm512_and_si512(pair, odd)
                                              : _mm512_slli_epi32(pair, 16));
            }
    }
}

static void pack_b_cols(size_t cols, size_t k, const void* src, size_t ld, void* panel) {
    const uint16_t* in = src;
    char* out = panel;
    for (size_t i = 0; i < k; i++, in += ld)
        UNROLLED_FOR (size_t v = 0; v < vectors_of_panel; v++, out += vector_bytes) {
            const __mmask16 mask = of_vector(cols, v);
            _mm512_store_si512(out,
                               mask ? load_wide(mask, in + v * lanes) : _mm512_setzero_si512());
        }
}

void npuenc_gemm_bf16_init_avx512(npuenc_gemm* family) {
    *family = (npuenc_gemm){mr,     nr,          1,           sizeof_element, sizeof_element, 0,
                            pack_a, pack_b_rows, pack_b_cols, multiply_tile,  NULL,           NULL};
}
