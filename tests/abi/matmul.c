/* SPDX-License-Identifier: MIT
 *
 * npuenc_matmul against sums in double precision, and every way to call it wrongly.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

static const struct types {
    int32_t a, b, c;
} all_types[] = {
    {NPUENC_F32, NPUENC_F32, NPUENC_F32},    {NPUENC_BF16, NPUENC_BF16, NPUENC_F32},
    {NPUENC_BF16, NPUENC_BF16, NPUENC_BF16}, {NPUENC_S8, NPUENC_S8, NPUENC_S32},
    {NPUENC_S8, NPUENC_S8, NPUENC_S8},
};

/* ---- A product with its buffers, without slack ---- */

typedef struct matrix {
    int32_t type;
    size_t rows, n, ld, stride, items; /* as meant, defaults filled in */
    size_t bytes;
    void* data;
} matrix;

typedef struct product {
    npuenc_matmul_desc desc;
    matrix a, b, c;
} product;

static size_t span(size_t rows, size_t n, size_t ld) {
    return rows && n ? (rows - 1) * ld + n : 0;
}

static matrix lay_out(int32_t type, size_t items, size_t rows, size_t n, uint64_t ld,
                      uint64_t stride) {
    matrix m = {.type = type, .rows = rows, .n = n, .items = items};
    m.ld = ld ? ld : n;
    m.stride = stride ? stride : rows * m.ld;
    m.bytes = span(items, span(rows, n, m.ld), m.stride) * element_bytes(type);
    return m;
}

static size_t at(const matrix* m, size_t item, size_t row, size_t col) {
    return item * m->stride + row * m->ld + col;
}

static product product_of(npuenc_matmul_desc desc, random_source* source) {
    desc.struct_size = sizeof desc;
    const bool transposed = desc.flags & NPUENC_MATMUL_B_TRANSPOSED;
    const size_t batch = desc.batch ? desc.batch : 1;
    product p = {.desc = desc};
    p.a = lay_out(desc.a_type, batch, desc.m, desc.k, desc.lda, desc.stride_a);
    p.b = lay_out(desc.b_type, desc.flags & NPUENC_MATMUL_B_SHARED ? 1 : batch,
                  transposed ? desc.n : desc.k, transposed ? desc.k : desc.n, desc.ldb,
                  desc.stride_b);
    p.c = lay_out(desc.c_type, batch, desc.m, desc.n, desc.ldc, desc.stride_c);
    p.a.data = random_elements(source, p.a.type, p.a.bytes / element_bytes(p.a.type));
    p.b.data = random_elements(source, p.b.type, p.b.bytes / element_bytes(p.b.type));
    p.c.data = filled(p.c.bytes);
    return p;
}

static void free_product(product* p) {
    free(p->a.data);
    free(p->b.data);
    free(p->c.data);
}

static int32_t multiply(npuenc_ctx* with, product* p) {
    return npuenc_matmul(with, &p->desc, p->a.data, p->a.bytes, p->b.data, p->b.bytes, p->c.data,
                         p->c.bytes, NULL);
}

/* The sum of an element, and of its terms' magnitudes. */
static double sum_of(const product* p, size_t item, size_t row, size_t col, double* magnitude) {
    double sum = 0;
    *magnitude = 0;
    for (size_t k = 0; k < p->desc.k; k++) {
        const bool transposed = p->desc.flags & NPUENC_MATMUL_B_TRANSPOSED;
        const size_t b_item = p->desc.flags & NPUENC_MATMUL_B_SHARED ? 0 : item;
        const size_t b_at = transposed ? at(&p->b, b_item, col, k) : at(&p->b, b_item, k, col);
        const double term = element(p->a.type, p->a.data, at(&p->a, item, row, k)) *
                            element(p->b.type, p->b.data, b_at);
        sum += term;
        *magnitude += fabs(term);
    }
    return sum;
}

/* Float: the error of the device's sum, and half a unit of bf16 where the result is rounded to it.
 * The double sum itself errs by 2^-29 of that. Integers: no error. */
