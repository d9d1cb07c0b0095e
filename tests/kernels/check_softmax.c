/* SPDX-License-Identifier: MIT
 *
 * Softmax by blocks and their merging, against the definitions in double. u = 2^-24 is the greatest
 * relative error of a rounding in f32; bounds are of first order with 1 % for the rest.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static const double u = 0x1p-24;
static const double slack = 1.01;
static const double ln2 = 0.6931471805599453;

/* What p errs by beyond f32, where it has fewer bits: by most instruction sets it is made in f32,
 * by a polynomial within 2^-13.6, and rounded; with AVX-512's BF16, and what comes after that, by a
 * table, from its logarithm as an integer. */
static int is_by_table(const Check* check) {
    return strcmp(check->kernels.isa, "avx512bf16") == 0 || strcmp(check->kernels.isa, "amx") == 0;
}
static double bf16_error(const Check* check) {
    return is_by_table(check) ? 0.0068 /* 2^-7.2 */ : 0x1p-8 + 8.1e-5;
}
static double byte_bound(const Check* check, double p) {
    return is_by_table(check) ? 0.5 + p / 75 : fmin(1.2, 0.5 + p / 140);
}

enum { most_keys = 520, most_gap = 20 };

typedef struct Memory {
    Guarded scores, n_keys, row_scale, mask, p, greatest, total;
} Memory;

/* What p is of. */
enum { to_f32, to_bf16, to_u8 };

static size_t size_of(int type) {
    return type == to_f32 ? sizeof(float) : type == to_bf16 ? sizeof(uint16_t) : 1;
}

static void soften(const Check* check, int type, const npuenc_scores* args) {
    const npuenc_softmax* softmax = &check->kernels.softmax;
    (type == to_f32    ? softmax->block_f32
     : type == to_bf16 ? softmax->block_bf16
                       : softmax->block_u8)(args);
}

/* A block on guarded memory, and its inputs once more, as they were. */
typedef struct Block {
    npuenc_scores args;
    int type;
    size_t bytes_p;
    int at_end;
} Block;

static float old_scores[npuenc_most_queries * (most_keys + 16 + most_gap)];

static size_t random_gap(Check* check) {
    return random_below(check, 2) ? random_below(check, most_gap + 1) : 0;
}

static float* place_floats(Guarded* memory, size_t n, int at_end) {
    return guarded_place(memory, n * sizeof(float), sizeof(float), at_end);
}

/* Scores are normal with deviation `spread`, scaled by about 1/8; a mask of the same size excludes
 * a fourth. What lies beyond n_keys[] is a NaN. */
static Block block_new(Check* check, Memory* memory, size_t rows, size_t keys, int type, int of_s32,
                       int with_mask, double spread) {
    Block block = {.type = type, .at_end = (int)random_below(check, 2)};
    const int at_end = block.at_end;
    npuenc_scores* args = &block.args;
    args->rows = rows;
    args->keys = keys;
    args->ld = (keys + 15) / 16 * 16 + random_gap(check);
    args->ld_mask = keys + random_gap(check);
    args->ldp = keys + random_gap(check);
    float* scores = place_floats(&memory->scores, (rows - 1) * args->ld + keys, at_end);
    uint32_t* n_keys =
        guarded_place(&memory->n_keys, rows * sizeof *n_keys, sizeof *n_keys, at_end);
    float* row_scale = place_floats(&memory->row_scale, rows, at_end);
    float* mask = place_floats(&memory->mask, (rows - 1) * args->ld_mask + keys, at_end);
    for (size_t row = 0; row < rows; row++) {
        n_keys[row] = (uint32_t)(random_below(check, 3) ? keys : random_below(check, keys + 1));
        row_scale[row] = (float)(0.125 + 0.01 * random_normal(check)) * (of_s32 ? 0x1p-10f : 1);
        for (size_t j = 0; j < keys; j++) {
            float* x = scores + row * args->ld + j;
            const double value = random_normal(check) * spread / 0.125;
            const int32_t integer = (int32_t)fmax(fmin(value * 1024, INT32_MAX), INT32_MIN);
            if (j >= n_keys[row])
                *x = NAN;
            else if (of_s32)
                memcpy(x, &integer, sizeof integer);
            else
                *x = (float)value;
            mask[row * args->ld_mask + j] =
                random_below(check, 4) ? (float)(random_normal(check) * spread) : -INFINITY;
        }
    }
    args->scores = scores;
    args->n_keys = n_keys;
    args->row_scale = row_scale;
    args->integers = of_s32;
    args->mask = with_mask ? mask : NULL;
    block.bytes_p = ((rows - 1) * args->ldp + keys) * size_of(type);
    args->p = guarded_place(&memory->p, block.bytes_p, size_of(type), at_end);
    args->greatest = place_floats(&memory->greatest, rows, at_end);
    args->total = place_floats(&memory->total, rows, at_end);
    return block;
}

