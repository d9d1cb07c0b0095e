/* SPDX-License-Identifier: MIT
 *
 * npuenc_weight_create and npuenc_linear against sums in double precision, and every way to call
 * them wrongly.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

static const int32_t real_types[] = {NPUENC_F32, NPUENC_BF16, NPUENC_F16};

/* ---- A weight with its data, without slack ---- */

typedef struct matrix {
    npuenc_weight_desc desc;
    size_t ld, bytes;
    void* data;
    float *scales, *bias; /* NULL: none */
    npuenc_weight* weight;
} matrix;

static matrix matrix_of(npuenc_weight_desc desc, bool with_bias, random_source* source) {
    desc.struct_size = sizeof desc;
    matrix m = {.desc = desc, .ld = desc.ld ? desc.ld : desc.n_in};
    const size_t n = (desc.n_out - 1) * m.ld + desc.n_in;
    m.bytes = n * element_bytes(desc.type);
    m.data = random_elements(source, desc.type, n);
    if (desc.type == NPUENC_S8) {
        m.scales = malloc(desc.n_out * sizeof(float));
        for (uint32_t i = 0; i < desc.n_out; i++)
            m.scales[i] = i % 5 == 4 ? 0 : 0.01f * (1.5f + random_real(source));
    }
    if (with_bias)
        m.bias = random_elements(source, NPUENC_F32, desc.n_out);
    return m;
}

static int32_t create(npuenc_ctx* with, matrix* m) {
    m->weight = (npuenc_weight*)&m->weight;
    const size_t n = m->desc.n_out * sizeof(float);
    const int32_t status =
        npuenc_weight_create(with, &m->desc, m->data, m->bytes, m->scales, m->scales ? n : 0,
                             m->bias, m->bias ? n : 0, &m->weight);
    assert_int_equal(status == NPUENC_OK, m->weight != NULL);
    return status;
}

static void free_matrix(matrix* m) {
    npuenc_weight_free(m->weight);
    free(m->data);
    free(m->scales);
    free(m->bias);
}

static double weight_at(const matrix* m, size_t out, size_t in) {
    const double value = element(m->desc.type, m->data, out * m->ld + in);
    return m->desc.type == NPUENC_S8 ? value * m->scales[out] : value;
}

static int32_t precision_of(const npuenc_weight_desc* desc) {
    if (desc->precision != NPUENC_PRECISION_AUTO)
        return desc->precision;
    return desc->type == NPUENC_S8     ? NPUENC_PRECISION_INT8
           : desc->type == NPUENC_BF16 ? NPUENC_PRECISION_BF16
                                       : NPUENC_PRECISION_F32;
}

/* ---- Activations ---- */

typedef struct activations {
    npuenc_linear_desc desc;
    size_t ldx, ldy, x_bytes, y_bytes;
    void *x, *y;
} activations;

static size_t bytes_of(size_t rows, size_t n, size_t ld, int32_t type) {
    return rows ? ((rows - 1) * ld + n) * element_bytes(type) : 0;
}

static activations activations_of(npuenc_linear_desc desc, const matrix* m, random_source* source) {
    desc.struct_size = sizeof desc;
    activations a = {.desc = desc,
                     .ldx = desc.ldx ? desc.ldx : m->desc.n_in,
                     .ldy = desc.ldy ? desc.ldy : m->desc.n_out};
    a.x_bytes = bytes_of(desc.rows, m->desc.n_in, a.ldx, desc.x_type);
    a.y_bytes = bytes_of(desc.rows, m->desc.n_out, a.ldy, desc.y_type);
    a.x = random_elements(source, desc.x_type, a.x_bytes / element_bytes(desc.x_type));
    a.y = filled(a.y_bytes);
    return a;
}

static void free_activations(activations* a) {
    free(a->x);
    free(a->y);
}

static int32_t multiply(const matrix* m, activations* a) {
    return npuenc_linear(m->weight, &a->desc, a->x, a->x_bytes, a->y, a->y_bytes, NULL);
}

/* ---- The formula ---- */

static double unit_of(int32_t type) {
    return type == NPUENC_F32 ? 0 : type == NPUENC_BF16 ? unit_bf16 : unit_f16;
}

static double largest_x(const matrix* m, const activations* a, size_t row) {
    double largest = 0;
    for (size_t i = 0; i < m->desc.n_in; i++)
        largest = fmax(largest, fabs(element(a->desc.x_type, a->x, row * a->ldx + i)));
    return largest;
}

