/* SPDX-License-Identifier: MIT
 *
 * npuenc_attention against the formula in double precision, and every way to call it wrongly.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

enum { n_types = 3 };
static const int32_t types[n_types] = {NPUENC_F32, NPUENC_BF16, NPUENC_S8};

/* ---- A problem with its buffers, without slack ---- */

typedef struct operand {
    size_t len, ld, bytes;
    void* data;
} operand;

typedef struct problem {
    npuenc_attention_desc desc;
    size_t batch;
    operand q, k, v, out;
    void* mask;
    size_t mask_bytes;
} problem;

static operand lay_out(const npuenc_attention_desc* desc, size_t batch, size_t len, uint64_t ld) {
    const size_t width = (size_t)desc->n_head * desc->head_dim;
    operand o = {.len = len, .ld = ld ? ld : width};
    if (batch * len > 0)
        o.bytes = ((batch * len - 1) * o.ld + width) * element_bytes(desc->type);
    return o;
}

static size_t mask_elements(const npuenc_attention_desc* desc, size_t batch) {
    const size_t items = desc->flags & NPUENC_ATTENTION_MASK_PER_ITEM ? batch : 1;
    const size_t heads = desc->flags & NPUENC_ATTENTION_MASK_PER_HEAD ? desc->n_head : 1;
    return items * heads * desc->q_len * desc->kv_len;
}

static problem problem_of(npuenc_attention_desc desc, random_source* source) {
    desc.struct_size = sizeof desc;
    problem p = {.desc = desc, .batch = desc.batch ? desc.batch : 1};
    p.q = lay_out(&desc, p.batch, desc.q_len, desc.ldq);
    p.k = lay_out(&desc, p.batch, desc.kv_len, desc.ldk);
    p.v = lay_out(&desc, p.batch, desc.kv_len, desc.ldv);
    p.out = lay_out(&desc, p.batch, desc.q_len, desc.ldo);
    operand* const inputs[] = {&p.q, &p.k, &p.v};
    for (size_t i = 0; i < COUNT(inputs); i++)
        inputs[i]->data =
            random_elements(source, desc.type, inputs[i]->bytes / element_bytes(desc.type));
    p.out.data = filled(p.out.bytes);
    if (desc.mask == NPUENC_MASK_KEY_LENGTHS) {
        p.mask_bytes = p.batch * sizeof(uint32_t);
        uint32_t* lengths = p.mask = malloc(p.mask_bytes);
        for (size_t i = 0; i < p.batch; i++) /* 0 and kv_len are among them */
            lengths[i] = i == 0 ? desc.kv_len : i == 1 ? 0 : random_below(source, desc.kv_len + 1);
    } else if (desc.mask == NPUENC_MASK_ADD_F32) {
        const size_t n = mask_elements(&desc, p.batch);
        p.mask_bytes = n * sizeof(float);
        float* mask = p.mask = malloc(p.mask_bytes);
        for (size_t i = 0; i < n; i++) /* some rows see nothing, and every other key at times */
            mask[i] = (i / (desc.kv_len ? desc.kv_len : 1)) % 5 == 3 || random_below(source, 4) == 0
                          ? -INFINITY
                          : 3 * random_real(source);
    }
    return p;
}

static void free_problem(problem* p) {
    free(p->q.data);
    free(p->k.data);
    free(p->v.data);
    free(p->out.data);
    free(p->mask);
}

static int32_t attend(npuenc_ctx* with, problem* p) {
    return npuenc_attention(with, &p->desc, p->q.data, p->q.bytes, p->k.data, p->k.bytes, p->v.data,
                            p->v.bytes, p->mask, p->mask_bytes, p->out.data, p->out.bytes, NULL);
}

/* ---- The formula ---- */

static double value(const problem* p, const operand* o, size_t item, size_t pos, size_t column) {
    return element(p->desc.type, o->data, (item * o->len + pos) * o->ld + column);
}

