/* SPDX-License-Identifier: MIT
 *
 * Products of u8 by s8 for AVX-512 with VNNI.
 */
enum { shifted_a = 0 };

#include "kernels/cpu/x86/gemm_s8_avx512vnni.h"

void npuenc_gemm_u8_init_avx512vnni(npuenc_gemm* family) {
    *family =
        (npuenc_gemm){mr,     nr,          k_group,     sizeof_element, sizeof_element, shifted_a,
                      pack_a, pack_b_rows, pack_b_cols, multiply_tile,  NULL,           NULL};
}