static double largest_weight(const matrix* m, size_t out) {
    double largest = 0;
    for (size_t i = 0; i < m->desc.n_in; i++)
        largest = fmax(largest, fabs(weight_at(m, out, i)));
    return largest;
}

/* F32 and BF16 (whose products are exact in f32): the error of a sum of n_in products, and of
 * adding the bias. INT8: each operand is off by half a step, which is the largest magnitude of its
 * row / 127, or by a thousandth more for what is rounded on the way; S8 weights are exact; products
 * of an error and an error included. The sums are exact, and their scaling is four roundings. All:
 * half a unit of y's type (F16 below 2^-14 has steps of 2^-24). */
static void check_element(const matrix* m, const activations* a, size_t row, size_t out) {
    const int32_t precision = precision_of(&m->desc);
    double x_step = 0, w_step = 0;
    if (precision == NPUENC_PRECISION_INT8) {
        x_step = largest_x(m, a, row) / 127 * 0.5 * 1.001;
        w_step = m->desc.type == NPUENC_S8 ? 0 : largest_weight(m, out) / 127 * 0.5 * 1.001;
    }
    double sum = m->bias ? m->bias[out] : 0, magnitude = fabs(sum), tolerance = 0;
    for (size_t i = 0; i < m->desc.n_in; i++) {
        double x = element(a->desc.x_type, a->x, row * a->ldx + i), w = weight_at(m, out, i);
        if (precision == NPUENC_PRECISION_BF16)
            x = real_of_bf16(bf16_of(x)), w = real_of_bf16(bf16_of(w));
        sum += x * w;
        magnitude += fabs(x * w);
        tolerance += fabs(x) * w_step + fabs(w) * x_step + x_step * w_step;
    }
    const double error = precision == NPUENC_PRECISION_INT8 ? sum_error(8)
                         : precision == NPUENC_PRECISION_F32
                             ? sum_error(m->desc.n_in + 2)
                             : bf16_sum_error(m->desc.n_in) + sum_error(2);
    tolerance += error * (magnitude + tolerance);
    tolerance += unit_of(a->desc.y_type) * (fabs(sum) + tolerance);
    if (a->desc.y_type == NPUENC_F16)
        tolerance += 0x1p-25;
    const double got = element(a->desc.y_type, a->y, row * a->ldy + out);
    if (!(fabs(got - sum) <= tolerance))
        fail_msg("weights %d as %d, x %d, y %d, row %zu, column %zu: %.9g, expected %.9g +- %.3g",
                 m->desc.type, precision, a->desc.x_type, a->desc.y_type, row, out, got, sum,
                 tolerance);
}

static void check_linear(const matrix* m, npuenc_linear_desc desc, random_source* source) {
    activations a = activations_of(desc, m, source);
    expect_ok(multiply(m, &a));
    for (size_t row = 0; row < desc.rows; row++)
        for (size_t out = 0; out < m->desc.n_out; out++)
            check_element(m, &a, row, out);
    const size_t size = element_bytes(desc.y_type);
    for (size_t row = 0; row + 1 < desc.rows; row++) /* what is between the rows is not npuenc's */
        assert_true(is_filled((char*)a.y + (row * a.ldy + m->desc.n_out) * size,
                              (a.ldy - m->desc.n_out) * size));
    free_activations(&a);
}

/* ---- Results ---- */

static void every_type_and_precision(npuenc_weight_desc desc, uint32_t rows, uint64_t ldx,
                                     uint64_t ldy) {
    const int32_t data_types[] = {NPUENC_F32, NPUENC_F16, NPUENC_BF16, NPUENC_S8};
    random_source source = {rows + desc.n_in};
    for (size_t t = 0; t < COUNT(data_types); t++)
        for (int32_t precision = 0; precision <= NPUENC_PRECISION_INT8; precision++) {
            desc.type = data_types[t];
            desc.precision = precision;
            if (desc.type == NPUENC_S8 && precision_of(&desc) != NPUENC_PRECISION_INT8)
                continue;
            matrix m = matrix_of(desc, (rows & 1) == 0, &source);
            expect(support_of(precision_of(&desc)), create(ctx, &m));
            for (size_t x = 0; m.weight && x < COUNT(real_types); x++)
                for (size_t y = 0; y < COUNT(real_types); y++)
                    check_linear(&m,
                                 (npuenc_linear_desc){.x_type = real_types[x],
                                                      .y_type = real_types[y],
                                                      .rows = rows,
                                                      .ldx = ldx,
                                                      .ldy = ldy},
                                 &source);
            free_matrix(&m);
        }
}