static double or_one(float scale) {
    return scale == 0 ? 1 : scale;
}

/* What is added to the score, -INFINITY for a key that is not seen. */
static double added(const problem* p, size_t item, size_t head, size_t query, size_t key) {
    const npuenc_attention_desc* d = &p->desc;
    switch (d->mask) {
    case NPUENC_MASK_KEY_LENGTHS:
        return key < ((const uint32_t*)p->mask)[item] ? 0 : -INFINITY;
    case NPUENC_MASK_CAUSAL:
        return key <= query + d->kv_len - d->q_len ? 0 : -INFINITY;
    case NPUENC_MASK_ADD_F32: {
        const size_t heads = d->flags & NPUENC_ATTENTION_MASK_PER_HEAD ? d->n_head : 1;
        const size_t i = d->flags & NPUENC_ATTENTION_MASK_PER_ITEM ? item : 0;
        const size_t h = d->flags & NPUENC_ATTENTION_MASK_PER_HEAD ? head : 0;
        return ((const float*)p->mask)[((i * heads + h) * d->q_len + query) * d->kv_len + key];
    }
    default:
        return 0;
    }
}

/* Checks one query of one head.
 *
 * A score s = scale * sum(q k) + mask is off by at most
 *     delta = (e(dim) + 2 u) scale sum |q k| + 2 u (|s| + |mask|),
 * e(n) being the error of the device's sum of n products and u that of one rounding; the
 * subtraction of the greatest score adds 2 u |s|, so 4 u below. exp then is off by a factor of e^(2
 * delta), for numerator and denominator, and by a few u of its own, 16 in all with the division.
 * The second product adds e(kv_len). All are relative to sum(p |v|). Probabilities too small for a
 * float are lost: less than 2^-120 each. BF16  each probability and the result are rounded to bf16.
 *   S8    the scales' products are roundings of delta; the result is rounded to an integer. */
static void check_query(const problem* p, size_t item, size_t head, size_t query) {
    const npuenc_attention_desc* d = &p->desc;
    const size_t dim = d->head_dim, n = d->kv_len, first = head * dim;
    const bool is_s8 = d->type == NPUENC_S8;
    double (*const error_of_sum)(size_t) = d->type == NPUENC_F32 ? sum_error : bf16_sum_error;
    const double scale = d->scale == 0 ? 1 / sqrt((double)dim) : d->scale;
    const double qk_scale = scale * or_one(d->q_scale) * or_one(d->k_scale);
    double* prob = calloc(n + 1, sizeof *prob);
    double greatest = -INFINITY, delta = 0, sum = 0;
    for (size_t key = 0; key < n; key++) {
        double dot = 0, magnitude = 0;
        for (size_t i = first; i < first + dim; i++) {
            const double term = value(p, &p->q, item, query, i) * value(p, &p->k, item, key, i);
            dot += term;
            magnitude += fabs(term);
        }
        const double mask = added(p, item, head, query, key);
        prob[key] = dot * qk_scale + mask;
        if (mask > -INFINITY) {
            greatest = fmax(greatest, prob[key]);
            const double error = (error_of_sum(dim) + sum_error(6)) * magnitude * fabs(qk_scale) +
                                 4 * unit_f32 * (fabs(prob[key]) + fabs(mask));
            delta = fmax(delta, error);
        }
    }
    for (size_t key = 0; key < n && greatest > -INFINITY; key++)
        sum += prob[key] = exp(prob[key] - greatest);
    for (size_t i = first; i < first + dim; i++) {
        double expected = 0, magnitude = 0, most = 0;
        for (size_t key = 0; key < n && greatest > -INFINITY; key++) {
            const double v = value(p, &p->v, item, key, i) * or_one(d->v_scale);
            expected += prob[key] / sum * v;
            magnitude += prob[key] / sum * fabs(v);
            most = fmax(most, fabs(v));
        }
        double tolerance = magnitude * (expm1(2 * delta) + 16 * unit_f32 + error_of_sum(n)) +
                           (double)n * 0x1p-120 * most;
        double got = value(p, &p->out, item, query, i);
        if (d->type != NPUENC_F32) /* probabilities in bf16, of an exp within 2^-13.7 */
            tolerance += (unit_bf16 + 2 * 0x1.4p-14) * (magnitude + tolerance);
        if (d->type == NPUENC_BF16)
            tolerance += unit_bf16 * (fabs(expected) + tolerance);
        if (is_s8) {
            expected = fmax(-128, fmin(127, expected / or_one(d->out_scale)));
            tolerance = 0.5 + tolerance / or_one(d->out_scale) + 4 * unit_f32 * fabs(expected);
        }
        if (greatest == -INFINITY)
            tolerance = 0; /* a query that sees no key */
        if (!(fabs(got - expected) <= tolerance))
            fail_msg("type %d, mask %d, flags %u, item %zu, head %zu, query %zu, column %zu: "
                     "%.9g, expected %.9g +- %.3g",
                     d->type, d->mask, d->flags, item, head, query, i, got, expected, tolerance);
    }
    free(prob);
}

