/* SPDX-License-Identifier: MIT
 *
 * The CPU micro-kernels: a table of function pointers per family.
 *
 * npuenc_kernels_init fills every entry with the plain C of reference/, then lets each instruction
 * set that the CPU has overwrite what it does better, lowest first. x86/FAMILY_ISA.c holds the
 * kernels of one family for one instruction set, in plain C with intrinsics; only such files are
 * compiled with the instruction set, and all their functions are static but the one that fills the
 * family in, npuenc_FAMILY_init_ISA.
 *
 * Nothing here allocates, locks, or fails. Pointers need no alignment but their type's, except
 * packed panels, which begin on a multiple of 64 bytes. Nothing is read or written outside of the
 * operands. The floating-point environment is the default one: rounding to nearest even, denormals
 * kept. Results depend on the operands and the instruction set alone: an element of a product or
 * a row is the same whatever tile or alignment it falls in.
 */
#ifndef NPUENC_KERNELS_H
#define NPUENC_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Products. A tile is c[rows][cols] = a[rows][k] b[k][cols], 1 <= rows <= mr, 1 <= cols <= nr, from
 * packed panels; k may be 0, which makes zeros; c is row-major with ldc elements from row to row,
 * and nothing outside rows x cols of it is touched. With `accumulate`, c is added to, as if the sum
 * over k had gone on. The sum of an element is taken in the order of k.
 *
 * Panels hold groups of k_group consecutive values of k:
 *   A panel: [ceil(k / k_group)][mr][k_group]    B panel: [ceil(k / k_group)][nr][k_group]
 * padded with zeros to whole rows, columns and groups.
 *   pack_a       from rows of A: src[row][k], `ld` elements from row to row
 *   pack_b_rows  from rows of B transposed, as weights are stored: src[col][k]
 *   pack_b_cols  from B itself: src[k][col]
 * A B panel's columns come from `cols` <= nr rows or columns of src. */
typedef struct npuenc_gemm_f32 {
    uint32_t mr, nr, k_group;
    void (*pack_a)(size_t rows, size_t k, const float* src, size_t ld, float* panel);
    void (*pack_b_rows)(size_t cols, size_t k, const float* src, size_t ld, float* panel);
    void (*pack_b_cols)(size_t cols, size_t k, const float* src, size_t ld, float* panel);
    void (*tile)(size_t rows, size_t cols, size_t k, const float* a, const float* b, float* c,
                 size_t ldc, int accumulate);
} npuenc_gemm_f32;

typedef struct npuenc_gemm_bf16 { /* bf16 x bf16 -> f32, sums in f32 */
    uint32_t mr, nr, k_group;
    void (*pack_a)(size_t rows, size_t k, const uint16_t* src, size_t ld, uint16_t* panel);
    void (*pack_b_rows)(size_t cols, size_t k, const uint16_t* src, size_t ld, uint16_t* panel);
    void (*pack_b_cols)(size_t cols, size_t k, const uint16_t* src, size_t ld, uint16_t* panel);
    void (*tile)(size_t rows, size_t cols, size_t k, const uint16_t* a, const uint16_t* b, float* c,
                 size_t ldc, int accumulate);
} npuenc_gemm_bf16;

typedef struct npuenc_gemm_s8 { /* s8 x s8 -> s32, wrapping at 2^32 */
    uint32_t mr, nr, k_group;
    void (*pack_a)(size_t rows, size_t k, const int8_t* src, size_t ld, int8_t* panel);
    void (*pack_b_rows)(size_t cols, size_t k, const int8_t* src, size_t ld, int8_t* panel);
    void (*pack_b_cols)(size_t cols, size_t k, const int8_t* src, size_t ld, int8_t* panel);
    void (*tile)(size_t rows, size_t cols, size_t k, const int8_t* a, const int8_t* b, int32_t* c,
                 size_t ldc, int accumulate);
} npuenc_gemm_s8;

