/* SPDX-License-Identifier: MIT
 *
 * s8 products for AVX2 with AVX-VNNI.
 */
enum { shifted_a = 1 };

#include "kernels/cpu/x86/gemm_s8_avxvnni.h"

void npuenc_gemm_s8_init_avxvnni(npuenc_gemm* family) {
    *family =
        (npuenc_gemm){mr,     nr,          4,           sizeof_element, sizeof_element, shifted_a,
                      pack_a, pack_b_rows, pack_b_cols, multiply_tile,  NULL,           NULL};
}