/* A device that lacks the type says so, and touches nothing. */
static bool is_supported(problem* p) {
    const int32_t support = support_of(p->desc.type);
    if (support != NPUENC_OK) {
        expect(support, attend(ctx, p));
        assert_true(is_filled(p->out.data, p->out.bytes));
    }
    return support == NPUENC_OK;
}

static void check_problem(problem* p) {
    if (!is_supported(p))
        return;
    expect_ok(attend(ctx, p));
    for (size_t item = 0; item < p->batch; item++)
        for (size_t head = 0; head < p->desc.n_head; head++)
            for (size_t query = 0; query < p->desc.q_len; query++)
                check_query(p, item, head, query);
    /* What is between the rows is not npuenc's. */
    const size_t size = element_bytes(p->desc.type);
    const size_t width = (size_t)p->desc.n_head * p->desc.head_dim;
    for (size_t row = 0; row + 1 < p->batch * p->desc.q_len; row++)
        assert_true(is_filled((char*)p->out.data + (row * p->out.ld + width) * size,
                              (p->out.ld - width) * size));
}

static npuenc_attention_desc with_type(npuenc_attention_desc desc, int32_t type) {
    desc.type = type;
    if (type == NPUENC_S8) {
        desc.q_scale = 0.02f, desc.k_scale = 0.015f, desc.v_scale = 0.01f;
        desc.out_scale = 0.006f;
    }
    return desc;
}

static void check_all_types(npuenc_attention_desc desc) {
    for (size_t t = 0; t < n_types; t++) {
        random_source source = {desc.q_len * 7u + desc.kv_len};
        problem p = problem_of(with_type(desc, types[t]), &source);
        check_problem(&p);
        free_problem(&p);
    }
}

/* ---- Results ---- */

static void shapes(void** state) {
    (void)state;
    const uint32_t sizes[][4] = {/* n_head, head_dim, q_len, kv_len */
                                 {1, 1, 1, 1},   {1, 64, 7, 13},  {2, 64, 33, 33}, {3, 5, 17, 2},
                                 {4, 16, 1, 61}, {1, 3, 130, 70}, {2, 80, 5, 300}, {5, 7, 60, 1}};
    for (size_t i = 0; i < COUNT(sizes); i++)
        check_all_types((npuenc_attention_desc){.n_head = sizes[i][0],
                                                .head_dim = sizes[i][1],
                                                .q_len = sizes[i][2],
                                                .kv_len = sizes[i][3],
                                                .batch = (uint32_t)i % 3});
}