static void check_element(const product* p, size_t item, size_t row, size_t col) {
    double magnitude;
    const double sum = sum_of(p, item, row, col, &magnitude);
    const double got = element(p->c.type, p->c.data, at(&p->c, item, row, col));
    double expected = sum, tolerance = 0;
    if (p->a.type != NPUENC_S8) {
        const size_t k = p->desc.k;
        tolerance = (p->a.type == NPUENC_F32 ? sum_error(k) : bf16_sum_error(k)) * magnitude *
                    (1 + 0x1p-20);
        if (p->c.type == NPUENC_BF16)
            tolerance += unit_bf16 * (fabs(sum) + tolerance);
    } else if (p->c.type == NPUENC_S32) {
        expected = (int32_t)(uint32_t)(int64_t)sum;
    } else {
        const float scale = p->desc.scale == 0 ? 1 : p->desc.scale;
        const double scaled = rint((float)sum * scale) + p->desc.zero_point;
        expected = fmax(-128, fmin(127, scaled));
    }
    if (!(fabs(got - expected) <= tolerance))
        fail_msg("types %d %d %d, item %zu, row %zu, column %zu: %.9g, expected %.9g +- %.3g",
                 p->a.type, p->b.type, p->c.type, item, row, col, got, expected, tolerance);
}

/* A device that lacks the types says so, and touches nothing. */
static bool is_supported(product* p) {
    const int32_t support = support_of(p->a.type);
    if (support != NPUENC_OK) {
        expect(support, multiply(ctx, p));
        assert_true(is_filled(p->c.data, p->c.bytes));
    }
    return support == NPUENC_OK;
}

static void check_product(npuenc_matmul_desc desc) {
    random_source source = {desc.m * 131u + desc.n * 17u + desc.k};
    product p = product_of(desc, &source);
    if (!is_supported(&p)) {
        free_product(&p);
        return;
    }
    expect_ok(multiply(ctx, &p));
    unsigned char* is_result = calloc(1, p.c.bytes + 1);
    for (size_t item = 0; item < p.c.items; item++)
        for (size_t row = 0; row < p.c.rows; row++)
            for (size_t col = 0; col < p.c.n; col++) {
                check_element(&p, item, row, col);
                const size_t size = element_bytes(p.c.type);
                memset(is_result + at(&p.c, item, row, col) * size, 1, size);
            }
    for (size_t i = 0; i < p.c.bytes; i++) /* what is between the rows is not npuenc's */
        assert_true(is_result[i] || is_filled((char*)p.c.data + i, 1));
    free(is_result);
    free_product(&p);
}

/* ---- Results ---- */

static void for_all_types(npuenc_matmul_desc desc, void (*check)(npuenc_matmul_desc desc)) {
    for (size_t t = 0; t < COUNT(all_types); t++) {
        desc.a_type = all_types[t].a;
        desc.b_type = all_types[t].b;
        desc.c_type = all_types[t].c;
        desc.scale = desc.c_type == NPUENC_S8 ? 0.0021f : 0;
        desc.zero_point = desc.c_type == NPUENC_S8 ? -3 : 0;
        check(desc);
    }
}

static void products_of_many_shapes(void** state) {
    (void)state;
    const uint32_t shapes[][3] = {{1, 1, 1},   {1, 17, 5},   {7, 1, 33},   {3, 5, 2},
                                  {13, 31, 1}, {33, 47, 65}, {64, 64, 64}, {5, 129, 257},
                                  {97, 8, 19}, {2, 3, 1030}};
    for (size_t i = 0; i < COUNT(shapes); i++)
        for (uint32_t flags = 0; flags < 2; flags++) {
            const npuenc_matmul_desc desc = {
                .m = shapes[i][0], .n = shapes[i][1], .k = shapes[i][2], .flags = flags};
            for_all_types(desc, check_product);
        }
}

static void products_with_gaps(void** state) {
    (void)state;
    for (uint32_t flags = 0; flags < 4; flags++) {
        npuenc_matmul_desc desc = {.batch = 3, .m = 5, .n = 18, .k = 7, .flags = flags};
        desc.lda = 11, desc.ldb = 23, desc.ldc = 19;
        for_all_types(desc, check_product);
        desc.stride_a = 61, desc.stride_c = 105;
        desc.stride_b = flags & NPUENC_MATMUL_B_SHARED ? 0 : 18 * 23 + 2;
        for_all_types(desc, check_product);
        desc.lda = desc.ldb = desc.ldc = 0;
        for_all_types(desc, check_product);
    }
}

