/* SPDX-License-Identifier: MIT
 *
 * The CPU micro-kernels: a table of function pointers per family.
 *
 * npuenc_kernels_init fills every entry with the plain C of reference/, but those of gemm_u8, then
 * lets each instruction set that the CPU has overwrite what it does better, lowest first.
 * x86/FAMILY_ISA.c holds the kernels of one family for one instruction set, in plain C with
 * intrinsics; only such files are compiled with the instruction set, and all their functions are
 * static but the one that fills the family in, npuenc_FAMILY_init_ISA.
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

/* Products: c = a b for a tile of c, 1 <= rows <= mr and 1 <= cols <= nr. The families have one
 * form; of a and b, and of c:
 *   gemm_f32    f32, f32   the sum of an element is taken in the order of k
 *   gemm_bf16   bf16, f32  in an order that the instruction set determines; with native bf16
 *                          instructions denormals count as zero
 *   gemm_bf16x2 f32, f32   the same of pairs of bf16: x = high + low, each to nearest, and the sum
 *                          is of high high, high low and low high. Operands are finite, and round
 *                          to finite bf16
 *   gemm_s8     s8, s32    exact, wrapping at 2^32
 *   gemm_u8     u8, s32    the same of unsigned rows of A and an s8 B; all is 0 or NULL where no
 *                          instruction set of the CPU has an instruction for it
 *
 * Both operands are first brought into the form that the instruction set multiplies best:
 *   pack_a       one row of A, src[k]
 *   pack_b_rows  up to nr columns of B, which are rows of src, as weights are stored: src[col][k]
 *   pack_b_cols  the same from B itself: src[k][col]; ld counts elements. NULL in gemm_bf16x2
 *
 * A packed row holds ceil(k / k_group) groups of k_group * a_size bytes; in f32 and bf16, where
 * a_size is that of the type and k whole groups, it is the row itself. A panel holds as many
 * groups of nr * k_group * b_size bytes. Lacking k and columns are padded with what adds nothing.
 *
 * With shifted_a, of gemm_s8, a packed row holds a + 128 as unsigned bytes, and behind the groups
 * of a panel follows what a sum must begin with to make up for that: an int32_t for each of its nr
 * columns. Without, the same holds of bytes as of f32 and bf16.
 *
 * Where begin and end are not NULL, a thread calls begin before tile, and end before it gives the
 * CPU back to anybody else: what tiles of AMX need is set up meanwhile. All families of an
 * instruction set need the same, and other kernels may be called in between. */
typedef struct npuenc_tile {
    size_t rows, cols, k;
    const void* a;        /* of a packed row, from the k on that begins a group */
    size_t lda;           /* bytes from row to row */
    const void* b;        /* of a panel, from the same k on; on a multiple of 64 */
    const int32_t* start; /* of nr sums, if shifted_a; unused with accumulate */
    void* c;              /* row-major, f32 or s32; nothing but rows x cols of it is touched */
    size_t ldc;           /* elements from row to row */
    int accumulate;       /* add to c, as if the sum over k had gone on */
    const void* soon;     /* what will be read next, which a tile asks the caches for meanwhile */
    size_t soon_bytes;
} npuenc_tile;

typedef struct npuenc_gemm {
    uint32_t mr, nr, k_group;
    uint32_t a_size, b_size; /* bytes of an element once packed */
    int shifted_a;
    void (*pack_a)(size_t k, const void* src, void* row);
    void (*pack_b_rows)(size_t cols, size_t k, const void* src, size_t ld, void* panel);
    void (*pack_b_cols)(size_t cols, size_t k, const void* src, size_t ld, void* panel);
    void (*tile)(const npuenc_tile* tile);
    void (*begin)(void);
    void (*end)(void);
} npuenc_gemm;