static void masks(void** state) {
    (void)state;
    npuenc_attention_desc desc = {
        .batch = 4, .n_head = 3, .head_dim = 10, .q_len = 19, .kv_len = 23};
    const int32_t all[] = {NPUENC_MASK_NONE, NPUENC_MASK_KEY_LENGTHS, NPUENC_MASK_CAUSAL};
    for (size_t i = 0; i < COUNT(all); i++) {
        desc.mask = all[i];
        check_all_types(desc);
    }
    desc.mask = NPUENC_MASK_CAUSAL;
    desc.kv_len = desc.q_len;
    check_all_types(desc);
    desc.q_len = 1;
    check_all_types(desc);
    desc.q_len = 6;
    desc.mask = NPUENC_MASK_ADD_F32;
    for (desc.flags = 0; desc.flags < 4; desc.flags++)
        check_all_types(desc);
}

static void leading_dimensions(void** state) {
    (void)state;
    npuenc_attention_desc desc = {.batch = 2, .n_head = 2, .head_dim = 9, .q_len = 5, .kv_len = 8};
    desc.ldq = 18, desc.ldk = 19, desc.ldv = 25, desc.ldo = 31;
    check_all_types(desc);
    desc.mask = NPUENC_MASK_KEY_LENGTHS;
    check_all_types(desc);
}

/* As Whisper has them: q, k and v side by side in the rows of one matrix. */
static void operands_may_interleave(void** state) {
    (void)state;
    enum { len = 11, width = 16 };
    const int32_t type = NPUENC_BF16;
    const size_t row = width * sizeof(uint16_t);
    random_source source = {2};
    char* qkv = random_elements(&source, type, len * 3 * width);
    npuenc_attention_desc desc = {
        .type = type, .n_head = 2, .head_dim = 8, .q_len = len, .kv_len = len};
    problem packed = problem_of(desc, &source);
    for (size_t i = 0; i < len; i++) {
        memcpy((char*)packed.q.data + i * row, qkv + i * 3 * row, row);
        memcpy((char*)packed.k.data + i * row, qkv + i * 3 * row + row, row);
        memcpy((char*)packed.v.data + i * row, qkv + i * 3 * row + 2 * row, row);
    }
    check_problem(&packed);
    void* out = filled(packed.out.bytes);
    desc = packed.desc;
    desc.ldq = desc.ldk = desc.ldv = 3 * width;
    const size_t bytes = (len - 1) * 3 * row + row;
    expect_ok(npuenc_attention(ctx, &desc, qkv, bytes, qkv + row, bytes, qkv + 2 * row, bytes, NULL,
                               0, out, packed.out.bytes, NULL));
    assert_memory_equal(out, packed.out.data, packed.out.bytes);
    free_problem(&packed);
    free(qkv), free(out);
}

static void scales(void** state) {
    (void)state;
    npuenc_attention_desc desc = {.n_head = 2, .head_dim = 12, .q_len = 9, .kv_len = 14};
    const float all[] = {1, -0.7f, 1e-20f, 30};
    for (size_t i = 0; i < COUNT(all); i++) {
        desc.scale = all[i];
        check_all_types(desc);
    }
    desc.scale = 0.001f; /* S8 without scales: they are 1 */
    desc.type = NPUENC_S8;
    random_source source = {8};
    problem p = problem_of(desc, &source);
    check_problem(&p);
    p.desc.out_scale = 0.01f; /* everything is clamped */
    memset(p.out.data, 0xa5, p.out.bytes);
    check_problem(&p);
    free_problem(&p);
}

/* A score of 10,000 times exp would overflow, were the greatest not taken away. */
static void large_scores(void** state) {
    (void)state;
    const double most[] = {1, 1 + 2 * unit_bf16}; /* probabilities and results are rounded */
    for (size_t t = 0; t < COUNT(most); t++) {
        const npuenc_attention_desc desc = {
            .type = types[t], .n_head = 1, .head_dim = 4, .q_len = 3, .kv_len = 5, .scale = 1e4f};
        random_source source = {4};
        problem p = problem_of(desc, &source);
        expect(support_of(types[t]), attend(ctx, &p));
        for (size_t i = 0; support_of(types[t]) == NPUENC_OK && i < 12; i++)
            assert_true(fabs(element(types[t], p.out.data, i)) <= most[t]);
        free_problem(&p);
    }
}

