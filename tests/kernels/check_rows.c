/* SPDX-License-Identifier: MIT
 *
 * Row operations against their definitions in double. u = 2^-24 is the greatest relative error of a
 * rounding in f32, and half an ulp at most; bounds are of first order with 1 % for the rest.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static const double u = 0x1p-24;
static const double slack = 1.01;

typedef struct Row {
    size_t n;
    float* data;
    Guarded memory;
} Row;

enum { most_columns = 2048 };
/* At once, of several rows. */
enum { most_quantised = 3000 };

static Row row_new(void) {
    return (Row){0, NULL, guarded_new(most_columns * sizeof(float))};
}

static void row_place(Row* row, size_t n, int at_end) {
    row->n = n;
    row->data = guarded_place(&row->memory, n * sizeof(float), sizeof(float), at_end);
}

static void row_check(Check* check, const Row* row, const char* name) {
    if (!guarded_intact(&row->memory, row->data, row->n * sizeof(float)))
        fail(check, "n %zu: wrote outside of %s", row->n, name);
}

static size_t next_n(const Check* check, size_t n) {
    static const size_t large[] = {255, 256, 257, 384, 512, 1279, 1500, 1536, most_columns};
    if (n < (check->quick ? 70 : 200))
        return n + 1;
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++)
        if (large[i] > n)
            return large[i];
    return 0;
}

/* What the rows of a transformer hold, and what they do not. */
static double random_value(Check* check, int kind) {
    const double normal = random_normal(check);
    switch (kind) {
    case 0:
        return normal;
    case 1:
        return 1000 + normal; /* the mean far from the deviation */
    case 2:
        return random_below(check, 50) ? normal : 509; /* massive activations */
    case 3:
        return normal * 1e-40; /* denormals */
    case 4:
        return 3.25; /* no variance at all */
    case 5:
        return normal * 1e-3; /* a variance below the epsilon */
    default:
        return normal * 1e15;
    }
}
enum { value_kinds = 7 };

/* With m the mean, D the depth of a sum and s = 1 / sqrt(v + e), the steps of layer_norm err by
 *   dm = (D + 1) u mean|x|                  the sum and its division
 *   dv = (D + 5) u (v + dm^2) + dm^2        x - m and its square: 3 u; the sum, the division
 *   ds = s (dv / (v + e) / 2 + 3 u)         the addition of e, the root, the reciprocal
 *   dz = dm s + |z| (ds / s + 2 u)          z = (x - m) s
 *   dy = |w| dz + u (|w z| + |y|)
 * where dv / (v + e) may be large: then s is bounded by 1 / sqrt(e) alone. */
static void expect_layer_norm(Check* check, size_t n, const float* x, const float* w,
                              const float* b, const float* y) {
    double mean = 0, size = 0, variance = 0;
    for (size_t i = 0; i < n; i++) {
        mean += x[i];
        size += fabs(x[i]);
    }
    mean /= (double)n;
    size /= (double)n;
    for (size_t i = 0; i < n; i++)
        variance += (x[i] - mean) * (x[i] - mean);
    variance /= (double)n;
    const double e = 1e-5f, s = 1 / sqrt(variance + e), depth = depth_of(n);
    const double dm = (depth + 1) * u * size + u * fabs(mean);
    const double dv = (depth + 5) * u * (variance + dm * dm) + dm * dm;
    const double ratio = dv / (variance + e);
    const double ds = ratio < 0.01 ? s * (ratio / 2 * slack + 3 * u) : 1 / sqrt(e);
    for (size_t i = 0; i < n; i++) {
        const double z = (x[i] - mean) * s, exact = z * w[i] + b[i];
        const double dz = dm * (s + ds) + fabs(z) * (ds / s + 2 * u);
        const double bound =
            slack * (fabs(w[i]) * dz + u * (fabs(w[i] * z) + fabs(exact))) + 0x1p-148;
        if (!(fabs(y[i] - exact) <= bound)) {
            fail(check, "n %zu, element %zu: %.9g instead of %.9g (+- %.2g)", n, i, y[i], exact,
                 bound);
            return;
        }
    }
}

