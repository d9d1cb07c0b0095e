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

/* Additions that an element of a sum over n goes through: no instruction set has fewer lanes than
 * eight, or more than 64, which take six additions to join, and one more for the result. */
static double depth_of(size_t n) {
    return (double)((n + 7) / 8) + 7;
}

typedef struct Row {
    size_t n;
    float* data;
    Guarded memory;
} Row;

enum { most_columns = 2048 };

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
                check->kernels.rows_f32.layer_norm(n, x.data, w.data, b.data, y.data);
                expect_layer_norm(check, n, x.data, w.data, b.data, y.data);
                row_check(check, &x, "x");
                row_check(check, &y, "y");
                memcpy(kept, y.data, n * sizeof(float));
            }
            /* In place, elsewhere, the same bits. */
            float* moved = guarded_place(&y.memory, n * sizeof(float), sizeof(float), 0);
            memcpy(moved, x.data, n * sizeof(float));
            check->kernels.rows_f32.layer_norm(n, moved, w.data, b.data, moved);
            if (memcmp(moved, kept, n * sizeof(float)) != 0)
                fail(check, "n %zu: in place differs", n);

            moved[random_below(check, n)] = random_below(check, 2) ? NAN : -INFINITY;
            check->kernels.rows_f32.layer_norm(n, moved, w.data, b.data, moved);
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

/* With t = scale x + mask, an exponent t - max errs by d = u (|scale x| + |t| + |t - max|),
 * whatever the rounding of max, which all share; exp by 2 ulp, 4 u at most; the sum by the mean of
 * these over the probabilities, and D u; its reciprocal and the product by u each. Below 2^-126 an
 * error of one denormal comes on top, in exp and in the product. */
static void expect_softmax(Check* check, size_t n, const float* x, float scale, const float* mask,
                           const float* y) {
    double t[most_columns], max = -INFINITY, sum = 0, drift = 0;
    for (size_t i = 0; i < n; i++) {
        t[i] =
            mask && mask[i] == -INFINITY ? -INFINITY : (double)scale * x[i] + (mask ? mask[i] : 0);
        max = fmax(max, t[i]);
    }
    for (size_t i = 0; i < n; i++)
        if (t[i] > -INFINITY) {
            const double p = exp(t[i] - max);
            sum += p;
            drift += p * u * (fabs((double)scale * x[i]) + fabs(t[i]) + fabs(t[i] - max));
        }
    for (size_t i = 0; i < n; i++) {
        double exact = 0, bound = 0;
        if (t[i] > -INFINITY) {
            exact = exp(t[i] - max) / sum;
            bound = u * (fabs((double)scale * x[i]) + fabs(t[i]) + fabs(t[i] - max)) + 4 * u +
                    drift / sum + 4 * u + (depth_of(n) + 2) * u;
            bound = exact * slack * bound + 3 * 0x1p-149;
        }
        if (!(fabs(y[i] - exact) <= bound)) {
            fail(check, "n %zu, element %zu: %.9g instead of %.9g (+- %.2g)", n, i, y[i], exact,
                 bound);
            return;
        }
    }
}

static int all_are(const float* x, size_t n, float value) {
    for (size_t i = 0; i < n; i++)
        if (value != value ? x[i] == x[i] : x[i] != value)
            return 0;
    return 1;
}