static void empty_problems(void** state) {
    (void)state;
    for (uint32_t zeros = 1; zeros < 4; zeros++)
        for (int32_t mask = NPUENC_MASK_NONE; mask <= NPUENC_MASK_ADD_F32; mask++)
            for (size_t t = 0; t < n_types; t++) {
                npuenc_attention_desc desc = {.type = types[t],
                                              .batch = 2,
                                              .n_head = 2,
                                              .head_dim = 3,
                                              .q_len = zeros & 1 ? 0 : 4,
                                              .kv_len = zeros & 2 ? 0 : 5,
                                              .mask = mask};
                random_source source = {1};
                problem p = problem_of(desc, &source);
                struct {
                    void** data;
                    size_t bytes;
                } const all[] = {{&p.q.data, p.q.bytes},
                                 {&p.k.data, p.k.bytes},
                                 {&p.v.data, p.v.bytes},
                                 {&p.out.data, p.out.bytes},
                                 {&p.mask, p.mask_bytes}};
                for (size_t i = 0; i < COUNT(all); i++)
                    if (all[i].bytes == 0) {
                        free(*all[i].data);
                        *all[i].data = NULL;
                    }
                if (mask == NPUENC_MASK_CAUSAL && desc.kv_len < desc.q_len) {
                    expect_invalid(attend(ctx, &p));
                } else if (is_supported(&p)) {
                    expect_ok(attend(ctx, &p));
                    for (size_t i = 0; i < p.out.bytes; i++) /* no key, so zeros */
                        assert_int_equal(((char*)p.out.data)[i], 0);
                }
                free_problem(&p);
            }
}

static void threads_do_not_change_results(void** state) {
    (void)state;
    for (uint32_t n = 2; n <= 4; n++) {
        npuenc_ctx* threaded = open_device(n);
        for (size_t t = 0; t < n_types; t++) {
            if (support_of(types[t]) != NPUENC_OK)
                continue;
            const npuenc_attention_desc desc = with_type(
                (npuenc_attention_desc){.n_head = 3, .head_dim = 32, .q_len = 90, .kv_len = 77},
                types[t]);
            random_source source = {n};
            problem one = problem_of(desc, &source);
            source.state = n;
            problem many = problem_of(desc, &source);
            expect_ok(attend(ctx, &one));
            expect_ok(attend(threaded, &many));
            assert_memory_equal(one.out.data, many.out.data, one.out.bytes);
            free_problem(&one);
            free_problem(&many);
        }
        npuenc_close(threaded);
    }
}

/* ---- Wrong arguments ---- */

static problem valid_problem(int32_t type, int32_t mask) {
    random_source source = {9};
    return problem_of(
        with_type(
            (npuenc_attention_desc){
                .batch = 2, .n_head = 2, .head_dim = 3, .q_len = 4, .kv_len = 5, .mask = mask},
            type),
        &source);
}

static void expect_refused(int32_t status, problem* p) {
    expect(status, attend(ctx, p));
    assert_true(is_filled(p->out.data, p->out.bytes));
}

static void handles_must_be_given(void** state) {
    (void)state;
    problem p = valid_problem(NPUENC_F32, NPUENC_MASK_NONE);
    expect_invalid(attend(NULL, &p));
    assert_true(is_filled(p.out.data, p.out.bytes));
    free_problem(&p);
}

