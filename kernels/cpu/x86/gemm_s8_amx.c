/* SPDX-License-Identifier: MIT
 *
 * s8 products for AMX, by the instruction that multiplies unsigned by signed: the rows of A that
 * are unsigned by themselves, probabilities, need it.
 */
#include <immintrin.h>
#include <stddef.h>

enum { sizeof_element = 1, unsigned_a = 1, k_group = 64, parts = 1 };

#define MULTIPLY "tdpbusd"

#include "kernels/cpu/x86/gemm_amx.h"
#include "kernels/cpu/x86/pack_s8_avx512.h"

void npuenc_gemm_s8_init_amx(npuenc_gemm* family) {
    *family = (npuenc_gemm){mr,     nr,          k_group,     sizeof_element, sizeof_element, 1,
                            pack_a, pack_b_rows, pack_b_cols, multiply_tile,  begin,          end};
}