/* What becomes of a tile's sums:
 *   y = sum * row_scale[row] * col_scale[col] + bias[col], gelu(y) = y/2 (1 + erf(y / sqrt 2)),
 *   + addend[row][col], rounded to nearest even in the type of y, where a denormal bf16 may be 0.
 * Each part is left out where it is NULL or 0. gelu is within 1e-6 max(1, |y|) of the exact one, or
 * with gelu_bf16 within 2^-9 max(1/8, |y|); of -inf it is the limit, 0. y may be the sums or the
 * addend itself. Otherwise nothing overlaps. */
typedef enum npuenc_float { npuenc_float_f32, npuenc_float_bf16, npuenc_float_f16 } npuenc_float;
typedef enum npuenc_gelu { npuenc_gelu_none, npuenc_gelu_f32, npuenc_gelu_bf16 } npuenc_gelu;

typedef struct npuenc_finish {
    const float *row_scale, *col_scale, *bias;
    npuenc_gelu gelu;
    const float* addend;
    size_t ld_addend;
    npuenc_float type;
    void* y;
    size_t ldy;
} npuenc_finish;

typedef struct npuenc_finish_sums {
    void (*f32)(size_t rows, size_t cols, const float* sums, size_t ld, const npuenc_finish* how);
    void (*s32)(size_t rows, size_t cols, const int32_t* sums, size_t ld, const npuenc_finish* how);
} npuenc_finish_sums;

/* Softmax by blocks of keys, for rows <= npuenc_most_queries queries side by side. For query i
 *   x[j] = scores[i][j] * row_scale[i] + mask[i][j],    j < n_keys[i]
 * where mask may be NULL, and -inf in it excludes, whatever the score is. Then
 *   g = max x[j]    p[i][j] = exp(x[j] - g)    greatest[i] = g log2 e    total[i] = sum p[i][j]
 * where p is written up to `keys`, with zeros from n_keys[i] on. With s the scaled score and g as
 * in greatest, p is within (4 + 6 |s| + 2 |mask| + |x| + 4 |x - g| + 4 |g|) 2^-24 of itself, and in
 * bf16 within 2^-7.2 more, of which 2^-8 are for rounding; total is of p before that or after. But
 * below 2^-126, p may be anything else that is. Where nothing but -inf is left, greatest is -inf, p
 * and total are 0; a NaN or +inf among x makes total NaN. The scores, f32 or s32, are overwritten,
 * and p may lie in their place: where they begin, with as many bytes from row to row. */
enum { npuenc_most_queries = 16 };

typedef struct npuenc_scores {
    size_t rows, keys; /* keys: of the block */
    void* scores;      /* f32 or s32 */
    int integers;      /* they are s32 */
    size_t ld;         /* elements from query to query, at least keys rounded up to 16 */
    const uint32_t* n_keys;
    const float* row_scale;
    const float* mask;
    size_t ld_mask;
    void* p;
    size_t ldp;
    float *greatest, *total;
} npuenc_scores;

/* A block of results, part = p v, to be taken into those of the blocks before it. */
typedef struct npuenc_part {
    size_t rows, n;
    const void* part;       /* f32, or s32 where col_scale is not NULL */
    size_t ld;              /* elements from query to query */
    const float* col_scale; /* [n], of part */
    const float *greatest, *total;
} npuenc_part;

typedef struct npuenc_softmax {
    void (*block_f32)(const npuenc_scores* block);
    void (*block_bf16)(const npuenc_scores* block);
    /* p = 255 exp(x - g) as unsigned bytes, within 1/2 + p / 75, and total is of these. Scores and
     * scales must be finite, and |x| below 2^12. */
    void (*block_u8)(const npuenc_scores* block);
    /* In out, greatest and total are those of all blocks before. With g the greater of greatest
     * and part->greatest,
     *   out[i][j] = out[i][j] exp2(greatest[i] - g) + part[i][j] exp2(part->greatest[i] - g)
     * and the same for total; then greatest = g. Two of -inf make factors of 0. */
    void (*merge)(const npuenc_part* part, float* out, size_t ld_out, float* greatest,
                  float* total);
} npuenc_softmax;

/* Rows, n >= 1 elements each. In and out may be the same, where types are, and else do not overlap.
 */