/* The same comes out where p lies in the place of the scores. */
static void expect_same_in_place(Check* check, const Block* block) {
    static float memory[npuenc_most_queries * (most_keys + 16 + most_gap)];
    float greatest[npuenc_most_queries], total[npuenc_most_queries];
    const size_t rows = block->args.rows, keys = block->args.keys, size = size_of(block->type);
    npuenc_scores args = block->args;
    memcpy(memory, old_scores, ((rows - 1) * args.ld + keys) * sizeof(float));
    args.scores = args.p = memory;
    args.ldp = args.ld * sizeof(float) / size;
    args.greatest = greatest;
    args.total = total;
    soften(check, block->type, &args);
    int same = memcmp(greatest, block->args.greatest, rows * sizeof *greatest) == 0 &&
               memcmp(total, block->args.total, rows * sizeof *total) == 0;
    for (size_t row = 0; row < rows; row++)
        same = same &&
               memcmp(memory + row * args.ld,
                      (const char*)block->args.p + row * block->args.ldp * size, keys * size) == 0;
    if (!same)
        fail(check, "%zu x %zu: something else in the place of the scores", rows, keys);
}

/* Runs it, and sees that nothing else was written. */
static void block_run(Check* check, Memory* memory, const Block* block) {
    const npuenc_scores* args = &block->args;
    const size_t rows = args->rows, keys = args->keys, size = size_of(block->type);
    memcpy(old_scores, args->scores, ((rows - 1) * args->ld + keys) * sizeof(float));
    soften(check, block->type, args);
    int whole = guarded_intact(&memory->p, args->p, block->bytes_p);
    for (size_t row = 0; row + 1 < rows; row++)
        whole = whole && untouched((const char*)args->p + (row * args->ldp + keys) * size,
                                   (args->ldp - keys) * size);
    if (!whole)
        fail(check, "%zu x %zu, ldp %zu: wrote outside of p", rows, keys, args->ldp);
    if (!guarded_intact(&memory->scores, args->scores,
                        ((rows - 1) * args->ld + keys) * sizeof(float)) ||
        !guarded_intact(&memory->greatest, args->greatest, rows * sizeof(float)) ||
        !guarded_intact(&memory->total, args->total, rows * sizeof(float)))
        fail(check, "%zu x %zu: wrote outside of scores, greatest or total", rows, keys);
    expect_same_in_place(check, block);
}

static double p_of(const Block* block, size_t row, size_t j) {
    const size_t i = row * block->args.ldp + j;
    return block->type == to_u8     ? ((const uint8_t*)block->args.p)[i]
           : block->type == to_bf16 ? decoded(bf16, ((const uint16_t*)block->args.p)[i])
                                    : ((const float*)block->args.p)[i];
}

/* With s the scaled score, m the mask and x = s + m, and in units of x (the kernels work in those
 * of x log2 e): s errs by 5.3 u |s|, which are the scale of the row by log2 e and the constant
 * itself, the score as f32 and the products with both scales; the mask by 1.3 u |m|, and the sum by
 * u |x|. */