static void products_of_many_shapes(void** state) {
    (void)state;
    const uint32_t sizes[][3] = {{1, 1, 1}, {3, 5, 2}, {64, 64, 9}, {17, 33, 70}, {100, 7, 4}};
    for (size_t i = 0; i < COUNT(sizes); i++)
        every_type_and_precision((npuenc_weight_desc){.n_out = sizes[i][0], .n_in = sizes[i][1]},
                                 sizes[i][2], 0, 0);
}

static void products_with_gaps(void** state) {
    (void)state;
    every_type_and_precision((npuenc_weight_desc){.n_out = 13, .n_in = 21, .ld = 23}, 6, 22, 17);
    every_type_and_precision((npuenc_weight_desc){.n_out = 13, .n_in = 21, .ld = 21}, 5, 21, 13);
}

static void no_rows(void** state) {
    (void)state;
    random_source source = {1};
    matrix m =
        matrix_of((npuenc_weight_desc){.type = NPUENC_BF16, .n_out = 3, .n_in = 4}, true, &source);
    expect_ok(create(ctx, &m));
    const npuenc_linear_desc desc = {
        .struct_size = sizeof desc, .x_type = NPUENC_F32, .y_type = NPUENC_F32};
    expect_ok(npuenc_linear(m.weight, &desc, NULL, 0, NULL, 0, NULL));
    free_matrix(&m);
}

/* Rows that are whole steps of a power of two, with a largest magnitude of 127 steps: nothing is
 * rounded, so the result is exact. */
static void int8_of_whole_steps_is_exact(void** state) {
    (void)state;
    enum { n_out = 21, n_in = 50, rows = 9 };
    random_source source = {3};
    const int32_t data_types[] = {NPUENC_S8, NPUENC_F32};
    for (size_t t = 0; t < COUNT(data_types); t++) {
        npuenc_weight_desc desc = {.type = data_types[t],
                                   .precision = NPUENC_PRECISION_INT8,
                                   .n_out = n_out,
                                   .n_in = n_in};
        matrix m = matrix_of(desc, false, &source);
        for (size_t out = 0; out < n_out; out++)
            for (size_t in = 0; in < n_in; in++) {
                const int step = in == out ? 127 : (int)random_below(&source, 255) - 127;
                if (data_types[t] == NPUENC_S8)
                    ((int8_t*)m.data)[out * n_in + in] = (int8_t)step;
                else
                    ((float*)m.data)[out * n_in + in] = (float)step * 0x1p-5f;
                if (m.scales)
                    m.scales[out] = 0x1p-5f;
            }
        expect_ok(create(ctx, &m));
        activations a = activations_of(
            (npuenc_linear_desc){.x_type = NPUENC_F32, .y_type = NPUENC_F32, .rows = rows}, &m,
            &source);
        for (size_t row = 0; row < rows; row++)
            for (size_t in = 0; in < n_in; in++) {
                const int step = in == 7 ? -127 : (int)random_below(&source, 255) - 127;
                ((float*)a.x)[row * n_in + in] = ldexpf((float)step, (int)row - 4);
            }
        expect_ok(multiply(&m, &a));
        for (size_t row = 0; row < rows; row++)
            for (size_t out = 0; out < n_out; out++) {
                double sum = 0;
                for (size_t in = 0; in < n_in; in++)
                    sum += ((float*)a.x)[row * n_in + in] * weight_at(&m, out, in);
                assert_true(((float*)a.y)[row * n_out + out] == sum);
            }
        free_activations(&a);
        free_matrix(&m);
    }
}

static void int8_takes_rows_of_zeros(void** state) {
    (void)state;
    random_source source = {3};
    matrix m = matrix_of(
        (npuenc_weight_desc){
            .type = NPUENC_F32, .precision = NPUENC_PRECISION_INT8, .n_out = 3, .n_in = 4},
        true, &source);
    memset(m.data, 0, 4 * sizeof(float)); /* one channel */
    expect_ok(create(ctx, &m));
    activations a = activations_of(
        (npuenc_linear_desc){.x_type = NPUENC_F32, .y_type = NPUENC_F32, .rows = 2}, &m, &source);
    memset(a.x, 0, 4 * sizeof(float)); /* one row */
    expect_ok(multiply(&m, &a));
    assert_memory_equal(a.y, m.bias, 3 * sizeof(float));
    assert_true(((float*)a.y)[3] == m.bias[0]);
    free_activations(&a);
    free_matrix(&m);
}