static void check_softmax_specials(Check* check, size_t n, Row* x, Row* mask) {
    const size_t at = random_below(check, n), other = random_below(check, n);
    const float scale = 0.125f;
    const struct {
        float value, mask;
        int with_mask;
        float rest; /* the others' x */
        float expected;
        const char* what;
    } cases[] = {
        {NAN, 0, 0, 1, NAN, "a NaN"},
        {INFINITY, 0, 0, 1, NAN, "+inf"},
        {NAN, 0, 1, 1, NAN, "a NaN, with a mask"},
        {INFINITY, 0, 1, 1, NAN, "+inf, with a mask"},
        {1, INFINITY, 1, 1, NAN, "+inf in the mask"},
        {1, NAN, 1, 1, NAN, "a NaN in the mask"},
        {NAN, 0, 0, -INFINITY, NAN, "a NaN among -inf"},
        {-INFINITY, 0, 0, -INFINITY, 0, "nothing but -inf"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        row_place(x, n, 1);
        row_place(mask, n, 1);
        for (size_t i = 0; i < n; i++) {
            x->data[i] = i == at ? cases[c].value : cases[c].rest;
            mask->data[i] = i == at ? cases[c].mask : 0;
        }
        check->kernels.rows_f32.softmax(n, x->data, scale, cases[c].with_mask ? mask->data : NULL);
        if (!all_are(x->data, n, cases[c].expected))
            fail(check, "n %zu: %s at %zu", n, cases[c].what, at);
    }
    /* What overflows only when scaled. */
    row_place(x, n, 1);
    for (size_t i = 0; i < n; i++)
        x->data[i] = i == at ? FLT_MAX : 1;
    check->kernels.rows_f32.softmax(n, x->data, 2, NULL);
    if (!all_are(x->data, n, NAN))
        fail(check, "n %zu: an overflow at %zu", n, at);
    /* All excluded, whatever is there. */
    for (size_t i = 0; i < n; i++) {
        x->data[i] = random_hostile_f32(check);
        mask->data[i] = -INFINITY;
    }
    check->kernels.rows_f32.softmax(n, x->data, scale, mask->data);
    if (!all_are(x->data, n, 0))
        fail(check, "n %zu: all excluded", n);
    /* All but one. */
    for (size_t i = 0; i < n; i++)
        x->data[i] = i == other ? 3 : random_hostile_f32(check);
    mask->data[other] = 0;
    check->kernels.rows_f32.softmax(n, x->data, scale, mask->data);
    for (size_t i = 0; i < n; i++)
        if (x->data[i] != (i == other))
            fail(check, "n %zu: %g at %zu when only %zu counts", n, x->data[i], i, other);
}

/* exp itself, to 2 ulp: of two elements 0 and v < -17.4, the sum is 1 and the second one exp(v). */
static void check_exp(Check* check) {
    const int count = check->quick ? 2000 : 400000;
    for (int i = 0; i < count; i++) {
        const float v = (float)(-17.4 - 90 * ((double)i + 0.5) / count);
        float x[2] = {0, v};
        check->kernels.rows_f32.softmax(2, x, 1, NULL);
        const double exact = exp(v), ulp = fmax(ldexp(1, ilogb(exact) - 23), 0x1p-149);
        if (x[0] != 1 || !(fabs(x[1] - exact) <= 2 * ulp))
            fail(check, "exp(%.9g): %.9g instead of %.9g", v, x[1], exact);
    }
}

static void check_softmax(Check* check) {
    Row x = row_new(), mask = row_new();
    float before[most_columns], kept[most_columns];
    begin(check, "softmax");
    for (size_t n = 1; n; n = next_n(check, n))
        for (int kind = 0; kind < 8; kind++) {
            const int with_mask = kind & 1;
            const float scale = kind & 2 ? 0.125f : -1.0f;
            const double spread = kind & 4 ? 40 : 3; /* wide: to zero through the denormals */
            for (size_t i = 0; i < n; i++)
                before[i] = (float)(random_normal(check) * spread);
            row_place(&mask, n, n & 1);
            for (size_t i = 0; i < n; i++)
                mask.data[i] = random_below(check, 4) ? (float)random_normal(check) : -INFINITY;
            for (int at_end = 0; at_end < 2; at_end++) {
                row_place(&x, n, at_end);
                memcpy(x.data, before, n * sizeof(float));
                check->kernels.rows_f32.softmax(n, x.data, scale, with_mask ? mask.data : NULL);
                if (with_mask && all_are(mask.data, n, -INFINITY)) {
                    if (!all_are(x.data, n, 0))
                        fail(check, "n %zu: not zeros", n);
                } else {
                    expect_softmax(check, n, before, scale, with_mask ? mask.data : NULL, x.data);
                }
                row_check(check, &x, "x");
                if (at_end && memcmp(x.data, kept, n * sizeof(float)) != 0)
                    fail(check, "n %zu: differs with the alignment", n);
                memcpy(kept, x.data, n * sizeof(float));
            }
            if (kind == 0)
                check_softmax_specials(check, n, &x, &mask);
        }
    check_exp(check);
    end(check);
    guarded_free(&x.memory);
    guarded_free(&mask.memory);
}

static double gelu(double y) {
    return y / 2 * erfc(-y / sqrt(2));
}

static int close_to_gelu(double got, float y) {
    return fabs(got - gelu(y)) <= 1e-6 * fmax(1, fabs(y));
}

static void check_gelu(Check* check) {
    const size_t count = check->quick ? 20 : 1000;
    float x[most_columns], y[most_columns];
    for (size_t part = 0; part < count; part++) {
        for (size_t i = 0; i < most_columns; i++) {
            const double even = ((double)(part * most_columns + i) + 0.5) / (double)count /
                                most_columns; /* 0 to 1 */
            x[i] = part % 2 ? (float)(24 * even - 12) : random_hostile_f32(check);
            y[i] = x[i];
        }
        check->kernels.rows_f32.epilogue(most_columns, y, NULL, 1, NULL);
        for (size_t i = 0; i < most_columns; i++) {
            const int right = x[i] != x[i]        ? y[i] != y[i]
                              : x[i] == INFINITY  ? y[i] == INFINITY
                              : x[i] == -INFINITY ? y[i] == 0
                              : fabsf(x[i]) > 6   ? y[i] == (x[i] > 0 ? x[i] : 0)
                                                  : close_to_gelu(y[i], x[i]);
            if (!right)
                fail(check, "gelu(%.9g): %.9g instead of %.9g", x[i], y[i], gelu(x[i]));
        }
    }
}

/* The additions are exact to the bit; gelu is held against its bound, and an addition after it adds
 * half an ulp. */
static void expect_epilogue(Check* check, size_t n, const float* before, const float* bias,
                            int with_gelu, const float* addend, const float* y) {
    for (size_t i = 0; i < n; i++) {
        const float in = bias ? before[i] + bias[i] : before[i];
        int right;
        if (with_gelu) {
            const double exact = gelu(in) + (addend ? addend[i] : 0);
            const double bound = 1e-6 * fmax(1, fabs(in)) + u * slack * fabs(exact);
            right = fabs(y[i] - exact) <= bound;
        } else {
            right = same_f32(y[i], addend ? in + addend[i] : in);
        }
        if (!right) {
            fail(check, "n %zu, element %zu of bias %d, gelu %d, addend %d: %.9g of %.9g", n, i,
                 bias != NULL, with_gelu, addend != NULL, y[i], before[i]);
            return;
        }
    }
}

static void check_epilogue(Check* check) {
    Row y = row_new(), bias = row_new(), addend = row_new();
    float before[most_columns], kept[most_columns];
    begin(check, "epilogue");
    for (size_t n = 1; n; n = next_n(check, n))
        for (int kind = 0; kind < 8; kind++) {
            row_place(&bias, n, n & 1);
            row_place(&addend, n, n & 1);
            for (size_t i = 0; i < n; i++) {
                before[i] = (float)(3 * random_normal(check));
                bias.data[i] = (float)random_normal(check);
                addend.data[i] = (float)random_normal(check);
            }
            if (!(kind & 2)) /* without gelu */
                before[random_below(check, n)] = random_hostile_f32(check);
            const float* with_bias = kind & 1 ? bias.data : NULL;
            const float* with_addend = kind & 4 ? addend.data : NULL;
            for (int at_end = 0; at_end < 2; at_end++) {
                row_place(&y, n, at_end);
                memcpy(y.data, before, n * sizeof(float));
                /* Any value but 0 means yes. */
                check->kernels.rows_f32.epilogue(n, y.data, with_bias, kind & 2, with_addend);
                expect_epilogue(check, n, before, with_bias, kind & 2, with_addend, y.data);
                row_check(check, &y, "y");
                if (at_end && memcmp(y.data, kept, n * sizeof(float)) != 0)
                    fail(check, "n %zu: differs with the alignment", n);
                memcpy(kept, y.data, n * sizeof(float));
            }
        }
    check_gelu(check);
    end(check);
    guarded_free(&y.memory);
    guarded_free(&bias.memory);
    guarded_free(&addend.memory);
}

static void check_abs_max(Check* check) {
    Row x = row_new();
    begin(check, "abs_max");
    for (size_t n = 1; n; n = next_n(check, n))
        for (int kind = 0; kind < 6; kind++) {
            float greatest = 0;
            row_place(&x, n, kind & 1);
            for (size_t i = 0; i < n; i++) {
                x.data[i] = kind < 2   ? (float)random_normal(check)
                            : kind < 4 ? random_hostile_f32(check)
                                       : NAN;
                if (fabsf(x.data[i]) > greatest)
                    greatest = fabsf(x.data[i]);
            }
            if (kind < 2) { /* each place once the greatest */
                x.data[n / 2] = -7.5f;
                greatest = 7.5f;
            }
            const float got = check->kernels.rows_f32.abs_max(n, x.data);
            if (bits_of(got) != bits_of(greatest))
                fail(check, "n %zu: %.9g instead of %.9g", n, got, greatest);
            for (size_t i = 0; kind == 0 && n <= 200 && i < n; i++) {
                x.data[i] = -8;
                if (check->kernels.rows_f32.abs_max(n, x.data) != 8)
                    fail(check, "n %zu: element %zu missed", n, i);
                x.data[i] = 0;
            }
        }
    end(check);
    guarded_free(&x.memory);
}

void check_rows(Check* check) {
    check_layer_norm(check);
    check_softmax(check);
    check_epilogue(check);
    check_abs_max(check);
}
