/* SPDX-License-Identifier: MIT
 *
 * Products of pairs of bf16 for AMX: a group is 32 high parts, then as many low ones.
 */
#include <immintrin.h>
#include <stddef.h>

enum { sizeof_element = 4, shifted_a = 0, k_group = 32, parts = 2 };

#define MULTIPLY "tdpbf16ps"

#include "kernels/cpu/x86/gemm_amx.h"

/* The high and the low parts of up to a group; zeros behind them. */
static ALWAYS_INLINE void split_group(size_t n, const float* in, void* high, void* low) {
    const size_t second = n > lanes ? n - lanes : 0;
    const __m512 a = _mm512_maskz_loadu_ps(first(n), in);
    const __m512 b = _mm512_maskz_loadu_ps(first(second), second ? in + lanes : in);
    const __m512i rounded = (__m512i)_mm512_cvtne2ps_pbh(b, a);
    const __m512i high_a = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(rounded));
    const __m512i high_b = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(rounded, 1));
    const __m512 rest_a = _mm512_sub_ps(a, _mm512_castsi512_ps(_mm512_slli_epi32(high_a, 16)));
    const __m512 rest_b = _mm512_sub_ps(b, _mm512_castsi512_ps(_mm512_slli_epi32(high_b, 16)));
    _mm512_storeu_si512(high, rounded);
    _mm512_storeu_si512(low, (__m512i)_mm512_cvtne2ps_pbh(rest_b, rest_a));
}

static void pack_a(size_t k, const void* src, void* row) {
    const float* in = src;
    char* out = row;
    for (size_t i = 0; i < k; i += k_group, out += parts * tile_bytes)
        split_group(k - i, in + i, out, out + tile_bytes);
}

static void pack_b_rows(size_t cols, size_t k, const void* src, size_t ld, void* panel) {
    const float* in = src;
    char* out = panel;
    for (size_t i = 0; i < k; i += k_group, out += parts * group_of_panel) {
        _Alignas(64) char high[nr * tile_bytes], low[nr * tile_bytes];
        for (size_t j = 0; j < cols; j++)
            split_group(k - i, in + j * ld + i, high + j * tile_bytes, low + j * tile_bytes);
        pack_rows(cols, tile_bytes, high, tile_bytes, out);
        pack_rows(cols, tile_bytes, low, tile_bytes, out + group_of_panel);
    }
}

void npuenc_gemm_bf16x2_init_amx(npuenc_gemm* family) {
    *family = (npuenc_gemm){mr,     nr,          k_group, sizeof_element, sizeof_element, 0,
                            pack_a, pack_b_rows, NULL,    multiply_tile,  begin,          end};
}