static void check_layer_norm(Check* check) {
    Row x = row_new(), w = row_new(), b = row_new(), y = row_new();
    float kept[most_columns];
    begin(check, "layer_norm");
    for (size_t n = 1; n; n = next_n(check, n))
        for (int kind = 0; kind < value_kinds; kind++) {
            for (int at_end = 0; at_end < 2; at_end++) {
                row_place(&x, n, at_end);
                row_place(&w, n, at_end);
                row_place(&b, n, at_end);
                row_place(&y, n, at_end);
                for (size_t i = 0; i < n; i++) {
                    x.data[i] = (float)random_value(check, kind);
                    w.data[i] = (float)random_normal(check);
                    b.data[i] = (float)random_normal(check);
                }
                check->kernels.rows.layer_norm(n, x.data, w.data, b.data, y.data);
                expect_layer_norm(check, n, x.data, w.data, b.data, y.data);
                row_check(check, &x, "x");
                row_check(check, &y, "y");
                memcpy(kept, y.data, n * sizeof(float));
            }
            /* In place, elsewhere, the same bits. */
            float* moved = guarded_place(&y.memory, n * sizeof(float), sizeof(float), 0);
            memcpy(moved, x.data, n * sizeof(float));
            check->kernels.rows.layer_norm(n, moved, w.data, b.data, moved);
            if (memcmp(moved, kept, n * sizeof(float)) != 0)
                fail(check, "n %zu: in place differs", n);

            moved[random_below(check, n)] = random_below(check, 2) ? NAN : -INFINITY;
            check->kernels.rows.layer_norm(n, moved, w.data, b.data, moved);
            for (size_t i = 0; i < n; i++)
                if (moved[i] == moved[i]) {
                    fail(check, "n %zu: %g in a row with a NaN or an infinity", n, moved[i]);
                    break;
                }
        }
    end(check);
    guarded_free(&x.memory);
    guarded_free(&w.memory);
    guarded_free(&b.memory);
    guarded_free(&y.memory);
}

/* What rows to be quantised hold. */
enum {
    plain_row,
    sized_row,   /* of any magnitude */
    hostile_row, /* anything */
    finite_row,  /* anything finite */
    nan_row,     /* some */
    all_nan_row,
    tied_row, /* a multiplier of 1 and halves */
    zero_row, /* of both signs */
    denormal_row,
    least_row,    /* around the least maximum with a finite multiplier */
    infinite_row, /* one infinity */
    row_kinds
};

/* The first and the last NaN of a bf16, the usual one, of either sign. */
static float random_nan(Check* check) {
    static const uint32_t nans[] = {0x7f810000, 0x7fffffff, 0x7fc00000};
    const uint32_t nan = nans[random_below(check, sizeof nans / sizeof nans[0])];
    return f32_of(nan | (uint32_t)random_below(check, 2) << 31);
}

static float random_element(Check* check, int kind, int exponent) {
    const float normal = (float)random_normal(check);
    float value = normal;
    switch (kind) {
    case sized_row:
        return ldexpf(normal, exponent);
    case hostile_row:
        return random_hostile_f32(check);
    case finite_row:
        do
            value = random_hostile_f32(check);
        while (!isfinite(value));
        return value;
    case nan_row:
        return random_below(check, 4) ? normal : random_nan(check);
    case all_nan_row:
        return random_nan(check);
    case tied_row:
        return (float)((int)random_below(check, 254) - 127) + 0.5f;
    case zero_row:
        return normal < 0 ? -0.0f : 0.0f;
    case denormal_row:
        return f32_of((uint32_t)random_bits(check) & 0x807fffff);
    case least_row:
        return normal * 0x1p-124f;
    default:
        return normal;
    }
}

/* What decides the multiplier of a row, besides what it holds. */
static float random_greatest(Check* check, int kind) {
    static const uint32_t least = 0x02fe0000; /* 127 / 2^128 */
    switch (kind) {
    case tied_row:
        return random_below(check, 2) ? 127.0f : -127.0f;
    case least_row: /* of bf16, one step of which is the upper half */
        return f32_of(random_below(check, 2)
                          ? least - 4 + (uint32_t)random_below(check, 9)
                          : least - 0x20000 + 0x10000 * (uint32_t)random_below(check, 5));
    case infinite_row:
        return random_below(check, 2) ? INFINITY : -INFINITY;
    default:
        return random_element(check, kind, 0);
    }
}

static void fill_row(Check* check, int kind, size_t n, float* x) {
    const int exponent = (int)random_below(check, 240) - 126;
    for (size_t i = 0; i < n; i++)
        x[i] = random_element(check, kind, exponent);
    if (kind != sized_row)
        x[random_below(check, n)] = random_greatest(check, kind);
}

/* The definition. The product is one of f32, and so is all else that rounds. */
static float quantise(size_t n, const float* x, int8_t* out) {
    float greatest = 0;
    for (size_t i = 0; i < n; i++)
        if (fabsf(x[i]) > greatest)
            greatest = fabsf(x[i]);
    const volatile float m = 127.0f / greatest;
    const int none = !(m <= FLT_MAX) || m == 0;
    for (size_t i = 0; i < n; i++) {
        const volatile float product = x[i] * m;
        out[i] = (int8_t)(none || x[i] != x[i] ? 0 : nearbyint(product));
    }
    return none ? 0 : greatest / 127.0f;
}