static void batches(void** state) {
    (void)state;
    for (uint32_t flags = 0; flags < 4; flags++) {
        const npuenc_matmul_desc desc = {.batch = 9, .m = 4, .n = 6, .k = 10, .flags = flags};
        for_all_types(desc, check_product);
    }
}

static void check_empty(npuenc_matmul_desc desc) {
    random_source source = {1};
    product p = product_of(desc, &source);
    void** const data[] = {&p.a.data, &p.b.data, &p.c.data};
    const size_t bytes[] = {p.a.bytes, p.b.bytes, p.c.bytes};
    for (size_t i = 0; i < COUNT(data); i++)
        if (bytes[i] == 0) {
            free(*data[i]);
            *data[i] = NULL;
        }
    expect(support_of(p.a.type), multiply(ctx, &p));
    for (size_t item = 0; support_of(p.a.type) == NPUENC_OK && item < p.c.items && p.c.bytes;
         item++)
        for (size_t row = 0; row < p.c.rows; row++)
            for (size_t col = 0; col < p.c.n; col++)
                check_element(&p, item, row, col);
    free_product(&p);
}

static void empty_products(void** state) {
    (void)state;
    for (uint32_t zeros = 1; zeros < 8; zeros++)
        for (uint32_t flags = 0; flags < 4; flags++) {
            const npuenc_matmul_desc desc = {.batch = flags & 1 ? 2 : 0,
                                             .m = zeros & 1 ? 0 : 3,
                                             .n = zeros & 2 ? 0 : 5,
                                             .k = zeros & 4 ? 0 : 4,
                                             .flags = flags};
            for_all_types(desc, check_empty);
        }
}

/* BF16 results are the F32 ones, rounded to nearest even. */
static void bf16_results_are_rounded_f32(void** state) {
    (void)state;
    npuenc_matmul_desc desc = {.m = 19, .n = 37, .k = 70};
    desc.a_type = desc.b_type = NPUENC_BF16;
    desc.c_type = NPUENC_F32;
    random_source source = {5};
    product wide = product_of(desc, &source);
    source.state = 5;
    desc.c_type = NPUENC_BF16;
    product narrow = product_of(desc, &source);
    expect_ok(multiply(ctx, &wide));
    expect_ok(multiply(ctx, &narrow));
    for (size_t i = 0; i < 19 * 37; i++)
        assert_int_equal(((uint16_t*)narrow.c.data)[i], bf16_of(((const float*)wide.c.data)[i]));
    free_product(&wide);
    free_product(&narrow);
}

/* 132,000 products of -128 and -128 are more than 2^31. */
static void s32_sums_wrap_around(void** state) {
    (void)state;
    enum { k = 132000 };
    int8_t* a = malloc(k);
    memset(a, -128, k);
    int32_t c = 0;
    const npuenc_matmul_desc desc = {.struct_size = sizeof desc,
                                     .a_type = NPUENC_S8,
                                     .b_type = NPUENC_S8,
                                     .c_type = NPUENC_S32,
                                     .m = 1,
                                     .n = 1,
                                     .k = k};
    expect_ok(npuenc_matmul(ctx, &desc, a, k, a, k, &c, sizeof c, NULL));
    assert_int_equal(c, (int32_t)(uint32_t)(k * 16384u));
    free(a);
}

static int8_t requantised(int8_t a, int8_t b, float scale, int32_t zero_point) {
    int8_t c = 99;
    const npuenc_matmul_desc desc = {.struct_size = sizeof desc,
                                     .a_type = NPUENC_S8,
                                     .b_type = NPUENC_S8,
                                     .c_type = NPUENC_S8,
                                     .m = 1,
                                     .n = 1,
                                     .k = 1,
                                     .scale = scale,
                                     .zero_point = zero_point};
    expect_ok(npuenc_matmul(ctx, &desc, &a, 1, &b, 1, &c, 1, NULL));
    return c;
}

