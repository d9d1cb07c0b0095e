/* SPDX-License-Identifier: MIT
 *
 * What becomes of sums. The scales and additions are single operations of f32, one after the other
 * but that the bias may be fused with the scale before it, and so is the rounding to the type of y:
 * exact to the bit, but for the sign of zeros. gelu is held against its bound, to which what
 * follows adds its roundings.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static const double u = 0x1p-24; /* the greatest relative error of a rounding in f32 */
static const double slack = 1.01;

enum { most_finish_rows = 13, most_finish_cols = 70, most_gap = 8 };

static size_t size_of(npuenc_float type) {
    return type == npuenc_float_f32 ? 4 : 2;
}

static double gelu(double y) {
    return y / 2 * erfc(-y / sqrt(2));
}

static double gelu_error(npuenc_gelu kind, double y) {
    return kind == npuenc_gelu_f32 ? 1e-6 * fmax(1, fabs(y)) : 0x1p-9 * fmax(0.125, fabs(y));
}

/* An element as it is before gelu. */
static float before_gelu(const npuenc_finish* how, float sum, size_t row, size_t col, int fused) {
    if (how->row_scale)
        sum *= how->row_scale[row];
    if (how->col_scale && how->bias && fused)
        return fmaf(sum, how->col_scale[col], how->bias[col]);
    if (how->col_scale)
        sum *= how->col_scale[col];
    if (how->bias)
        sum += how->bias[col];
    return sum;
}

/* Zeros of either sign are the same, and of bf16 those from denormals. */
static int is_rounded(npuenc_float type, float exact, uint16_t half) {
    const int is_zero = !(half & 0x7fff);
    return is_nearest(type == npuenc_float_bf16 ? bf16 : f16, exact, half) ||
           (is_zero && (exact == 0 || (type == npuenc_float_bf16 && fabsf(exact) < FLT_MIN)));
}

/* Whether `got`, an element of y, is what `y` (before gelu) becomes. */
static int is_right(const npuenc_finish* how, float y, size_t row, size_t col, const void* got) {
    const float* addend = how->addend ? how->addend + row * how->ld_addend + col : NULL;
    uint16_t half;
    float single;
    memcpy(&half, got, sizeof half);
    if (how->type == npuenc_float_f32)
        memcpy(&single, got, sizeof single);
    const Format format = how->type == npuenc_float_bf16 ? bf16 : f16;
    if (how->gelu == npuenc_gelu_none) {
        const float exact = addend ? y + *addend : y;
        return how->type == npuenc_float_f32
                   ? same_f32(single, exact) || (exact == 0 && single == 0)
                   : is_rounded(how->type, exact, half);
    }
    const double exact = gelu(y) + (addend ? (double)*addend : 0);
    const double value = how->type == npuenc_float_f32 ? (double)single : decoded(format, half);
    const double error = gelu_error(how->gelu, y) + (addend ? slack * u * fabs(exact) : 0);
    if (how->type == npuenc_float_f32)
        return fabs(value - exact) <= error;
    /* Half a step of the format, of a number that may be past the next power of two. */
    const double size = fabs(exact) + error;
    const int exponent = ilogb(size) < format.least ? format.least : ilogb(size);
    return fabs(value - exact) <= error + ldexp(0.5, exponent - (format.precision - 1));
}

typedef struct Memory {
    Guarded sums, row_scale, col_scale, bias, addend, y;
} Memory;

static float* random_floats(Check* check, Guarded* memory, size_t n, int hostile, int at_end) {
    float* x = guarded_place(memory, n * sizeof *x, sizeof *x, at_end);
    for (size_t i = 0; i < n; i++)
        x[i] = hostile ? random_hostile_f32(check) : (float)random_normal(check);
    return x;
}

/* What one call is made of. */
typedef struct Case {
    size_t rows, cols;
    int of_s32, parts; /* of the bits of `parts`: row_scale, col_scale, bias, addend */
    npuenc_gelu gelu;
    npuenc_float type;
    int hostile;
    int over_sums, over_addend; /* where y is */
} Case;

static size_t random_gap(Check* check) {
    return random_below(check, 2) ? random_below(check, most_gap + 1) : 0;
}

static void call(const npuenc_finish_sums* family, int of_s32, size_t rows, size_t cols,
                 const void* sums, size_t ld, const npuenc_finish* how) {
    if (of_s32)
        family->s32(rows, cols, sums, ld, how);
    else
        family->f32(rows, cols, sums, ld, how);
}

static int is_nan(npuenc_float type, const void* value) {
    float single;
    uint16_t half;
    if (type == npuenc_float_f32) {
        memcpy(&single, value, sizeof single);
        return single != single;
    }
    memcpy(&half, value, sizeof half);
    const double wide = decoded(type == npuenc_float_bf16 ? bf16 : f16, half);
    return wide != wide;
}