static void data_are_copied(void** state) {
    (void)state;
    random_source source = {3};
    const int32_t data_types[] = {NPUENC_BF16, NPUENC_S8};
    for (size_t t = 0; t < COUNT(data_types); t++) {
        matrix m = matrix_of((npuenc_weight_desc){.type = data_types[t], .n_out = 5, .n_in = 6},
                             true, &source);
        expect_ok(create(ctx, &m));
        activations a = activations_of(
            (npuenc_linear_desc){.x_type = NPUENC_F32, .y_type = NPUENC_F32, .rows = 2}, &m,
            &source);
        expect_ok(multiply(&m, &a));
        float before[10];
        memcpy(before, a.y, sizeof before);
        memset(m.data, 0, m.bytes);
        memset(m.bias, 0, 5 * sizeof(float));
        if (m.scales)
            memset(m.scales, 0, 5 * sizeof(float));
        expect_ok(multiply(&m, &a));
        assert_memory_equal(a.y, before, sizeof before);
        free_activations(&a);
        free_matrix(&m);
    }
}

static void threads_do_not_change_results(void** state) {
    (void)state;
    for (uint32_t n = 2; n <= 4; n++) {
        npuenc_ctx* threaded = open_device(n);
        for (int32_t precision = NPUENC_PRECISION_F32; precision <= NPUENC_PRECISION_INT8;
             precision++) {
            if (support_of(precision) != NPUENC_OK)
                continue;
            random_source source = {n};
            matrix m = matrix_of(
                (npuenc_weight_desc){
                    .type = NPUENC_F32, .precision = precision, .n_out = 90, .n_in = 65},
                true, &source);
            matrix many = m;
            expect_ok(create(ctx, &m));
            expect_ok(create(threaded, &many));
            activations a = activations_of(
                (npuenc_linear_desc){.x_type = NPUENC_F32, .y_type = NPUENC_F32, .rows = 77}, &m,
                &source);
            expect_ok(multiply(&m, &a));
            float* one = malloc(a.y_bytes);
            memcpy(one, a.y, a.y_bytes);
            expect_ok(multiply(&many, &a));
            assert_memory_equal(a.y, one, a.y_bytes);
            free(one);
            free_activations(&a);
            npuenc_weight_free(many.weight);
            free_matrix(&m);
        }
        npuenc_close(threaded);
    }
}

static void a_weight_outlives_its_context(void** state) {
    (void)state;
    npuenc_ctx* short_lived = open_device(2);
    random_source source = {3};
    matrix m =
        matrix_of((npuenc_weight_desc){.type = NPUENC_BF16, .n_out = 5, .n_in = 6}, true, &source);
    expect_ok(create(short_lived, &m));
    npuenc_close(short_lived);
    check_linear(&m, (npuenc_linear_desc){.x_type = NPUENC_F32, .y_type = NPUENC_F32, .rows = 3},
                 &source);
    free_matrix(&m);
}

/* ---- Wrong arguments of npuenc_weight_create ---- */

static matrix valid_matrix(int32_t type) {
    random_source source = {6};
    return matrix_of((npuenc_weight_desc){.type = type, .n_out = 3, .n_in = 5, .ld = 6}, true,
                     &source);
}

static void freeing_null_does_nothing(void** state) {
    (void)state;
    npuenc_weight_free(NULL);
}