static void s8_results_are_rounded_and_clamped(void** state) {
    (void)state;
    assert_int_equal(requantised(1, 5, 0.5f, 0), 2); /* ties to even */
    assert_int_equal(requantised(1, 7, 0.5f, 0), 4);
    assert_int_equal(requantised(-1, 5, 0.5f, 0), -2);
    assert_int_equal(requantised(-1, 7, 0.5f, 0), -4);
    assert_int_equal(requantised(1, 5, 0.5f, 1), 3); /* the zero point comes after */
    assert_int_equal(requantised(3, 4, -1, 10), -2);
    assert_int_equal(requantised(11, 11, 0, 6), 127); /* scale 0: 1 */
    assert_int_equal(requantised(11, 11, 0, 7), 127);
    assert_int_equal(requantised(-11, 11, 0, -7), -128);
    assert_int_equal(requantised(-11, 11, 0, -8), -128);
    assert_int_equal(requantised(-128, 127, 1, 127), -128);
    assert_int_equal(requantised(-128, -128, 1, -128), 127);
    assert_int_equal(requantised(100, 100, FLT_MAX, -128), 127);
    assert_int_equal(requantised(-100, 100, FLT_MAX, 127), -128);
    assert_int_equal(requantised(100, 100, 1e7f, 0), 127); /* beyond int32 */
    assert_int_equal(requantised(0, 100, FLT_MAX, 7), 7);
    assert_int_equal(requantised(100, 100, FLT_TRUE_MIN, 5), 5);
}

static void threads_do_not_change_results(void** state) {
    (void)state;
    npuenc_ctx* threaded[3];
    for (uint32_t i = 0; i < 3; i++)
        threaded[i] = open_device(i + 2);
    for (size_t t = 0; t < COUNT(all_types); t++) {
        npuenc_matmul_desc desc = {.m = 61, .n = 77, .k = 130, .batch = 2};
        desc.a_type = all_types[t].a;
        desc.b_type = all_types[t].b;
        desc.c_type = all_types[t].c;
        random_source source = {t};
        product one = product_of(desc, &source);
        if (!is_supported(&one)) {
            free_product(&one);
            continue;
        }
        expect_ok(multiply(ctx, &one));
        for (size_t i = 0; i < 3; i++) {
            source.state = t;
            product other = product_of(desc, &source);
            expect_ok(multiply(threaded[i], &other));
            assert_memory_equal(one.c.data, other.c.data, one.c.bytes);
            free_product(&other);
        }
        free_product(&one);
    }
    for (uint32_t i = 0; i < 3; i++)
        npuenc_close(threaded[i]);
}

/* ---- Wrong arguments ---- */

static product valid_product(int32_t c_type) {
    npuenc_matmul_desc desc = {.batch = 2, .m = 3, .n = 4, .k = 5, .c_type = c_type};
    desc.a_type = desc.b_type = c_type == NPUENC_F32    ? NPUENC_F32
                                : c_type == NPUENC_BF16 ? NPUENC_BF16
                                                        : NPUENC_S8;
    random_source source = {3};
    return product_of(desc, &source);
}

static void expect_refused(int32_t status, product* p) {
    expect(status, multiply(ctx, p));
    assert_true(is_filled(p->c.data, p->c.bytes));
}

static void handles_must_be_given(void** state) {
    (void)state;
    product p = valid_product(NPUENC_F32);
    expect_invalid(multiply(NULL, &p));
    assert_true(is_filled(p.c.data, p.c.bytes));
    free_product(&p);
}

static void buffers_must_be_given(void** state) {
    (void)state;
    for (int which = 0; which < 3; which++)
        for (int sized = 0; sized < 2; sized++) {
            product p = valid_product(NPUENC_F32);
            matrix* m = which == 0 ? &p.a : which == 1 ? &p.b : &p.c;
            void* const data = m->data;
            m->data = NULL;
            if (!sized)
                m->bytes = 0;
            expect_invalid(multiply(ctx, &p));
            m->data = data;
            assert_true(is_filled(p.c.data, p.c.bytes));
            free_product(&p);
        }
}

static void buffers_must_be_large_enough(void** state) {
    (void)state;
    for (size_t t = 0; t < COUNT(all_types); t++)
        for (int which = 0; which < 3; which++)
            for (size_t less = 1; less <= 2; less++) {
                npuenc_matmul_desc desc = {.batch = 2, .m = 3, .n = 4, .k = 5};
                desc.a_type = all_types[t].a;
                desc.b_type = all_types[t].b;
                desc.c_type = all_types[t].c;
                desc.lda = 7, desc.ldb = 8, desc.ldc = 9;
                random_source source = {3};
                product p = product_of(desc, &source);
                expect(support_of(desc.a_type), multiply(ctx, &p));
                memset(p.c.data, 0xa5, p.c.bytes);
                matrix* m = which == 0 ? &p.a : which == 1 ? &p.b : &p.c;
                m->bytes = less == 1 ? m->bytes - 1 : 0;
                expect_refused(NPUENC_E_BUFFER, &p);
                free_product(&p);
            }
}