static void expect_quantised(Check* check, const char* what, size_t n, const float* x,
                             size_t stride, const int8_t* out, float scale) {
    static int8_t expected[most_quantised];
    const float expected_scale = quantise(n, x, expected);
    if (bits_of(scale) != bits_of(expected_scale))
        fail(check, "%s, n %zu: scale %a instead of %a", what, n, scale, expected_scale);
    for (size_t i = 0; i < n; i++)
        if (out[i * stride] != expected[i]) {
            fail(check, "%s, n %zu, element %zu: %a became %d instead of %d (scale %a)", what, n, i,
                 x[i], out[i * stride], expected[i], expected_scale);
            return;
        }
}

static void halve(size_t n, const float* x, uint16_t* half) {
    for (size_t i = 0; i < n; i++)
        half[i] = (uint16_t)(bits_of(x[i]) >> 16);
}

static float widened(uint16_t half) {
    return f32_of((uint32_t)half << 16);
}

static float run_quantise(const npuenc_rows* kernels, int of_bf16, size_t rows, size_t n,
                          const void* x, size_t ld, int8_t* out) {
    return of_bf16 ? kernels->quantise_bf16(rows, n, x, ld, out)
                   : kernels->quantise_f32(rows, n, x, ld, out);
}

static void check_quantise(Check* check, int of_bf16) {
    Guarded in = guarded_new(most_columns * sizeof(float)), memory = guarded_new(most_columns);
    static float x[most_columns];
    static int8_t other[most_columns];
    const size_t size = of_bf16 ? sizeof(uint16_t) : sizeof(float);
    npuenc_kernels reference;
    begin(check, of_bf16 ? "quantise_bf16" : "quantise_f32");
    if (npuenc_kernels_init(&reference, "reference") != NPUENC_KERNELS_OK)
        fail(check, "no reference");
    for (size_t n = 1; n; n = next_n(check, n))
        for (int kind = 0; kind < row_kinds; kind++)
            for (int at_end = 0; at_end < 2; at_end++) {
                void* from = guarded_place(&in, n * size, size, at_end);
                int8_t* out = guarded_place(&memory, n, 1, at_end);
                fill_row(check, kind, n, x);
                /* Once everywhere, what is greater than all else. */
                const size_t places = kind == plain_row && n <= 200 ? n : 1;
                for (size_t place = 0; place < places; place++) {
                    if (places > 1)
                        x[place] = place & 1 ? 8.0f + (float)place : -8.0f - (float)place;
                    if (of_bf16) {
                        halve(n, x, from);
                        for (size_t i = 0; i < n; i++)
                            x[i] = widened(((const uint16_t*)from)[i]);
                    } else {
                        memcpy(from, x, n * size);
                    }
                    const float scale =
                        run_quantise(&check->kernels.rows, of_bf16, 1, n, from, 0, out);
                    expect_quantised(check, "row", n, x, 1, out, scale);
                    const float other_scale =
                        run_quantise(&reference.rows, of_bf16, 1, n, from, 0, other);
                    if (bits_of(scale) != bits_of(other_scale) || memcmp(out, other, n) != 0)
                        fail(check, "n %zu, kind %d: differs from the reference", n, kind);
                }
                if (!guarded_intact(&memory, out, n) || !guarded_intact(&in, from, n * size))
                    fail(check, "n %zu: wrote outside", n);
            }
    end(check);
    guarded_free(&in);
    guarded_free(&memory);
}

/* Several rows, which have one scale. */
static void check_quantise_rows(Check* check, int of_bf16) {
    enum { most_n = 150, most_gap = 20, most_rows = most_quantised / most_n };
    const size_t size = of_bf16 ? sizeof(uint16_t) : sizeof(float);
    Guarded in = guarded_new(most_rows * (most_n + most_gap) * sizeof(float));
    Guarded memory = guarded_new(most_rows * most_n);
    static float x[most_rows * most_n];
    begin(check, of_bf16 ? "quantise_bf16, rows" : "quantise_f32, rows");
    for (size_t n = 1; n <= (check->quick ? 70 : most_n); n++)
        for (size_t rows = 0; rows <= most_rows; rows += 1 + rows / 3) {
            const size_t ld = n + random_below(check, most_gap + 1);
            const size_t count = rows * n;
            const size_t bytes = rows ? ((rows - 1) * ld + n) * size : 0;
            const int at_end = (int)(n + rows) & 1;
            char* from = guarded_place(&in, bytes, size, at_end);
            int8_t* out = guarded_place(&memory, count, 1, at_end);
            if (count)
                fill_row(check, (int)random_below(check, row_kinds), count, x);
            for (size_t i = 0; i < count; i++) {
                char* to = from + (i / n * ld + i % n) * size;
                if (of_bf16) {
                    halve(1, &x[i], (uint16_t*)to);
                    x[i] = widened(*(const uint16_t*)to);
                } else {
                    memcpy(to, &x[i], size);
                }
            }
            const float scale = run_quantise(&check->kernels.rows, of_bf16, rows, n, from, ld, out);
            expect_quantised(check, "rows", count, x, 1, out, scale);
            if (!guarded_intact(&memory, out, count) || !guarded_intact(&in, from, bytes))
                fail(check, "%zu x %zu: wrote outside", rows, n);
        }
    end(check);
    guarded_free(&in);
    guarded_free(&memory);
}

