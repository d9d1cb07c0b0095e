/* SPDX-License-Identifier: MIT
 *
 * The init of each family for each instruction set: it overwrites the entries of the family that
 * the instruction set does better, and leaves the others. Only cpu.c calls these.
 */
#ifndef NPUENC_KERNELS_ISA_H
#define NPUENC_KERNELS_ISA_H

#include "kernels/cpu/kernels.h"

void npuenc_gemm_f32_init_reference(npuenc_gemm* family);
void npuenc_gemm_bf16_init_reference(npuenc_gemm* family);
void npuenc_gemm_bf16x2_init_reference(npuenc_gemm* family);
void npuenc_gemm_s8_init_reference(npuenc_gemm* family);
void npuenc_finish_sums_init_reference(npuenc_finish_sums* family);
void npuenc_softmax_init_reference(npuenc_softmax* family);
void npuenc_rows_init_reference(npuenc_rows* family);
void npuenc_convert_init_reference(npuenc_convert* family);
void npuenc_unpack_init_reference(npuenc_unpack* family);

#if defined(__x86_64__)
void npuenc_gemm_f32_init_avx2(npuenc_gemm* family);
void npuenc_gemm_bf16_init_avx2(npuenc_gemm* family);
void npuenc_gemm_s8_init_avx2(npuenc_gemm* family);
void npuenc_finish_sums_init_avx2(npuenc_finish_sums* family);
void npuenc_softmax_init_avx2(npuenc_softmax* family);
void npuenc_rows_init_avx2(npuenc_rows* family);
void npuenc_convert_init_avx2(npuenc_convert* family);
void npuenc_unpack_init_avx2(npuenc_unpack* family);

void npuenc_gemm_s8_init_avxvnni(npuenc_gemm* family);
void npuenc_gemm_u8_init_avxvnni(npuenc_gemm* family);

void npuenc_gemm_f32_init_avx512(npuenc_gemm* family);
void npuenc_gemm_bf16_init_avx512(npuenc_gemm* family);
void npuenc_finish_sums_init_avx512(npuenc_finish_sums* family);
void npuenc_softmax_init_avx512(npuenc_softmax* family);
void npuenc_rows_init_avx512(npuenc_rows* family);
void npuenc_convert_init_avx512(npuenc_convert* family);

void npuenc_gemm_s8_init_avx512vnni(npuenc_gemm* family);
void npuenc_gemm_u8_init_avx512vnni(npuenc_gemm* family);

void npuenc_gemm_bf16_init_avx512bf16(npuenc_gemm* family);
void npuenc_finish_sums_init_avx512bf16(npuenc_finish_sums* family);
void npuenc_softmax_init_avx512bf16(npuenc_softmax* family);

void npuenc_gemm_bf16_init_amx(npuenc_gemm* family);
void npuenc_gemm_bf16x2_init_amx(npuenc_gemm* family);
void npuenc_gemm_s8_init_amx(npuenc_gemm* family);
void npuenc_gemm_u8_init_amx(npuenc_gemm* family);
#endif

#endif /* NPUENC_KERNELS_ISA_H */