static void buffers_must_fit(void** state) {
    (void)state;
    const int32_t all_masks[] = {NPUENC_MASK_KEY_LENGTHS, NPUENC_MASK_ADD_F32};
    for (size_t t = 0; t < n_types; t++)
        for (size_t m = 0; m < COUNT(all_masks); m++)
            for (size_t which = 0; which < 5; which++) {
                problem p = valid_problem(types[t], all_masks[m]);
                void** const data[] = {&p.q.data, &p.k.data, &p.v.data, &p.out.data, &p.mask};
                size_t* const sizes[] = {&p.q.bytes, &p.k.bytes, &p.v.bytes, &p.out.bytes,
                                         &p.mask_bytes};
                size_t* const bytes = sizes[which];
                const size_t right = *bytes;
                *bytes = right - 1;
                expect_refused(NPUENC_E_BUFFER, &p);
                *bytes = 0;
                expect_refused(NPUENC_E_BUFFER, &p);
                *bytes = right;

                void* const there = *data[which];
                *data[which] = NULL;
                expect_invalid(attend(ctx, &p));
                *bytes = 0;
                expect_invalid(attend(ctx, &p));
                *bytes = right;

                const size_t size = which == 4 ? 4 : element_bytes(types[t]);
                char* moved = calloc(1, right + size);
                for (size_t off = 1; off < size; off++) {
                    *data[which] = moved + off;
                    expect_invalid(attend(ctx, &p));
                }
                free(moved);
                *data[which] = there;
                assert_true(is_filled(p.out.data, p.out.bytes));
                expect(support_of(types[t]), attend(ctx, &p));
                free_problem(&p);
            }
}

static void results_must_not_overlap_anything(void** state) {
    (void)state;
    for (size_t which = 0; which < 4; which++)
        for (int end = 0; end < 3; end++) {
            problem p = valid_problem(NPUENC_F32, NPUENC_MASK_ADD_F32);
            void** const data[] = {&p.q.data, &p.k.data, &p.v.data, &p.mask};
            const size_t bytes[] = {p.q.bytes, p.k.bytes, p.v.bytes, p.mask_bytes};
            char* both = filled(bytes[which] + p.out.bytes);
            void *const operand_data = *data[which], *const out = p.out.data;
            *data[which] = end == 0 ? both + p.out.bytes - 4 : both;
            p.out.data = end == 1 ? both + bytes[which] - 4 : both;
            expect_refused(NPUENC_E_INVALID, &p);
            *data[which] = operand_data, p.out.data = out;
            free(both);
            free_problem(&p);
        }
}

static void break_type_zero(problem* p) {
    p->desc.type = 0;
}
static void break_type_f16(problem* p) {
    p->desc.type = NPUENC_F16;
}
static void break_type_s32(problem* p) {
    p->desc.type = NPUENC_S32;
}
static void break_type_negative(problem* p) {
    p->desc.type = -1;
}
static void break_type_unknown(problem* p) {
    p->desc.type = 6;
}
static void break_n_head(problem* p) {
    p->desc.n_head = 0;
}
static void break_head_dim(problem* p) {
    p->desc.head_dim = 0;
}
static void break_mask_negative(problem* p) {
    p->desc.mask = -1;
}
static void break_mask_unknown(problem* p) {
    p->desc.mask = 4;
}
static void break_mask_most(problem* p) {
    p->desc.mask = INT32_MIN;
}
static void break_flags(problem* p) {
    p->desc.flags = 4;
}
static void break_all_flags(problem* p) {
    p->desc.flags = 0x80000000u;
}
static void break_scale(problem* p) {
    p->desc.scale = NAN;
}
static void break_scale_infinity(problem* p) {
    p->desc.scale = -INFINITY;
}
static void break_q_scale(problem* p) {
    p->desc.q_scale = -1;
}
static void break_k_scale(problem* p) {
    p->desc.k_scale = INFINITY;
}
static void break_v_scale(problem* p) {
    p->desc.v_scale = NAN;
}
static void break_out_scale(problem* p) {
    p->desc.out_scale = -FLT_TRUE_MIN;
}
static void break_ldq(problem* p) {
    p->desc.ldq = 5;
}
static void break_ldk(problem* p) {
    p->desc.ldk = 1;
}
static void break_ldv(problem* p) {
    p->desc.ldv = 5;
}
static void break_ldo(problem* p) {
    p->desc.ldo = 5;
}