/* One row of f32 at a time; n >= 1. In and out may be the same row, and else do not overlap. */
typedef struct npuenc_rows_f32 {
    /* y = (x - mean) / sqrt(variance + 1e-5) * weight + bias, the variance being the mean of the
     * squared distances from the mean (two passes). A NaN or an infinity in x makes the whole row
     * NaN. The sum of the squares must stay within f32: |x| of 1e17 does. */
    void (*layer_norm)(size_t n, const float* x, const float* weight, const float* bias, float* y);
    /* x = softmax(scale * x + mask); mask may be NULL. -inf in the mask excludes, whatever x is
     * there; a row of which nothing but -inf is left becomes zeros; otherwise a NaN or +inf in
     * scale * x + mask makes the whole row NaN. exp within 2 ulp of f32 where the result is
     * normal. */
    void (*softmax)(size_t n, float* x, float scale, const float* mask);
    /* y = y + bias, then gelu(y) = y/2 (1 + erf(y / sqrt 2)) when `gelu`, then y + addend; bias and
     * addend may be NULL. gelu within 1e-6 max(1, |y|) of the exact one; of -inf it is the limit,
     * 0. */
    void (*epilogue)(size_t n, float* y, const float* bias, int gelu, const float* addend);
    /* The greatest |x|. NaN counts as nothing. */
    float (*abs_max)(size_t n, const float* x);
} npuenc_rows_f32;

/* Conversions, to nearest even; n may be 0. A NaN stays a (quiet) NaN in the float types and
 * becomes 0 in s8. */
typedef struct npuenc_convert {
    void (*f32_to_bf16)(size_t n, const float* in, uint16_t* out);
    void (*bf16_to_f32)(size_t n, const uint16_t* in, float* out);
    void (*f32_to_f16)(size_t n, const float* in, uint16_t* out);
    void (*f16_to_f32)(size_t n, const uint16_t* in, float* out);
    /* out = clamp(rint(in * scale), -128, 127); -127 as the least for `symmetric` */
    void (*f32_to_s8)(size_t n, const float* in, float scale, int symmetric, int8_t* out);
    /* out = in * scale, in f32 */
    void (*s8_to_f32)(size_t n, const int8_t* in, float scale, float* out);
    /* out = clamp(rint((f32)in * scale) + zero_point, -128, 127), |zero_point| <= 2^21 (beyond, it
     * counts as that) */
    void (*s32_to_s8)(size_t n, const int32_t* in, float scale, int32_t zero_point, int8_t* out);
    /* out = (f32)in * row_scale * col_scale[i]; col_scale may be NULL */
    void (*s32_to_f32)(size_t n, const int32_t* in, float row_scale, const float* col_scale,
                       float* out);
} npuenc_convert;

typedef struct npuenc_kernels {
    const char* isa; /* the highest one used: "reference", "avx2", "avx512" */
    npuenc_gemm_f32 gemm_f32;
    npuenc_gemm_bf16 gemm_bf16;
    npuenc_gemm_s8 gemm_s8;
    npuenc_rows_f32 rows_f32;
    npuenc_convert convert;
} npuenc_kernels;

enum npuenc_kernels_status {
    NPUENC_KERNELS_OK = 0,
    NPUENC_KERNELS_UNKNOWN_ISA = -1, /* no such name in this build */
    NPUENC_KERNELS_LACKING_ISA = -2  /* this CPU or operating system does not have it */
};

/* isa: the highest instruction set to use, or NULL for all that the CPU has. On failure nothing is
 * written. Thread-safe. */
int npuenc_kernels_init(npuenc_kernels* kernels, const char* isa);

/* The names that npuenc_kernels_init takes in this build, lowest first, ended by NULL. */
const char* const* npuenc_kernels_isas(void);

#ifdef __cplusplus
}
#endif
#endif /* NPUENC_KERNELS_H */
