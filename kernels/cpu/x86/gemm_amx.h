/* SPDX-License-Identifier: MIT
 *
 * Products for AMX, whatever the type: a group of k is the 64 bytes of a row of a tile, in one part
 * or in two, high and low. What differs is one instruction; a file of an instruction set defines
 * these before it includes this:
 *
 *   #define MULTIPLY "tdp..."
 *   enum { parts = ... };
 *
 * Two tiles of A meet two of B: their four products take twice as long as the four loads, and the
 * eight tiles are all that there are. B has sixteen rows of a panel, every other half of them. Each
 * tile is loaded anew as soon as its last product has begun, and B as what is read once, so that it
 * does not push A out of the L1: rows that are there meet one panel after another.
 *
 * All in assembly: GCC's intrinsics do not say that tiles are read from memory.
 */
#ifndef NPUENC_KERNELS_GEMM_AMX_H
#define NPUENC_KERNELS_GEMM_AMX_H

enum { mr = 32, nr = 32 };

#include "kernels/cpu/prefetch.h"
#include "kernels/cpu/x86/pack_avx512.h"

enum { tile_rows = 16, tile_bytes = 64 };
enum { group_of_panel = tile_rows * row_of_panel }; /* bytes of a part of a group */

#define TILE_ZERO(t) __asm__ volatile("tilezero %%tmm%c0" ::"i"(t))
#define TILE_LOAD(t, from, ld)                                                                     \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(ld), "i"(t) : "memory")
/* What is read once. */
#define TILE_LOAD_ONCE(t, from, ld)                                                                \
    __asm__ volatile("tileloaddt1 (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(ld), "i"(t) : "memory")
#define TILE_STORE(t, to, ld)                                                                      \
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(ld), "i"(t) : "memory")
#define TILE_MULTIPLY(a, b, c)                                                                     \
    __asm__ volatile(MULTIPLY " %%tmm%c1, %%tmm%c0, %%tmm%c2" ::"i"(a), "i"(b), "i"(c))

/* The tiles, in the order of their numbers. */
enum {
    sum_upper_left,
    sum_upper_right,
    sum_lower_left,
    sum_lower_right,
    a_upper,
    a_lower,
    b_left,
    b_right
};

/* How many rows there are; tiles are zero afterwards. */
static inline void configure(size_t upper, size_t lower) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } tiles __attribute__((aligned(64))) = {.palette = 1};
    const uint8_t rows[8] = {[sum_upper_left] = (uint8_t)upper,
                             [sum_upper_right] = (uint8_t)upper,
                             [sum_lower_left] = (uint8_t)lower,
                             [sum_lower_right] = (uint8_t)lower,
                             [a_upper] = (uint8_t)upper,
                             [a_lower] = (uint8_t)lower,
                             [b_left] = tile_rows,
                             [b_right] = tile_rows};
    for (size_t i = 0; i < 8; i++) {
        tiles.row_bytes[i] = tile_bytes;
        tiles.rows[i] = rows[i];
    }
    __asm__ volatile("ldtilecfg %0" ::"m"(tiles));
}

static void begin(void) {
    configure(tile_rows, tile_rows);
}

static void end(void) {
    __asm__ volatile("tilerelease" ::);
}

/* `lower` and `right`, here and below: whether there are such rows and columns; constants wherever
 * this is expanded. */
static ALWAYS_INLINE void load(int lower, int right, const char* a, size_t lda, const char* b) {
    const size_t ldb = row_of_panel;
    TILE_LOAD_ONCE(b_left, b, ldb);
    TILE_LOAD(a_upper, a, lda);
    if (lower)
        TILE_LOAD(a_lower, a + tile_rows * lda, lda);
    if (right)
        TILE_LOAD_ONCE(b_right, b + tile_bytes, ldb);
}

/* Of a group of a panel, what is multiplied first. */
static ALWAYS_INLINE const char* first_part(const char* b) {
    return b + (parts - 1) * group_of_panel;
}

/* Multiplies what is loaded, and loads what comes next: new_a and new_b are constants. */
static ALWAYS_INLINE void multiply_and_load(int lower, int right, int new_a, const char* a,
                                            size_t lda, int new_b, const char* b) {
    const size_t ldb = row_of_panel;
    TILE_MULTIPLY(a_upper, b_left, sum_upper_left);
    if (lower)
        TILE_MULTIPLY(a_lower, b_left, sum_lower_left);
    if (new_b)
        TILE_LOAD_ONCE(b_left, b, ldb);
    if (right)
        TILE_MULTIPLY(a_upper, b_right, sum_upper_right);
    if (new_a)
        TILE_LOAD(a_upper, a, lda);
    if (lower && right)
        TILE_MULTIPLY(a_lower, b_right, sum_lower_right);
    if (new_a && lower)
        TILE_LOAD(a_lower, a + tile_rows * lda, lda);
    if (new_b && right)
        TILE_LOAD_ONCE(b_right, b + tile_bytes, ldb);
}

/* Multiplies a group of which the first parts are loaded, and loads those of the next one, if there
 * is one. Of two parts these are the high ones of A and the low ones of B: all products are taken
 * but that of the low ones. */