static double error_of_x(double s, double m) {
    return slack * u * (5.3 * fabs(s) + 1.3 * fabs(m) + fabs(s + m));
}

/* p against exp(x - g) with the g that was reported, since that is what the merging goes by: it
 * errs by what x does, by 4 u |x - g| where the difference is taken first and then scaled (both
 * round, and so did the two factors of the scale), by as much of g, which is scaled likewise, and
 * by 4 u for the polynomial, its evaluation, and the power of two. In bf16 it may be made from
 * 128 log2 p, rounded to an integer, which is half a step of 2^(1 / 128) or 2^-8.5, and is rounded
 * itself, by at most 2^-8. The total is of p before this or after. */
static void expect_block(Check* check, const Block* block) {
    const npuenc_scores* args = &block->args;
    static double x[most_keys], error[most_keys];
    for (size_t row = 0; row < args->rows; row++) {
        const size_t n = args->n_keys[row];
        double g = -INFINITY, greatest_error = 0;
        for (size_t j = 0; j < n; j++) {
            const size_t i = row * args->ld + j;
            int32_t integer;
            memcpy(&integer, &old_scores[i], sizeof integer);
            double s = args->integers ? (double)integer : old_scores[i];
            s *= args->row_scale[row];
            const double m = args->mask ? args->mask[row * args->ld_mask + j] : 0;
            x[j] = m == -INFINITY ? -INFINITY : s + m;
            error[j] = m == -INFINITY ? 0 : error_of_x(s, m);
            g = x[j] > g ? x[j] : g; /* two fmax in a loop crash GCC 12 for ARM */
            greatest_error = fmax(greatest_error, error[j]);
        }
        const double got_g = args->greatest[row] * ln2;
        if (g == -INFINITY ? args->greatest[row] != -INFINITY
                           : !(fabs(got_g - g) <= greatest_error + u * fabs(g)))
            fail(check, "%zu x %zu, row %zu: greatest is %.9g instead of %.9g", args->rows,
                 args->keys, row, got_g, g);
        double total = 0, total_error = 0, bytes = 0;
        for (size_t j = 0; j < args->keys; j++) {
            const double p = p_of(block, row, j);
            double exact = 0, bound = 0;
            if (j < n && x[j] > -INFINITY) {
                exact = exp(x[j] - got_g);
                if (block->type == to_u8) {
                    exact *= 255;
                    bound = byte_bound(check, exact);
                } else {
                    bound = exact * slack *
                            (error[j] + 4 * u * (fabs(x[j] - got_g) + fabs(got_g)) +
                             (block->type == to_bf16 ? bf16_error(check) : 4 * u));
                    if (exact < 0x1.1p-126)
                        bound = exact + 0x1p-140; /* or anything as small */
                    total_error += fmin(bound, exact);
                }
                total += exact;
            }
            bytes += p;
            if (!(fabs(p - exact) <= bound)) {
                fail(check, "%zu x %zu, element %zu %zu of %.9g: %.9g instead of %.9g (+- %.2g)",
                     args->rows, args->keys, row, j, j < n ? x[j] : 0, p, exact, bound);
                return;
            }
        }
        if (block->type == to_u8) {
            if (args->total[row] != bytes)
                fail(check, "%zu x %zu, row %zu: total is %.9g, of bytes %.9g", args->rows,
                     args->keys, row, args->total[row], bytes);
            continue;
        }
        total_error += slack * depth_of(n) * u * total + (double)n * 0x1p-125;
        if (!(fabs(args->total[row] - total) <= total_error))
            fail(check, "%zu x %zu, row %zu: total is %.9g instead of %.9g (+- %.2g)", args->rows,
                 args->keys, row, args->total[row], total, total_error);
    }
}