static void creation_needs_its_arguments(void** state) {
    (void)state;
    matrix m = valid_matrix(NPUENC_S8);
    const size_t n = 3 * sizeof(float);
    npuenc_weight *const garbage = (npuenc_weight*)&m, *out = garbage;
    expect_invalid(
        npuenc_weight_create(NULL, &m.desc, m.data, m.bytes, m.scales, n, m.bias, n, &out));
    assert_null(out);
    expect_invalid(
        npuenc_weight_create(ctx, &m.desc, m.data, m.bytes, m.scales, n, m.bias, n, NULL));
    struct {
        const void* data;
        size_t bytes, scales_bytes, bias_bytes;
        const void *scales, *bias;
        int32_t status;
    } const wrong[] = {
        {NULL, m.bytes, n, n, m.scales, m.bias, NPUENC_E_INVALID},
        {NULL, 0, n, n, m.scales, m.bias, NPUENC_E_INVALID},
        {m.data, m.bytes - 1, n, n, m.scales, m.bias, NPUENC_E_BUFFER},
        {m.data, 0, n, n, m.scales, m.bias, NPUENC_E_BUFFER},
        {m.data, m.bytes, n, n, NULL, m.bias, NPUENC_E_INVALID},
        {m.data, m.bytes, 0, n, NULL, m.bias, NPUENC_E_INVALID},
        {m.data, m.bytes, n - 1, n, m.scales, m.bias, NPUENC_E_BUFFER},
        {m.data, m.bytes, 0, n, m.scales, m.bias, NPUENC_E_BUFFER},
        {m.data, m.bytes, n, n, m.scales, NULL, NPUENC_E_INVALID},
        {m.data, m.bytes, n, n - 1, m.scales, m.bias, NPUENC_E_BUFFER},
        {m.data, m.bytes, n, 0, m.scales, m.bias, NPUENC_E_BUFFER},
        {m.data, m.bytes, n, n, (char*)m.scales + 1, m.bias, NPUENC_E_INVALID},
        {m.data, m.bytes, n, n, m.scales, (char*)m.bias + 2, NPUENC_E_INVALID},
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        out = garbage;
        expect(wrong[i].status, npuenc_weight_create(ctx, &m.desc, wrong[i].data, wrong[i].bytes,
                                                     wrong[i].scales, wrong[i].scales_bytes,
                                                     wrong[i].bias, wrong[i].bias_bytes, &out));
        assert_null(out);
    }
    m.weight = NULL;
    free_matrix(&m);
}

static void data_must_be_aligned(void** state) {
    (void)state;
    for (size_t t = 0; t < COUNT(real_types); t++) {
        matrix m = valid_matrix(real_types[t]);
        char *const data = m.data, *const moved = calloc(1, m.bytes + 4);
        for (size_t off = 1; off < element_bytes(real_types[t]); off++) {
            m.data = moved + off;
            expect_invalid(create(ctx, &m));
        }
        m.data = data;
        free(moved);
        free_matrix(&m);
    }
}

static void scales_belong_to_s8(void** state) {
    (void)state;
    for (size_t t = 0; t < COUNT(real_types); t++) {
        matrix m = valid_matrix(real_types[t]);
        m.scales = calloc(3, sizeof(float));
        expect_invalid(create(ctx, &m));
        npuenc_weight* out;
        expect_invalid(
            npuenc_weight_create(ctx, &m.desc, m.data, m.bytes, NULL, 12, m.bias, 12, &out));
        free_matrix(&m);
    }
}

static void scales_must_be_numbers(void** state) {
    (void)state;
    const float wrong[] = {-1, -FLT_TRUE_MIN, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < COUNT(wrong); i++)
        for (size_t at = 0; at < 3; at++) {
            matrix m = valid_matrix(NPUENC_S8);
            m.scales[at] = wrong[i];
            expect_invalid(create(ctx, &m));
            free_matrix(&m);
        }
    const float right[] = {0, FLT_TRUE_MIN, FLT_MAX};
    for (size_t i = 0; i < COUNT(right); i++) {
        matrix m = valid_matrix(NPUENC_S8);
        m.scales[1] = right[i];
        expect_ok(create(ctx, &m));
        free_matrix(&m);
    }
}

static void types_and_precisions_must_be_documented(void** state) {
    (void)state;
    const int32_t types[] = {INT32_MIN, -1, 0, NPUENC_S32, 6, INT32_MAX};
    for (size_t i = 0; i < COUNT(types); i++) {
        matrix m = valid_matrix(NPUENC_F32);
        m.desc.type = types[i];
        expect_invalid(create(ctx, &m));
        free_matrix(&m);
    }
    const int32_t precisions[] = {INT32_MIN, -1, 4, INT32_MAX};
    for (size_t i = 0; i < COUNT(precisions); i++) {
        matrix m = valid_matrix(NPUENC_F32);
        m.desc.precision = precisions[i];
        expect_invalid(create(ctx, &m));
        free_matrix(&m);
    }
    for (int32_t precision = NPUENC_PRECISION_F32; precision <= NPUENC_PRECISION_BF16;
         precision++) {
        matrix m = valid_matrix(NPUENC_S8);
        m.desc.precision = precision;
        expect_invalid(create(ctx, &m));
        free_matrix(&m);
    }
}