typedef struct npuenc_rows {
    /* y = (x - mean) / sqrt(variance + 1e-5) * weight + bias, the variance being the mean of the
     * squared distances from the mean (two passes). A NaN or an infinity in x makes the whole row
     * NaN. The sum of the squares must stay within f32: |x| of 1e17 does. */
    void (*layer_norm)(size_t n, const float* x, const float* weight, const float* bias, float* y);
    /* out = rint(x * m), m = 127 / max |x| of all rows, rounded to f32; returns max |x| / 127, what
     * one step is worth. Where m would not be finite (zeros, or all below 2^-121), or is 0 (an
     * infinity), out is zeros and the result 0. A NaN becomes 0 and counts as nothing. Rows are ld
     * elements apart in x, n in out. */
    float (*quantise_f32)(size_t rows, size_t n, const float* x, size_t ld, int8_t* out);
    float (*quantise_bf16)(size_t rows, size_t n, const uint16_t* x, size_t ld, int8_t* out);
    /* The same of each of n columns over the rows. */
    void (*quantise_cols_bf16)(size_t rows, size_t n, const uint16_t* x, size_t ld, int8_t* out,
                               float* scales);
    /* Of n values, in f32: off by less than n 2^-24 of itself where no square is below 2^-126. */
    float (*sum_of_squares_bf16)(size_t n, const uint16_t* x);
} npuenc_rows;

/* Conversions, to nearest even; n may be 0. A NaN stays a (quiet) NaN in the float types and
 * becomes 0 in s8. */
typedef struct npuenc_convert {
    void (*f32_to_bf16)(size_t n, const float* in, uint16_t* out);
    /* high = in, and low = in - high, both to nearest; the difference is one of f32 */
    void (*f32_to_bf16x2)(size_t n, const float* in, uint16_t* high, uint16_t* low);
    void (*bf16_to_f32)(size_t n, const uint16_t* in, float* out);
    void (*f32_to_f16)(size_t n, const float* in, uint16_t* out);
    void (*f16_to_f32)(size_t n, const uint16_t* in, float* out);
    /* out = clamp(rint(in * scale), -128, 127) */
    void (*f32_to_s8)(size_t n, const float* in, float scale, int8_t* out);
    /* out = in * scale, in f32 */
    void (*s8_to_f32)(size_t n, const int8_t* in, float scale, float* out);
    /* out = clamp(rint((f32)in * scale) + zero_point, -128, 127), |zero_point| <= 2^21 (beyond, it
     * counts as that) */
    void (*s32_to_s8)(size_t n, const int32_t* in, float scale, int32_t zero_point, int8_t* out);
} npuenc_convert;

/* Results of a product on an NPU, as one of its cores sends them: eight rows of 64 columns, in
 * strips of a few columns, packed[col / width][row][col % width], the width being that of bf16
 * where the operands were, in f32 and s16_of_bf16. They go to rows of c, ldc elements apart. */
enum {
    npuenc_unpacked_rows = 8,
    npuenc_unpacked_cols = 64,
    npuenc_unpacked_width = 8,
    npuenc_unpacked_width_bf16 = 4
};

typedef struct npuenc_unpack {
    void (*s32)(const int32_t* packed, int32_t* c, size_t ldc);
    void (*s16)(const int16_t* packed, int32_t* c, size_t ldc);
    void (*s8)(const int8_t* packed, int8_t* c, size_t ldc);
    void (*f32)(const float* packed, float* c, size_t ldc);
    void (*s16_of_bf16)(const int16_t* packed, int32_t* c, size_t ldc);
} npuenc_unpack;

typedef struct npuenc_kernels {
    const char* isa; /* the highest one used */
    npuenc_gemm gemm_f32, gemm_bf16, gemm_bf16x2, gemm_s8, gemm_u8;
    npuenc_finish_sums finish;
    npuenc_softmax softmax;
    npuenc_rows rows;
    npuenc_convert convert;
    npuenc_unpack unpack;
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