/* Each row alone, at another place, has the same bits. */
static void expect_same_alone(Check* check, const Block* block) {
    const npuenc_scores* args = &block->args;
    const size_t row = random_below(check, args->rows), size = size_of(block->type);
    static float scores[most_keys + 16], p[most_keys];
    float greatest, total;
    memcpy(scores + 1, old_scores + row * args->ld, args->keys * sizeof(float));
    npuenc_scores one = *args;
    one.rows = 1;
    one.scores = scores + 1;
    one.n_keys += row;
    one.row_scale += row;
    one.mask = args->mask ? args->mask + row * args->ld_mask : NULL;
    one.p = p;
    one.greatest = &greatest;
    one.total = &total;
    soften(check, block->type, &one);
    if (!same_f32(greatest, args->greatest[row]) || !same_f32(total, args->total[row]) ||
        memcmp(p, (const char*)args->p + row * args->ldp * size, args->keys * size) != 0)
        fail(check, "%zu x %zu: row %zu differs alone", args->rows, args->keys, row);
}

static size_t next_keys(const Check* check, size_t keys) {
    static const size_t large[] = {127, 128, 129, 255, 256, 257, 384, 500, 512, most_keys};
    if (keys < (check->quick ? 40 : 100))
        return keys + 1;
    if (check->quick)
        return keys < 257 ? 257 : 0;
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++)
        if (large[i] > keys)
            return large[i];
    return 0;
}

/* One element that decides all: where in the row, and what it makes of the total. */
static void check_specials(Check* check, Memory* memory, size_t keys, int type) {
    enum { nan_total, no_total, one_total };
    const struct {
        float value, mask, rest, rest_mask;
        int with_mask, expected;
    } cases[] = {
        {NAN, 0, 1, 0, 0, nan_total},
        {INFINITY, 0, 1, 0, 0, nan_total},
        {FLT_MAX, 0, 1, 0, 0, nan_total}, /* overflows when scaled */
        {NAN, 0, 1, 0, 1, nan_total},
        {INFINITY, 0, 1, 0, 1, nan_total},
        {1, INFINITY, 1, 0, 1, nan_total},
        {1, NAN, 1, 0, 1, nan_total},
        {NAN, 0, -INFINITY, 0, 0, nan_total},
        {-INFINITY, 0, -INFINITY, 0, 0, no_total},
        {NAN, -INFINITY, INFINITY, -INFINITY, 1, no_total},
        {FLT_MAX, -INFINITY, NAN, -INFINITY, 1, no_total},
        {3, 0, NAN, -INFINITY, 1, one_total},
        {3, -7, INFINITY, -INFINITY, 1, one_total},
        {-1e30f, 0, -INFINITY, 0, 0, one_total},
        {1e30f, 0, 1, 0, 0, one_total},
        {1, 0, -1e30f, 0, 0, one_total},
        {1000, 0, 1, 0, 0, one_total},
        {1000, 0, -1000, 0, 1, one_total},
        {-1000, 0, 1000, -INFINITY, 1, one_total},
        {1000, -INFINITY, -1000, -INFINITY, 1, no_total},
        {-1e30f, 0, 1, -INFINITY, 1, one_total},
        {1e30f, 0, -1e30f, 0, 1, one_total},
        {1e30f, -INFINITY, -1e30f, -INFINITY, 1, no_total},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        /* Of bytes, scores have to be finite. Those of 1e30 are left out, too: on AVX-512 what x
         * and the greatest differ by is then but the rounding of their products. */
        if (type == to_u8 && (!(fabsf(cases[c].value) < 1e30f) || !(fabsf(cases[c].rest) < 1e30f) ||
                              !(cases[c].mask < INFINITY)))
            continue;
        const double whole = type == to_u8 ? 255 : 1;
        Block block = block_new(check, memory, 2, keys, type, 0, cases[c].with_mask, 1);
        npuenc_scores* args = &block.args;
        const size_t at = random_below(check, keys);
        for (size_t row = 0; row < 2; row++) {
            ((float*)args->row_scale)[row] = 4;
            for (size_t j = 0; j < keys; j++) {
                ((float*)args->scores)[row * args->ld + j] =
                    j == at ? cases[c].value : cases[c].rest;
                if (args->mask)
                    ((float*)args->mask)[row * args->ld_mask + j] =
                        j == at ? cases[c].mask : cases[c].rest_mask;
            }
            ((uint32_t*)args->n_keys)[row] = (uint32_t)keys;
        }
        block_run(check, memory, &block);
        for (size_t row = 0; row < 2; row++) {
            const float total = args->total[row];
            int right = cases[c].expected == nan_total  ? total != total
                        : cases[c].expected == no_total ? total == 0
                                                        : fabs(total - whole) < 0x1p-9;
            if (cases[c].expected == no_total)
                right = right && args->greatest[row] == -INFINITY;
            for (size_t j = 0; cases[c].expected != nan_total && j < keys; j++)
                right = right && fabs(p_of(&block, row, j) -
                                      (cases[c].expected == one_total && j == at) * whole) < 0x1p-9;
            if (!right)
                fail(check, "%zu keys, special %zu at %zu: total %g, greatest %g", keys, c, at,
                     total, args->greatest[row]);
        }
    }
}