/* Each element alone gives the same bits, or another NaN. */
static void expect_same_alone(Check* check, const Case* one, const void* sums, size_t ld,
                              const npuenc_finish* how, size_t row, size_t col,
                              const void* expected) {
    unsigned char alone[4] = {0};
    npuenc_finish single = *how;
    single.row_scale = how->row_scale ? how->row_scale + row : NULL;
    single.col_scale = how->col_scale ? how->col_scale + col : NULL;
    single.bias = how->bias ? how->bias + col : NULL;
    single.addend = how->addend ? how->addend + row * how->ld_addend + col : NULL;
    single.y = alone;
    call(&check->kernels.finish, one->of_s32, 1, 1, (const float*)sums + row * ld + col, ld,
         &single);
    if (memcmp(alone, expected, size_of(one->type)) != 0 &&
        !(is_nan(one->type, alone) && is_nan(one->type, expected)))
        fail(check, "%zu x %zu, element %zu %zu: differs alone", one->rows, one->cols, row, col);
}

static void check_case(Check* check, Memory* memory, const Case* one) {
    const size_t rows = one->rows, cols = one->cols, size = size_of(one->type);
    const int at_end = (int)random_below(check, 2);
    const size_t ld = cols + random_gap(check);
    const size_t ld_addend = cols + random_gap(check);
    const size_t ldy = one->over_sums     ? ld
                       : one->over_addend ? ld_addend
                                          : cols + random_gap(check);
    float* sums = random_floats(check, &memory->sums, (rows - 1) * ld + cols, one->hostile, at_end);
    if (one->of_s32)
        for (size_t i = 0; i < (rows - 1) * ld + cols; i++) { /* of all sizes, and the extremes */
            int32_t value = one->gelu ? (int32_t)random_below(check, 13) - 6
                                      : (int32_t)random_bits(check) >> random_below(check, 32);
            if (one->hostile && random_below(check, 4) == 0)
                value = random_below(check, 2) ? INT32_MAX : INT32_MIN;
            memcpy(sums + i, &value, sizeof value);
        }
    float* addend =
        random_floats(check, &memory->addend, (rows - 1) * ld_addend + cols, one->hostile, at_end);
    npuenc_finish how = {.gelu = one->gelu, .type = one->type, .ldy = ldy};
    if (one->parts & 1)
        how.row_scale = random_floats(check, &memory->row_scale, rows, one->hostile, at_end);
    if (one->parts & 2)
        how.col_scale = random_floats(check, &memory->col_scale, cols, one->hostile, at_end);
    if (one->parts & 4)
        how.bias = random_floats(check, &memory->bias, cols, one->hostile, at_end);
    if (one->parts & 8) {
        how.addend = addend;
        how.ld_addend = ld_addend;
    }
    const size_t bytes_y = ((rows - 1) * ldy + cols) * size;
    unsigned char* y = guarded_place(&memory->y, bytes_y, size, at_end);
    Guarded* target = &memory->y;
    if (one->over_sums || one->over_addend) {
        y = (unsigned char*)(one->over_sums ? sums : addend);
        target = one->over_sums ? &memory->sums : &memory->addend;
    }
    how.y = y;

    /* What it is made of, kept apart from what y is put over. */
    static float old_sums[most_finish_rows * (most_finish_cols + most_gap)];
    static float old_addend[most_finish_rows * (most_finish_cols + most_gap)];
    memcpy(old_sums, sums, ((rows - 1) * ld + cols) * sizeof *sums);
    memcpy(old_addend, addend, ((rows - 1) * ld_addend + cols) * sizeof *addend);

    call(&check->kernels.finish, one->of_s32, rows, cols, sums, ld, &how);

    npuenc_finish from = how;
    from.addend = how.addend ? old_addend : NULL;
    for (size_t row = 0; row < rows; row++)
        for (size_t col = 0; col < cols; col++) {
            const void* got = y + (row * ldy + col) * size;
            int32_t integer;
            memcpy(&integer, old_sums + row * ld + col, sizeof integer);
            const float sum = one->of_s32 ? (float)integer : old_sums[row * ld + col];
            const float before = before_gelu(&how, sum, row, col, 0);
            const float fused = before_gelu(&how, sum, row, col, 1);
            if (!is_right(&from, before, row, col, got) && !is_right(&from, fused, row, col, got)) {
                fail(check,
                     "%zu x %zu of s32 %d, parts %x, gelu %d to type %d, over sums %d, addend %d: "
                     "element %zu %zu of %.9g",
                     rows, cols, one->of_s32, one->parts, one->gelu, one->type, one->over_sums,
                     one->over_addend, row, col, before);
                return;
            }
            if (random_below(check, 16) == 0)
                expect_same_alone(check, one, old_sums, ld, &from, row, col, got);
        }
    /* Between the rows, y is as it was. */
    int whole = guarded_intact(target, y, bytes_y);
    for (size_t row = 0; row + 1 < rows; row++) {
        const unsigned char* gap = y + (row * ldy + cols) * size;
        const size_t bytes = (ldy - cols) * size;
        if (target == &memory->y)
            whole = whole && untouched(gap, bytes);
        else
            whole =
                whole && memcmp(gap, (one->over_sums ? old_sums : old_addend) + row * ldy + cols,
                                bytes) == 0;
    }
    if (!whole)
        fail(check, "%zu x %zu, ldy %zu, type %d: wrote outside of y", rows, cols, ldy, one->type);
}