static ALWAYS_INLINE void multiply_group(int lower, int right, const char* a, size_t lda,
                                         const char* b, int more) {
    if (parts == 2) {
        multiply_and_load(lower, right, 0, a, lda, 1, b);
        multiply_and_load(lower, right, 1, a + tile_bytes, lda, 0, b);
    }
    a += parts * tile_bytes;
    b += parts * group_of_panel;
    multiply_and_load(lower, right, more, a, lda, more, first_part(b));
}

static ALWAYS_INLINE void tile_of(int lower, int right, const npuenc_tile* tile, void* sums,
                                  size_t stride) {
    const size_t lda = tile->lda;
    const char *a = tile->a, *b = tile->b;
    char *upper_c = sums, *lower_c = upper_c + tile_rows * stride;
    if (tile->accumulate) {
        TILE_LOAD(sum_upper_left, upper_c, stride);
        if (right)
            TILE_LOAD(sum_upper_right, upper_c + tile_bytes, stride);
        if (lower)
            TILE_LOAD(sum_lower_left, lower_c, stride);
        if (lower && right)
            TILE_LOAD(sum_lower_right, lower_c + tile_bytes, stride);
    } else if (shifted_a) {
        const char* start = (const char*)tile->start;
        const size_t same_row = 0;
        TILE_LOAD(sum_upper_left, start, same_row);
        if (right)
            TILE_LOAD(sum_upper_right, start + tile_bytes, same_row);
        if (lower)
            TILE_LOAD(sum_lower_left, start, same_row);
        if (lower && right)
            TILE_LOAD(sum_lower_right, start + tile_bytes, same_row);
    } else {
        TILE_ZERO(sum_upper_left);
        if (right)
            TILE_ZERO(sum_upper_right);
        if (lower)
            TILE_ZERO(sum_lower_left);
        if (lower && right)
            TILE_ZERO(sum_lower_right);
    }
    /* A little with each group: at once it would take all that can be asked for at a time, and what
     * is multiplied next would wait. */
    const char *soon = tile->soon, *const soon_end = soon + tile->soon_bytes;
    const ptrdiff_t soon_step =
        (ptrdiff_t)(tile->soon_bytes / (tile->k / k_group + 1) / line_bytes + 1) * line_bytes;
    if (tile->k > 0) {
        load(lower, right, a, lda, first_part(b));
        for (size_t k = k_group; k < tile->k; k += k_group) {
            multiply_group(lower, right, a, lda, b, 1);
            const char* const stop = soon_end - soon > soon_step ? soon + soon_step : soon_end;
            prefetch(soon, stop);
            soon = stop;
            a += parts * tile_bytes;
            b += parts * group_of_panel;
        }
        multiply_group(lower, right, a, lda, b, 0);
        prefetch(soon, soon_end);
    }
    TILE_STORE(sum_upper_left, upper_c, stride);
    if (right)
        TILE_STORE(sum_upper_right, upper_c + tile_bytes, stride);
    if (lower)
        TILE_STORE(sum_lower_left, lower_c, stride);
    if (lower && right)
        TILE_STORE(sum_lower_right, lower_c + tile_bytes, stride);
}

static inline void multiply_columns(const npuenc_tile* tile, void* sums, size_t stride) {
    const int lower = tile->rows > tile_rows, right = tile->cols > lanes;
    if (lower && right)
        tile_of(1, 1, tile, sums, stride);
    else if (lower)
        tile_of(1, 0, tile, sums, stride);
    else if (right)
        tile_of(0, 1, tile, sums, stride);
    else
        tile_of(0, 0, tile, sums, stride);
}

/* Rows of c to or from ones of 32 columns. */
static inline void copy_rows(const npuenc_tile* tile, const int32_t* from, size_t ld_from,
                             int32_t* to, size_t ld_to) {
    const __mmask16 left = first(tile->cols);
    const __mmask16 right = tile->cols > lanes ? first(tile->cols - lanes) : 0;
    for (size_t row = 0; row < tile->rows; row++, from += ld_from, to += ld_to) {
        _mm512_mask_storeu_epi32(to, left, _mm512_maskz_loadu_epi32(left, from));
        if (right)
            _mm512_mask_storeu_epi32(to + lanes, right,
                                     _mm512_maskz_loadu_epi32(right, from + lanes));
    }
}

static void multiply_tile(const npuenc_tile* tile) {
    const int whole_rows = tile->rows % tile_rows == 0;
    if (!whole_rows) {
        const size_t lower = tile->rows % tile_rows;
        if (tile->rows > tile_rows)
            configure(tile_rows, lower);
        else
            configure(lower, tile_rows);
    }
    if (tile->cols % lanes == 0) {
        multiply_columns(tile, tile->c, tile->ldc * sizeof(int32_t));
    } else {
        _Alignas(64) int32_t sums[mr * nr];
        if (tile->accumulate)
            copy_rows(tile, tile->c, tile->ldc, sums, nr);
        multiply_columns(tile, sums, nr * sizeof *sums);
        copy_rows(tile, sums, nr, tile->c, tile->ldc);
    }
    if (!whole_rows)
        configure(tile_rows, tile_rows);
}

#endif /* NPUENC_KERNELS_GEMM_AMX_H */