/* exp itself, within the documented bound: of a key 0, which is the greatest, and others below. */
static void check_exp(Check* check, int type) {
    enum { keys = 512 };
    static float x[keys], scores[keys], single[keys];
    static uint16_t half[keys];
    static uint8_t byte[keys];
    const uint32_t n_keys = keys;
    const float one = 1;
    const int count = check->quick ? 10 : 1000;
    for (int part = 0; part < count; part++) {
        float greatest, total;
        for (size_t j = 0; j < keys; j++)
            x[j] = j ? (float)((type == to_u8 ? -9 : -90) * ((double)(part * keys) + (double)j) /
                               (count * keys))
                     : 0;
        memcpy(scores, x, sizeof x);
        void* p = type == to_f32 ? (void*)single : type == to_bf16 ? (void*)half : byte;
        const npuenc_scores block = {1,    keys, scores, 0,    keys,      &n_keys, &one,
                                     NULL, 0,    p,      keys, &greatest, &total};
        soften(check, type, &block);
        for (size_t j = 0; j < keys; j++) {
            const double exact = exp(x[j]);
            if (type == to_u8) {
                if (!(fabs(byte[j] - 255 * exact) <= byte_bound(check, 255 * exact)))
                    fail(check, "255 exp(%.9g): %d instead of %.9g", x[j], byte[j], 255 * exact);
                continue;
            }
            const double got = type == to_bf16 ? decoded(bf16, half[j]) : single[j];
            const double relative =
                (4 + 4 * fabs(x[j])) * u + (type == to_bf16 ? bf16_error(check) : 0);
            const int tiny = exact < 0x1.1p-126 && got >= 0 && got <= 0x1.1p-126;
            if (!(fabs(got - exact) <= exact * relative || tiny))
                fail(check, "exp(%.9g): %.9g instead of %.9g", x[j], got, exact);
        }
    }
}

static void check_block(Check* check, Memory* memory, int type) {
    static const char* const names[] = {"softmax f32", "softmax bf16", "softmax u8"};
    begin(check, names[type]);
    for (size_t keys = 1; keys; keys = next_keys(check, keys))
        for (int kind = 0; kind < 8; kind++) {
            /* Wide: to zero through where the result would be a denormal. */
            const double spread = kind & 2 ? 40 : 2;
            const int of_s32 = type != to_f32 && kind & 4;
            const size_t rows = 1 + random_below(check, npuenc_most_queries);
            Block block = block_new(check, memory, rows, keys, type, of_s32, kind & 1, spread);
            block_run(check, memory, &block);
            expect_block(check, &block);
            expect_same_alone(check, &block);
            if (kind == 0)
                check_specials(check, memory, keys, type);
        }
    check_exp(check, type);
    end(check);
}

