/* SPDX-License-Identifier: MIT
 *
 * s8 products for AMX.
 */
#include <immintrin.h>
#include <stddef.h>

enum { sizeof_element = 1, shifted_a = 0, k_group = 64, parts = 1 };

#define MULTIPLY "tdpbssd"

#include "kernels/cpu/x86/gemm_amx.h"
#include "kernels/cpu/x86/pack_s8_avx512.h"

void npuenc_gemm_s8_init_amx(npuenc_gemm* family) {
    *family =
        (npuenc_gemm){mr,     nr,          k_group,     sizeof_element, sizeof_element, shifted_a,
                      pack_a, pack_b_rows, pack_b_cols, multiply_tile,  begin,          end};
}