static void sizes_must_be_in_range(void** state) {
    (void)state;
    const uint32_t u = UINT32_MAX;
    const uint64_t h = UINT64_MAX;
    const struct {
        npuenc_weight_desc desc;
        int32_t status;
    } wrong[] = {
        {{.n_out = 0, .n_in = 5}, NPUENC_E_INVALID},
        {{.n_out = 3, .n_in = 0}, NPUENC_E_INVALID},
        {{.n_out = 3, .n_in = 5, .ld = 4}, NPUENC_E_INVALID},
        {{.n_out = 3, .n_in = 5, .reserved = 1}, NPUENC_E_INVALID},
        {{.n_out = u, .n_in = u}, NPUENC_E_INVALID},
        {{.n_out = 2, .n_in = 1, .ld = h}, NPUENC_E_INVALID},
        {{.n_out = 2, .n_in = 1, .ld = h / 4}, NPUENC_E_INVALID},
        {{.n_out = 3, .n_in = 1, .ld = h / 2}, NPUENC_E_INVALID},
        {{.n_out = u, .n_in = 1}, NPUENC_E_BUFFER},
        {{.n_out = 1, .n_in = u}, NPUENC_E_BUFFER},
        {{.n_out = 2, .n_in = 1, .ld = h >> 4}, NPUENC_E_BUFFER},
    };
    const float data[15] = {0};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        npuenc_weight_desc desc = wrong[i].desc;
        desc.struct_size = sizeof desc;
        desc.type = NPUENC_F32;
        npuenc_weight* out = (npuenc_weight*)&out;
        expect(wrong[i].status,
               npuenc_weight_create(ctx, &desc, data, sizeof data, NULL, 0, NULL, 0, &out));
        assert_null(out);
    }
}

/* ---- Wrong arguments of npuenc_linear ---- */

static void linear_needs_its_arguments(void** state) {
    (void)state;
    for (size_t x = 0; x < COUNT(real_types); x++)
        for (size_t y = 0; y < COUNT(real_types); y++) {
            matrix m = valid_matrix(NPUENC_BF16);
            expect_ok(create(ctx, &m));
            random_source source = {1};
            const npuenc_linear_desc desc = {
                .x_type = real_types[x], .y_type = real_types[y], .rows = 2, .ldx = 7, .ldy = 8};
            activations a = activations_of(desc, &m, &source);
            const activations right = a;
            const size_t x_size = element_bytes(desc.x_type), y_size = element_bytes(desc.y_type);

            expect_invalid(npuenc_linear(NULL, &a.desc, a.x, a.x_bytes, a.y, a.y_bytes, NULL));
            for (int i = 0; i < 8; i++) {
                a = right;
                int32_t status = i < 4 ? NPUENC_E_BUFFER : NPUENC_E_INVALID;
                switch (i) {
                case 0:
                    a.x_bytes--;
                    break;
                case 1:
                    a.y_bytes--;
                    break;
                case 2:
                    a.x_bytes = 0;
                    break;
                case 3:
                    a.y_bytes = 0;
                    break;
                case 4:
                    a.x = NULL;
                    break;
                case 5:
                    a.y = NULL;
                    break;
                case 6:
                    a.x = NULL, a.x_bytes = 0;
                    break;
                default:
                    a.y = NULL, a.y_bytes = 0;
                }
                expect(status, multiply(&m, &a));
            }
            a = right;
            char* moved = calloc(1, a.x_bytes + a.y_bytes + 4);
            for (size_t off = 1; off < x_size; off++) {
                a.x = moved + off;
                expect_invalid(multiply(&m, &a));
            }
            a = right;
            for (size_t off = 1; off < y_size; off++) {
                a.y = moved + off;
                expect_invalid(multiply(&m, &a));
            }
            a = right;
            a.x = moved; /* overlaps, at either end and in place */
            a.y = moved + (a.x_bytes - 1) / y_size * y_size;
            expect_invalid(multiply(&m, &a));
            a.y = moved;
            expect_invalid(multiply(&m, &a));
            a.x = moved + (a.y_bytes - 1) / x_size * x_size;
            expect_invalid(multiply(&m, &a));
            free(moved);
            a = right;
            assert_true(is_filled(a.y, a.y_bytes));
            expect_ok(multiply(&m, &a));
            free_activations(&a);
            free_matrix(&m);
        }
}