/* exp2(a - g), where both may be -inf. */
static double factor(double a, double g) {
    return g == -INFINITY ? 0 : exp2(a - g);
}

/* A factor errs by 4 u as p does, and by u |a - g| ln 2 of the difference; products and their sum
 * by u each, and an integer and its scale by as much. */
static double factor_error(double a, double g) {
    return a == -INFINITY ? 0 : factor(a, g) * slack * u * (4 + fabs(a - g));
}

typedef struct Merge {
    Guarded part, col_scale, block_greatest, block_total, out, greatest, total;
} Merge;

static int close_enough(double a, double a_factor, double a_error, double b, double b_factor,
                        double b_error, double roundings, double got) {
    const double exact = a * a_factor + b * b_factor;
    const double size = fabs(a * a_factor) + fabs(b * b_factor);
    const double bound = fabs(a) * a_error + fabs(b) * b_error + roundings * u * size +
                         0x1p-125 * (1 + fabs(a) + fabs(b));
    return exact != exact ? got != got : fabs(got - exact) <= bound;
}

static void check_merge_of(Check* check, Merge* memory, size_t rows, size_t n, int of_s32) {
    const int at_end = (int)random_below(check, 2);
    const size_t ld_part = n + random_gap(check), ld_out = n + random_gap(check);
    const size_t count_part = n ? (rows - 1) * ld_part + n : 0;
    const size_t count_out = n ? (rows - 1) * ld_out + n : 0;
    float* part = place_floats(&memory->part, count_part, at_end);
    int32_t* integers = (int32_t*)part;
    float* col_scale = place_floats(&memory->col_scale, n, at_end);
    float* out = place_floats(&memory->out, count_out, at_end);
    float* here = place_floats(&memory->block_greatest, rows, at_end);
    float* block_total = place_floats(&memory->block_total, rows, at_end);
    float* before = place_floats(&memory->greatest, rows, at_end);
    float* total = place_floats(&memory->total, rows, at_end);
    static float old_out[npuenc_most_queries * (most_keys + most_gap)];
    float old_total[npuenc_most_queries], old_greatest[npuenc_most_queries];
    for (size_t i = 0; i < count_part; i++)
        if (!of_s32)
            part[i] = (float)random_normal(check);
        else if (random_below(check, 20))
            integers[i] = (int32_t)(random_normal(check) * 1e6);
        else
            integers[i] = random_below(check, 2) ? INT32_MAX - 1 : INT32_MIN;
    for (size_t j = 0; j < n; j++)
        col_scale[j] = (float)(random_normal(check) * 1e-6);
    for (size_t row = 0; row < rows; row++) {
        const double spread = random_below(check, 2) ? 3 : 100;
        here[row] = random_below(check, 6) ? (float)(random_normal(check) * spread) : -INFINITY;
        before[row] = random_below(check, 6) ? (float)(random_normal(check) * spread) : -INFINITY;
        if (random_below(check, 6) == 0)
            before[row] = here[row];
        block_total[row] = here[row] == -INFINITY ? 0 : (float)(1 + fabs(random_normal(check)));
        total[row] = before[row] == -INFINITY ? 0 : (float)(1 + fabs(random_normal(check)));
        if (random_below(check, 20) == 0)
            block_total[row] = NAN;
        for (size_t j = 0; j < n; j++)
            out[row * ld_out + j] = (float)random_normal(check);
    }
    memcpy(old_out, out, count_out * sizeof *out);
    memcpy(old_total, total, rows * sizeof *total);
    memcpy(old_greatest, before, rows * sizeof *before);

    npuenc_part args = {rows, n, part, ld_part, of_s32 ? col_scale : NULL, here, block_total};
    check->kernels.softmax.merge(&args, out, ld_out, before, total);

    int whole = guarded_intact(&memory->out, out, count_out * sizeof *out) &&
                guarded_intact(&memory->greatest, before, rows * sizeof *before) &&
                guarded_intact(&memory->total, total, rows * sizeof *total);
    for (size_t row = 0; n && row + 1 < rows; row++)
        whole = whole && untouched(out + row * ld_out + n, (ld_out - n) * sizeof *out);
    if (!whole)
        fail(check, "%zu x %zu: wrote outside", rows, n);
    for (size_t row = 0; row < rows; row++) {
        const double a = old_greatest[row], b = here[row], g = fmax(a, b);
        const double fa = factor(a, g), fb = factor(b, g);
        const double ea = factor_error(a, g), eb = factor_error(b, g);
        if (before[row] != g)
            fail(check, "%zu x %zu: greatest %g of %g and %g", rows, n, before[row], a, b);
        if (!close_enough(old_total[row], fa, ea, block_total[row], fb, eb, 2.1, total[row]))
            fail(check, "%zu x %zu: total %.9g of %g and %g, greatest %g and %g", rows, n,
                 total[row], old_total[row], block_total[row], a, b);
        for (size_t j = 0; j < n; j++) {
            const size_t i = row * ld_part + j;
            const double added = of_s32 ? (double)integers[i] * col_scale[j] : part[i];
            if (!close_enough(old_out[row * ld_out + j], fa, ea, added, fb, eb, of_s32 ? 4.1 : 2.1,
                              out[row * ld_out + j])) {
                fail(check, "%zu x %zu, element %zu %zu: %.9g of %g and %g, greatest %g and %g",
                     rows, n, row, j, out[row * ld_out + j], old_out[row * ld_out + j], added, a,
                     b);
                return;
            }
        }
    }
    /* The last row alone has the same bits. */
    const size_t row = rows - 1;
    args.rows = 1;
    args.part = part + row * ld_part;
    args.greatest = here + row;
    args.total = block_total + row;
    check->kernels.softmax.merge(&args, old_out + row * ld_out, ld_out, old_greatest + row,
                                 old_total + row);
    if (!same_f32(old_total[row], total[row]) ||
        memcmp(old_out + row * ld_out, out + row * ld_out, n * sizeof *out) != 0)
        fail(check, "%zu x %zu: row %zu differs alone", rows, n, row);
}