static void buffers_may_be_larger(void** state) {
    (void)state;
    random_source source = {1};
    void* a = random_elements(&source, NPUENC_BF16, 8);
    float c[8];
    memset(c, 0xa5, sizeof c);
    const npuenc_matmul_desc desc = {.struct_size = sizeof desc,
                                     .a_type = NPUENC_BF16,
                                     .b_type = NPUENC_BF16,
                                     .c_type = NPUENC_F32,
                                     .m = 2,
                                     .n = 2,
                                     .k = 2};
    expect_ok(npuenc_matmul(ctx, &desc, a, 16, a, 15, c, sizeof c, NULL));
    assert_true(is_filled(c + 4, 16));
    free(a);
}

static void buffers_must_be_aligned(void** state) {
    (void)state;
    const int32_t c_types[] = {NPUENC_F32, NPUENC_BF16, NPUENC_S32};
    for (size_t t = 0; t < COUNT(c_types); t++)
        for (int which = 0; which < 3; which++) {
            product p = valid_product(c_types[t]);
            matrix* m = which == 0 ? &p.a : which == 1 ? &p.b : &p.c;
            const size_t size = element_bytes(m->type);
            for (size_t off = 1; off < size; off++) {
                char *data = m->data, *moved = filled(m->bytes + size);
                m->data = moved + off;
                expect_refused(NPUENC_E_INVALID, &p);
                m->data = data;
                free(moved);
            }
            free_product(&p);
        }
}

static void results_must_not_overlap_operands(void** state) {
    (void)state;
    for (int which = 0; which < 2; which++)
        for (int end = 0; end < 3; end++) {
            product p = valid_product(NPUENC_BF16);
            matrix* m = which == 0 ? &p.a : &p.b;
            char* both = filled(m->bytes + p.c.bytes);
            void *const operand = m->data, *const result = p.c.data;
            m->data = end == 0 ? both + p.c.bytes - 4 : both;
            p.c.data = end == 0 ? both : end == 1 ? both + m->bytes - 4 : both;
            expect_refused(NPUENC_E_INVALID, &p);
            /* Side by side is no overlap. */
            memset(both, 0, m->bytes + p.c.bytes);
            m->data = end ? both : both + p.c.bytes;
            p.c.data = end ? both + m->bytes : both;
            expect_ok(multiply(ctx, &p));
            m->data = operand, p.c.data = result;
            free(both);
            free_product(&p);
        }
}

static void operands_may_be_the_same(void** state) {
    (void)state;
    const uint16_t a[4] = {bf16_of(1), bf16_of(2), bf16_of(3), bf16_of(4)};
    float c[4];
    npuenc_matmul_desc desc = {.struct_size = sizeof desc, .m = 2, .n = 2, .k = 2};
    desc.a_type = desc.b_type = NPUENC_BF16;
    desc.c_type = NPUENC_F32;
    expect_ok(npuenc_matmul(ctx, &desc, a, sizeof a, a, sizeof a, c, sizeof c, NULL));
    assert_true(c[0] == 7 && c[1] == 10 && c[2] == 15 && c[3] == 22);
}

static void types_must_be_documented(void** state) {
    (void)state;
    const int32_t types[] = {INT32_MIN, -1,         0,          NPUENC_F32, NPUENC_BF16,
                             NPUENC_S8, NPUENC_S32, NPUENC_F16, 6,          INT32_MAX};
    for (size_t a = 0; a < COUNT(types); a++)
        for (size_t b = 0; b < COUNT(types); b++)
            for (size_t c = 0; c < COUNT(types); c++) {
                bool documented = false;
                for (size_t t = 0; t < COUNT(all_types); t++)
                    documented |= types[a] == all_types[t].a && types[b] == all_types[t].b &&
                                  types[c] == all_types[t].c;
                product p = valid_product(NPUENC_F32);
                memset(p.a.data, 0, p.a.bytes), memset(p.b.data, 0, p.b.bytes); /* in all types */
                p.desc.a_type = types[a], p.desc.b_type = types[b], p.desc.c_type = types[c];
                if (documented)
                    expect(support_of(types[a]), multiply(ctx, &p));
                else
                    expect_refused(NPUENC_E_INVALID, &p);
                free_product(&p);
            }
}