static void linear_fields_must_be_in_range(void** state) {
    (void)state;
    matrix m = valid_matrix(NPUENC_BF16);
    expect_ok(create(ctx, &m));
    const uint32_t u = UINT32_MAX;
    const uint64_t h = UINT64_MAX;
    const int32_t f = NPUENC_F32;
    const struct {
        npuenc_linear_desc desc;
        int32_t status;
    } wrong[] = {
        {{.x_type = 0, .y_type = f, .rows = 2}, NPUENC_E_INVALID},
        {{.x_type = f, .y_type = 0, .rows = 2}, NPUENC_E_INVALID},
        {{.x_type = NPUENC_S8, .y_type = f, .rows = 2}, NPUENC_E_INVALID},
        {{.x_type = f, .y_type = NPUENC_S8, .rows = 2}, NPUENC_E_INVALID},
        {{.x_type = NPUENC_S32, .y_type = f, .rows = 2}, NPUENC_E_INVALID},
        {{.x_type = f, .y_type = NPUENC_S32, .rows = 2}, NPUENC_E_INVALID},
        {{.x_type = -1, .y_type = f, .rows = 2}, NPUENC_E_INVALID},
        {{.x_type = f, .y_type = 6, .rows = 2}, NPUENC_E_INVALID},
        {{.x_type = f, .y_type = INT32_MIN, .rows = 2}, NPUENC_E_INVALID},
        {{.x_type = f, .y_type = f, .rows = 2, .ldx = 4}, NPUENC_E_INVALID},
        {{.x_type = f, .y_type = f, .rows = 2, .ldy = 2}, NPUENC_E_INVALID},
        {{.x_type = f, .y_type = f, .rows = 0, .ldy = 2}, NPUENC_E_INVALID},
        {{.x_type = f, .y_type = f, .rows = 2, .ldx = h}, NPUENC_E_INVALID},
        {{.x_type = f, .y_type = f, .rows = 2, .ldy = h / 4}, NPUENC_E_INVALID},
        {{.x_type = f, .y_type = f, .rows = u, .ldx = h / 4}, NPUENC_E_INVALID},
        {{.x_type = f, .y_type = f, .rows = 3}, NPUENC_E_BUFFER},
        {{.x_type = f, .y_type = f, .rows = u}, NPUENC_E_BUFFER},
        {{.x_type = f, .y_type = f, .rows = 2, .ldx = 6}, NPUENC_E_BUFFER},
        {{.x_type = f, .y_type = f, .rows = 2, .ldy = 4}, NPUENC_E_BUFFER},
    };
    const float x[10] = {0};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        npuenc_linear_desc desc = wrong[i].desc;
        desc.struct_size = sizeof desc;
        float* y = filled(6 * sizeof *y);
        expect(wrong[i].status,
               npuenc_linear(m.weight, &desc, x, sizeof x, y, 6 * sizeof *y, NULL));
        assert_true(is_filled(y, 6 * sizeof *y));
        free(y);
    }
    free_matrix(&m);
}

int main(void) {
    if (!has_forced_isa())
        return skipped;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_many_shapes),
        cmocka_unit_test(products_with_gaps),
        cmocka_unit_test(no_rows),
        cmocka_unit_test(int8_of_whole_steps_is_exact),
        cmocka_unit_test(int8_takes_rows_of_zeros),
        cmocka_unit_test(data_are_copied),
        cmocka_unit_test(threads_do_not_change_results),
        cmocka_unit_test(a_weight_outlives_its_context),
        cmocka_unit_test(freeing_null_does_nothing),
        cmocka_unit_test(creation_needs_its_arguments),
        cmocka_unit_test(data_must_be_aligned),
        cmocka_unit_test(scales_belong_to_s8),
        cmocka_unit_test(scales_must_be_numbers),
        cmocka_unit_test(types_and_precisions_must_be_documented),
        cmocka_unit_test(sizes_must_be_in_range),
        cmocka_unit_test(linear_needs_its_arguments),
        cmocka_unit_test(linear_fields_must_be_in_range),
    };
    return cmocka_run_group_tests(tests, open_ctx, close_ctx);
}