static void fields_must_be_in_range(void** state) {
    (void)state;
    void (*const breaks[])(problem*) = {
        break_type_zero,    break_type_f16,
        break_type_s32,     break_type_negative,
        break_type_unknown, break_n_head,
        break_head_dim,     break_mask_negative,
        break_mask_unknown, break_mask_most,
        break_flags,        break_all_flags,
        break_scale,        break_scale_infinity,
        break_q_scale,      break_k_scale,
        break_v_scale,      break_out_scale,
        break_ldq,          break_ldk,
        break_ldv,          break_ldo,
    };
    for (size_t i = 0; i < COUNT(breaks); i++) {
        problem p = valid_problem(NPUENC_S8, NPUENC_MASK_ADD_F32);
        breaks[i](&p);
        print_message("%zu ", i);
        expect_refused(NPUENC_E_INVALID, &p);
        free_problem(&p);
    }
    print_message("\n");
}

static void scales_belong_to_s8(void** state) {
    (void)state;
    for (size_t t = 0; t < 2; t++)
        for (size_t which = 0; which < 4; which++) {
            problem p = valid_problem(types[t], NPUENC_MASK_NONE);
            float* const fields[] = {&p.desc.q_scale, &p.desc.k_scale, &p.desc.v_scale,
                                     &p.desc.out_scale};
            *fields[which] = 1;
            expect_refused(NPUENC_E_INVALID, &p);
            *fields[which] = NAN;
            expect_refused(NPUENC_E_INVALID, &p);
            free_problem(&p);
        }
}

static void masks_must_fit_their_kind(void** state) {
    (void)state;
    /* A mask where none is taken. */
    const int32_t without[] = {NPUENC_MASK_NONE, NPUENC_MASK_CAUSAL};
    for (size_t i = 0; i < COUNT(without); i++) {
        problem p = valid_problem(NPUENC_F32, without[i]);
        float mask[40] = {0};
        p.mask = mask, p.mask_bytes = sizeof mask;
        expect_refused(NPUENC_E_INVALID, &p);
        p.mask_bytes = 0;
        expect_refused(NPUENC_E_INVALID, &p);
        p.mask = NULL, p.mask_bytes = 4;
        expect_refused(NPUENC_E_INVALID, &p);
        p.mask_bytes = 0;
        free_problem(&p);
    }
    /* Its flags where none of them means anything. */
    for (int32_t mask = NPUENC_MASK_NONE; mask < NPUENC_MASK_ADD_F32; mask++)
        for (uint32_t flags = 1; flags < 4; flags++) {
            problem p = valid_problem(NPUENC_F32, mask);
            p.desc.flags = flags;
            expect_refused(NPUENC_E_INVALID, &p);
            free_problem(&p);
        }
    /* Lengths past the keys, of the last item too. */
    for (size_t item = 0; item < 2; item++) {
        problem p = valid_problem(NPUENC_F32, NPUENC_MASK_KEY_LENGTHS);
        ((uint32_t*)p.mask)[item] = 6;
        expect_refused(NPUENC_E_INVALID, &p);
        ((uint32_t*)p.mask)[item] = UINT32_MAX;
        expect_refused(NPUENC_E_INVALID, &p);
        free_problem(&p);
    }
    /* Fewer keys than queries, where the first queries would see none. */
    problem p = valid_problem(NPUENC_F32, NPUENC_MASK_CAUSAL);
    p.desc.q_len = 6;
    expect_refused(NPUENC_E_INVALID, &p);
    free_problem(&p);
}