/* Each changes a valid S8 product to one that is not. */
static void break_reserved(product* p) {
    p->desc.reserved = 1;
}
static void break_flags(product* p) {
    p->desc.flags = 4;
}
static void break_all_flags(product* p) {
    p->desc.flags = 0x80000000u;
}
static void break_lda(product* p) {
    p->desc.lda = 4;
}
static void break_ldb(product* p) {
    p->desc.ldb = 3;
}
static void break_ldb_transposed(product* p) {
    p->desc.flags = NPUENC_MATMUL_B_TRANSPOSED;
    p->desc.ldb = 4;
}
static void break_ldc(product* p) {
    p->desc.ldc = 3;
}
static void break_stride_a(product* p) {
    p->desc.stride_a = 14;
}
static void break_stride_b(product* p) {
    p->desc.stride_b = 19;
}
static void break_stride_b_shared(product* p) {
    p->desc.flags = NPUENC_MATMUL_B_SHARED;
    p->desc.stride_b = 20;
}
static void break_stride_c(product* p) {
    p->desc.stride_c = 11;
}
static void break_stride_of_one(product* p) {
    p->desc.batch = 1;
    p->desc.stride_c = 11;
}
static void break_scale_nan(product* p) {
    p->desc.scale = NAN;
}
static void break_scale_infinity(product* p) {
    p->desc.scale = INFINITY;
}
static void break_scale_minus_infinity(product* p) {
    p->desc.scale = -INFINITY;
}
static void break_zero_point_low(product* p) {
    p->desc.zero_point = -129;
}
static void break_zero_point_high(product* p) {
    p->desc.zero_point = 128;
}
static void break_zero_point_most(product* p) {
    p->desc.zero_point = INT32_MAX;
}

static void fields_must_be_in_range(void** state) {
    (void)state;
    void (*const breaks[])(product*) = {
        break_reserved,
        break_flags,
        break_all_flags,
        break_lda,
        break_ldb,
        break_ldb_transposed,
        break_ldc,
        break_stride_a,
        break_stride_b,
        break_stride_b_shared,
        break_stride_c,
        break_stride_of_one,
        break_scale_nan,
        break_scale_infinity,
        break_scale_minus_infinity,
        break_zero_point_low,
        break_zero_point_high,
        break_zero_point_most,
    };
    for (size_t i = 0; i < COUNT(breaks); i++) {
        product p = valid_product(NPUENC_S8);
        expect_ok(multiply(ctx, &p));
        memset(p.c.data, 0xa5, p.c.bytes);
        breaks[i](&p);
        print_message("%zu ", i);
        expect_refused(NPUENC_E_INVALID, &p);
        free_product(&p);
    }
    print_message("\n");
}

static void scales_belong_to_s8_results(void** state) {
    (void)state;
    const int32_t c_types[] = {NPUENC_F32, NPUENC_BF16, NPUENC_S32};
    const float scales[] = {1, -1, NAN, FLT_TRUE_MIN};
    for (size_t t = 0; t < COUNT(c_types); t++) {
        product p = valid_product(c_types[t]);
        for (size_t i = 0; i < COUNT(scales); i++) {
            p.desc.scale = scales[i];
            expect_refused(NPUENC_E_INVALID, &p);
        }
        p.desc.scale = 0;
        p.desc.zero_point = 1;
        expect_refused(NPUENC_E_INVALID, &p);
        free_product(&p);
    }
}