static void check_merge(Check* check) {
    const size_t most = npuenc_most_queries * (most_keys + most_gap) * sizeof(float);
    const size_t column = npuenc_most_queries * sizeof(float);
    Merge memory = {guarded_new(most),   guarded_new(most_keys * sizeof(float)),
                    guarded_new(column), guarded_new(column),
                    guarded_new(most),   guarded_new(column),
                    guarded_new(column)};
    begin(check, "softmax merge");
    for (size_t n = 0; n <= (check->quick ? 40 : 100); n++)
        for (size_t rows = 1; rows <= npuenc_most_queries; rows++)
            for (int of_s32 = 0; of_s32 < 2; of_s32++)
                check_merge_of(check, &memory, rows, n, of_s32);
    end(check);
    guarded_free(&memory.part);
    guarded_free(&memory.col_scale);
    guarded_free(&memory.block_greatest);
    guarded_free(&memory.block_total);
    guarded_free(&memory.out);
    guarded_free(&memory.greatest);
    guarded_free(&memory.total);
}

void check_softmax(Check* check) {
    const size_t most = npuenc_most_queries * (most_keys + 16 + most_gap) * sizeof(float);
    const size_t column = npuenc_most_queries * sizeof(float);
    Memory memory = {guarded_new(most), guarded_new(column), guarded_new(column), guarded_new(most),
                     guarded_new(most), guarded_new(column), guarded_new(column)};
    check_block(check, &memory, to_f32);
    check_block(check, &memory, to_bf16);
    check_block(check, &memory, to_u8);
    check_merge(check);
    guarded_free(&memory.scores);
    guarded_free(&memory.n_keys);
    guarded_free(&memory.row_scale);
    guarded_free(&memory.mask);
    guarded_free(&memory.p);
    guarded_free(&memory.greatest);
    guarded_free(&memory.total);
}