static void sizes_must_not_overflow(void** state) {
    (void)state;
    const uint32_t u = UINT32_MAX;
    const uint64_t h = UINT64_MAX;
    const npuenc_attention_desc sizes[] = {
        {.batch = u, .n_head = u, .head_dim = u, .q_len = u, .kv_len = u},
        {.n_head = u, .head_dim = u, .q_len = 1, .kv_len = 1},
        {.n_head = u, .head_dim = 1, .q_len = u, .kv_len = 1},
        {.n_head = u, .head_dim = 1, .q_len = 1, .kv_len = u},
        {.batch = u, .n_head = u, .head_dim = 1, .q_len = 1, .kv_len = 1},
        {.n_head = u, .head_dim = u, .q_len = 2, .kv_len = 0},
        {.n_head = 1, .head_dim = 1, .q_len = 2, .kv_len = 1, .ldq = h},
        {.n_head = 1, .head_dim = 1, .q_len = 2, .kv_len = 1, .ldo = h / 4},
        {.n_head = 1, .head_dim = 1, .q_len = 1, .kv_len = 3, .ldk = h / 2},
        {.n_head = 1, .head_dim = 1, .q_len = 1, .kv_len = 3, .ldv = h / 2},
        {.batch = 2, .n_head = 1, .head_dim = 1, .q_len = 1, .kv_len = 1, .ldv = h},
    };
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (int32_t mask = NPUENC_MASK_NONE; mask <= NPUENC_MASK_ADD_F32; mask++) {
            npuenc_attention_desc desc = sizes[i];
            desc.struct_size = sizeof desc;
            desc.type = NPUENC_F32;
            desc.mask = mask;
            if (mask == NPUENC_MASK_ADD_F32)
                desc.flags = NPUENC_ATTENTION_MASK_PER_ITEM | NPUENC_ATTENTION_MASK_PER_HEAD;
            float in[4] = {0}, *out = filled(16);
            const int32_t status =
                npuenc_attention(ctx, &desc, in, 16, in, 16, in, 16, NULL, 0, out, 16, NULL);
            assert_int_equal(status, NPUENC_E_INVALID);
            assert_true(is_filled(out, 16));
            free(out);
        }
}

static void large_sizes_need_large_buffers(void** state) {
    (void)state;
    const uint32_t u = UINT32_MAX;
    const npuenc_attention_desc sizes[] = {
        {.n_head = 1, .head_dim = 1, .q_len = u, .kv_len = 1},
        {.n_head = 1, .head_dim = 1, .q_len = 1, .kv_len = u},
        {.n_head = 1, .head_dim = u, .q_len = 1, .kv_len = 1},
        {.batch = u, .n_head = 1, .head_dim = 1, .q_len = 1, .kv_len = 1},
    };
    for (size_t i = 0; i < COUNT(sizes); i++) {
        npuenc_attention_desc desc = sizes[i];
        desc.struct_size = sizeof desc;
        desc.type = NPUENC_F32;
        float in[4] = {0}, *out = filled(16);
        expect(NPUENC_E_BUFFER,
               npuenc_attention(ctx, &desc, in, 16, in, 16, in, 16, NULL, 0, out, 16, NULL));
        assert_true(is_filled(out, 16));
        free(out);
    }
}

int main(void) {
    if (!has_forced_isa())
        return skipped;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes),
        cmocka_unit_test(masks),
        cmocka_unit_test(leading_dimensions),
        cmocka_unit_test(operands_may_interleave),
        cmocka_unit_test(scales),
        cmocka_unit_test(large_scores),
        cmocka_unit_test(empty_problems),
        cmocka_unit_test(threads_do_not_change_results),
        cmocka_unit_test(handles_must_be_given),
        cmocka_unit_test(buffers_must_fit),
        cmocka_unit_test(results_must_not_overlap_anything),
        cmocka_unit_test(fields_must_be_in_range),
        cmocka_unit_test(scales_belong_to_s8),
        cmocka_unit_test(masks_must_fit_their_kind),
        cmocka_unit_test(sizes_must_not_overflow),
        cmocka_unit_test(large_sizes_need_large_buffers),
    };
    return cmocka_run_group_tests(tests, open_ctx, close_ctx);
}