/* Sizes whose products, sums or bytes do not fit; the buffers are small. */
static void sizes_must_not_overflow(void** state) {
    (void)state;
    const uint32_t u = UINT32_MAX;
    const uint64_t h = UINT64_MAX;
    const npuenc_matmul_desc sizes[] = {
        {.m = u, .n = u, .k = u},
        {.batch = u, .m = u, .n = u, .k = u},
        {.batch = 2, .m = u, .n = u, .k = 1},               /* 2^65 operations */
        {.batch = 1, .m = 1u << 31, .n = 1u << 31, .k = 2}, /* 2^63 */
        {.batch = 1u << 31, .m = 1u << 31, .n = 2, .k = 1},
        {.m = 0, .n = u, .k = u}, /* b has 2^66 bytes */
        {.m = u, .n = u, .k = 0}, /* c has 2^66 bytes */
        {.batch = u, .m = u, .n = 0, .k = u},
        {.m = 2, .n = 1, .k = 1, .lda = h},
        {.m = 2, .n = 1, .k = 1, .lda = h / 4},
        {.m = 2, .n = 1, .k = 1, .lda = h / 8},
        {.m = 3, .n = 1, .k = 1, .ldc = h / 2},
        {.m = 1, .n = 1, .k = 3, .ldb = h / 2},
        {.batch = 2, .m = 1, .n = 1, .k = 1, .stride_a = h},
        {.batch = 2, .m = 1, .n = 1, .k = 1, .stride_b = h},
        {.batch = 2, .m = 1, .n = 1, .k = 1, .stride_c = h},
        {.batch = 3, .m = 1, .n = 1, .k = 1, .stride_c = h / 2 + 1},
        {.batch = 2, .m = 1, .n = 1, .k = 1, .stride_c = h / 4},
        {.batch = u, .m = u, .n = 1, .k = 1, .lda = h / u, .stride_a = h},
    };
    float a[4], b[4];
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (uint32_t flags = 0; flags < 2; flags++) {
            npuenc_matmul_desc desc = sizes[i];
            desc.struct_size = sizeof desc;
            desc.a_type = desc.b_type = desc.c_type = NPUENC_F32;
            desc.flags = flags;
            if (flags && desc.ldb)
                continue; /* one row then */
            float* c = filled(16);
            expect_invalid(npuenc_matmul(ctx, &desc, a, sizeof a, b, sizeof b, c, 16, NULL));
            assert_true(is_filled(c, 16));
            free(c);
        }
}

/* Large, but possible: the buffers are too small for it. */
static void large_sizes_need_large_buffers(void** state) {
    (void)state;
    const uint32_t u = UINT32_MAX;
    const npuenc_matmul_desc sizes[] = {
        {.m = u, .n = 1, .k = 1},
        {.m = 1, .n = u, .k = 1},
        {.m = 1, .n = 1, .k = u},
        {.batch = u, .m = 1, .n = 1, .k = 1},
        {.m = 2, .n = 1, .k = 1, .lda = (uint64_t)1 << 60},
        {.batch = 2, .m = 1, .n = 1, .k = 1, .stride_c = (uint64_t)1 << 60},
    };
    float a[4], b[4];
    for (size_t i = 0; i < COUNT(sizes); i++) {
        npuenc_matmul_desc desc = sizes[i];
        desc.struct_size = sizeof desc;
        desc.a_type = desc.b_type = desc.c_type = NPUENC_F32;
        float* c = filled(16);
        expect(NPUENC_E_BUFFER, npuenc_matmul(ctx, &desc, a, sizeof a, b, sizeof b, c, 16, NULL));
        assert_true(is_filled(c, 16));
        free(c);
    }
}

int main(void) {
    if (!has_forced_isa())
        return skipped;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_many_shapes),
        cmocka_unit_test(products_with_gaps),
        cmocka_unit_test(batches),
        cmocka_unit_test(empty_products),
        cmocka_unit_test(bf16_results_are_rounded_f32),
        cmocka_unit_test(s32_sums_wrap_around),
        cmocka_unit_test(s8_results_are_rounded_and_clamped),
        cmocka_unit_test(threads_do_not_change_results),
        cmocka_unit_test(handles_must_be_given),
        cmocka_unit_test(buffers_must_be_given),
        cmocka_unit_test(buffers_must_be_large_enough),
        cmocka_unit_test(buffers_may_be_larger),
        cmocka_unit_test(buffers_must_be_aligned),
        cmocka_unit_test(results_must_not_overlap_operands),
        cmocka_unit_test(operands_may_be_the_same),
        cmocka_unit_test(types_must_be_documented),
        cmocka_unit_test(fields_must_be_in_range),
        cmocka_unit_test(scales_belong_to_s8_results),
        cmocka_unit_test(sizes_must_not_overflow),
        cmocka_unit_test(large_sizes_need_large_buffers),
    };
    return cmocka_run_group_tests(tests, open_ctx, close_ctx);
}