/* Every width, and with it everything that can be left out; y apart, over the sums, or over the
 * addend, which only f32 can be. */
static void check_cases(Check* check, Memory* memory, int of_s32) {
    for (size_t cols = 1; cols <= most_finish_cols; cols++)
        for (int parts = 0; parts < 16; parts++) {
            if (check->quick && random_below(check, 12))
                continue;
            for (int kind = 0; kind < 9; kind++) {
                const npuenc_gelu gelu = (npuenc_gelu)(kind % 3);
                const npuenc_float type = (npuenc_float)(kind / 3);
                const size_t place = type == npuenc_float_f32 ? random_below(check, 3) : 0;
                const Case one = {.rows = 1 + random_below(check, most_finish_rows),
                                  .cols = cols,
                                  .of_s32 = of_s32,
                                  .parts = parts,
                                  .gelu = gelu,
                                  .type = type,
                                  .hostile = gelu == npuenc_gelu_none && random_below(check, 2),
                                  .over_sums = place == 1,
                                  .over_addend = place == 2 && parts & 8};
                check_case(check, memory, &one);
            }
        }
}

/* gelu itself, over where it bends, and of anything. Beyond, it is 0 or y. */
static void check_gelu(Check* check, npuenc_gelu kind) {
    enum { width = 256 };
    const size_t count = check->quick ? 200 : 8000;
    float x[width], y[width];
    const npuenc_finish how = {.gelu = kind, .type = npuenc_float_f32, .y = y, .ldy = width};
    for (size_t part = 0; part < count; part++) {
        for (size_t i = 0; i < width; i++) {
            const double even = ((double)(part * width + i) + 0.5) / (double)count / width;
            x[i] = part % 2 ? (float)(24 * even - 12) : random_hostile_f32(check);
        }
        check->kernels.finish.f32(1, width, x, width, &how);
        for (size_t i = 0; i < width; i++) {
            const int right = x[i] != x[i]        ? y[i] != y[i]
                              : x[i] == INFINITY  ? y[i] == INFINITY
                              : x[i] == -INFINITY ? y[i] == 0
                              : fabsf(x[i]) > 6   ? y[i] == (x[i] > 0 ? x[i] : 0)
                                                : fabs(y[i] - gelu(x[i])) <= gelu_error(kind, x[i]);
            if (!right)
                fail(check, "gelu %d of %.9g: %.9g instead of %.9g", kind, x[i], y[i], gelu(x[i]));
        }
    }
}

/* To 16 bits: whatever an f32 can be, many at a time. */
static void check_rounding(Check* check) {
    enum { width = 64 };
    const int count = check->quick ? 100 : 4000;
    float x[width];
    uint16_t y[width];
    for (int part = 0; part < count; part++) {
        const int to_bf16 = part & 1;
        const npuenc_finish how = {
            .type = to_bf16 ? npuenc_float_bf16 : npuenc_float_f16, .y = y, .ldy = width};
        for (size_t i = 0; i < width; i++) /* ties and their neighbours, as often as anything */
            x[i] = part & 2
                       ? random_hostile_f32(check)
                       : f32_of((bits_of((float)random_normal(check)) &
                                 ~(to_bf16 ? 0xffffu : 0x1fffu)) |
                                ((to_bf16 ? 0x8000u : 0x1000u) + (uint32_t)(part >> 2 & 3) - 1));
        check->kernels.finish.f32(1, width, x, width, &how);
        for (size_t i = 0; i < width; i++)
            if (!is_rounded(how.type, x[i], y[i]))
                fail(check, "%.9g to type %d: %04x", x[i], how.type, y[i]);
    }
}

void check_finish(Check* check) {
    const size_t most = most_finish_rows * (most_finish_cols + most_gap) * sizeof(float);
    Memory memory = {guarded_new(most),
                     guarded_new(most_finish_rows * sizeof(float)),
                     guarded_new(most_finish_cols * sizeof(float)),
                     guarded_new(most_finish_cols * sizeof(float)),
                     guarded_new(most),
                     guarded_new(most)};
    begin(check, "finish f32");
    check_cases(check, &memory, 0);
    check_gelu(check, npuenc_gelu_f32);
    check_gelu(check, npuenc_gelu_bf16);
    check_rounding(check);
    end(check);
    begin(check, "finish s32");
    check_cases(check, &memory, 1);
    end(check);
    guarded_free(&memory.sums);
    guarded_free(&memory.row_scale);
    guarded_free(&memory.col_scale);
    guarded_free(&memory.bias);
    guarded_free(&memory.addend);
    guarded_free(&memory.y);
}