static void check_quantise_cols(Check* check) {
    enum { most_n = 200, most_tall = 130, most_gap = 20, most_of = most_n + most_gap };
    static const size_t heights[] = {1, 2, 3, 5, 8, 16, 17, 64, most_tall};
    Guarded in = guarded_new(most_tall * most_of * sizeof(uint16_t));
    Guarded memory = guarded_new(most_tall * most_n);
    Guarded scale_memory = guarded_new(most_n * sizeof(float));
    float x[most_tall];
    uint16_t half[most_tall];
    begin(check, "quantise_cols_bf16");
    for (size_t n = 1; n <= (check->quick ? 70 : most_n); n++)
        for (size_t h = 0; h < sizeof heights / sizeof heights[0]; h++) {
            const size_t rows = heights[h];
            const size_t ld = n + (random_below(check, 2) ? random_below(check, most_gap + 1) : 0);
            const size_t bytes = ((rows - 1) * ld + n) * sizeof(uint16_t);
            const int at_end = (int)(n + h) & 1;
            uint16_t* from = guarded_place(&in, bytes, sizeof(uint16_t), at_end);
            int8_t* out = guarded_place(&memory, rows * n, 1, at_end);
            float* scales = guarded_place(&scale_memory, n * sizeof(float), sizeof(float), at_end);
            for (size_t col = 0; col < n; col++) {
                const int kind =
                    random_below(check, 3) ? (int)random_below(check, row_kinds) : plain_row;
                fill_row(check, kind, rows, x);
                halve(rows, x, half);
                for (size_t row = 0; row < rows; row++)
                    from[row * ld + col] = half[row];
            }
            check->kernels.rows.quantise_cols_bf16(rows, n, from, ld, out, scales);
            for (size_t col = 0; col < n; col++) {
                for (size_t row = 0; row < rows; row++)
                    x[row] = widened(from[row * ld + col]);
                expect_quantised(check, "column", rows, x, n, out + col, scales[col]);
            }
            if (!guarded_intact(&memory, out, rows * n) || !guarded_intact(&in, from, bytes) ||
                !guarded_intact(&scale_memory, scales, n * sizeof(float)))
                fail(check, "%zu x %zu: wrote outside", rows, n);
        }
    end(check);
    guarded_free(&in);
    guarded_free(&memory);
    guarded_free(&scale_memory);
}

/* A sum of squares, each rounded or not, is off by n u of itself. */
static void check_sum_of_squares(Check* check) {
    Guarded in = guarded_new(most_columns * sizeof(uint16_t));
    static float x[most_columns];
    begin(check, "sum_of_squares_bf16");
    for (size_t n = 1; n; n = next_n(check, n))
        for (int kind = 0; kind < value_kinds; kind++)
            for (int at_end = 0; at_end < 2; at_end++) {
                uint16_t* from = guarded_place(&in, n * sizeof *from, sizeof *from, at_end);
                double sum = 0;
                for (size_t i = 0; i < n; i++)
                    x[i] = (float)random_value(check, kind);
                halve(n, x, from);
                for (size_t i = 0; i < n; i++)
                    sum += (double)widened(from[i]) * (double)widened(from[i]);
                const double found = (double)check->kernels.rows.sum_of_squares_bf16(n, from);
                const double bound = (double)n * u * slack * sum + (double)n * 0x1p-126;
                if (!(fabs(found - sum) <= bound))
                    fail(check, "n %zu, kind %d: %g, not %g", n, kind, found, sum);
                from[random_below(check, (uint32_t)n)] = 0x7fc0; /* NaN */
                if (!isnan(check->kernels.rows.sum_of_squares_bf16(n, from)))
                    fail(check, "n %zu: a NaN is lost", n);
            }
    end(check);
    guarded_free(&in);
}

void check_rows(Check* check) {
    check_layer_norm(check);
    check_quantise(check, 0);
    check_quantise(check, 1);
    check_quantise_rows(check, 0);
    check_quantise_rows(check, 1);
    check_quantise_cols(check);
    check_sum_of_squares(check);
}
