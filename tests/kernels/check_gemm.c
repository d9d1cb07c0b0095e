/* SPDX-License-Identifier: MIT
 *
 * Products, from the sources through packing to the tile, since what packing makes is the kernels'
 * own. A whole tile is held against the definition:
 *   s8, u8       the exact sum, modulo 2^32
 *   f32          the sum in the order of k, bit for bit: with fused operations in all instruction
 *                sets but the reference, which rounds products
 *   bf16         the same where it is multiplied as f32, one k at a time; and else the sum in
 *                double, within the bound of any order
 *   bf16x2       that sum, within the bound of any order and of what splitting leaves out
 * Every smaller tile, and every sum taken in two parts, is then held against the whole one, bit for
 * bit.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

typedef enum { type_f32, type_bf16, type_bf16x2, type_s8, type_u8 } Type;

/* One family, whatever its type. */
typedef struct Gemm {
    const char* name;
    Type type;
    size_t element; /* bytes of an operand's element at the source; the result's are 4 */
    const npuenc_gemm* kernels;
} Gemm;

typedef union {
    float f;
    uint32_t s; /* s32, wrapping */
} Element;

static size_t padded(const Gemm* gemm, size_t k) {
    return (k + gemm->kernels->k_group - 1) / gemm->kernels->k_group * gemm->kernels->k_group;
}

static size_t row_bytes(const Gemm* gemm, size_t k) {
    return padded(gemm, k) * gemm->kernels->a_size;
}

/* Of a panel's groups alone. */
static size_t groups_bytes(const Gemm* gemm, size_t k) {
    return padded(gemm, k) * gemm->kernels->nr * gemm->kernels->b_size;
}

static size_t start_bytes(const Gemm* gemm) {
    return gemm->kernels->shifted_a ? gemm->kernels->nr * sizeof(int32_t) : 0;
}

static size_t panel_bytes(const Gemm* gemm, size_t k) {
    return groups_bytes(gemm, k) + start_bytes(gemm);
}

/* Whether several bf16 are taken at once, in an order and with denormals of its own. */
static int has_own_order(const Gemm* gemm) {
    return gemm->type == type_bf16x2 || (gemm->type == type_bf16 && gemm->kernels->k_group > 1);
}

typedef enum {
    values_ordinary,
    values_hostile,   /* anything; for s8 the extremes */
    values_special,   /* ordinary with zeros, infinities and, rarely, NaN */
    values_denormals, /* ordinary and denormals */
} Values;

static float random_value(Check* check, Values values) {
    static const float special[] = {0, -0.0f, INFINITY, -INFINITY};
    const float ordinary = (float)random_normal(check);
    switch (values) {
    case values_hostile:
        return random_hostile_f32(check);
    case values_special:
        return random_below(check, 20)   ? ordinary
               : random_below(check, 10) ? special[random_below(check, 4)]
                                         : NAN;
    case values_denormals:
        return random_below(check, 3) ? ordinary : ordinary * 0x1p-128f;
    default:
        return ordinary;
    }
}

static void fill(Check* check, const Gemm* gemm, Values values, size_t n, void* out) {
    for (size_t i = 0; i < n; i++)
        if (gemm->element == sizeof(float))
            ((float*)out)[i] = random_value(check, values);
        else if (gemm->type == type_bf16)
            ((uint16_t*)out)[i] = (uint16_t)(bits_of(random_value(check, values)) >> 16);
        else if (values == values_hostile)
            ((int8_t*)out)[i] = random_below(check, 4) ? INT8_MIN : INT8_MAX;
        else
            ((int8_t*)out)[i] = (int8_t)random_bits(check);
}

/* An element of a float operand. */
static float operand(const Gemm* gemm, const void* from, size_t i) {
    return gemm->element == sizeof(float) ? ((const float*)from)[i]
                                          : f32_of((uint32_t)((const uint16_t*)from)[i] << 16);
}

static int is_integer(const Gemm* gemm) {
    return gemm->type == type_s8 || gemm->type == type_u8;
}

/* An element of a whole A, whose bytes are unsigned in gemm_u8. */
static int32_t integer_of_a(const Gemm* gemm, const void* a, size_t i) {
    return gemm->type == type_u8 ? ((const uint8_t*)a)[i] : ((const int8_t*)a)[i];
}

static int same(const Gemm* gemm, Element a, Element b) {
    return is_integer(gemm) ? a.s == b.s : same_f32(a.f, b.f);
}

/* Guarded operands, of up to a certain k. */
typedef struct Memory {
    Guarded source, packed, a, b, start, c;
} Memory;

static Memory memory_new(const Gemm* gemm, size_t k) {
    const size_t mr = gemm->kernels->mr, nr = gemm->kernels->nr;
    return (Memory){.source = guarded_new((k + 9) * (nr + 9) * gemm->element),
                    .packed = guarded_new(panel_bytes(gemm, k) + row_bytes(gemm, k) + 1),
                    .a = guarded_new(mr * (row_bytes(gemm, k) + 64) + 1),
                    .b = guarded_new(groups_bytes(gemm, k) + 1),
                    .start = guarded_new(start_bytes(gemm) + 1),
                    .c = guarded_new(mr * (nr + 9) * sizeof(Element))};
}

static void memory_free(Memory* memory) {
    guarded_free(&memory->source);
    guarded_free(&memory->packed);
    guarded_free(&memory->a);
    guarded_free(&memory->b);
    guarded_free(&memory->start);
    guarded_free(&memory->c);
}

static size_t random_gap(Check* check) {
    return random_below(check, 2) ? random_below(check, 9) : 0;
}

/* Packs src[k], or else the columns src[cols][k] into a panel: `which` is pack_a, pack_b_rows or
 * pack_b_cols. Nothing but the packed bytes may be written, and all of them must be: the same come
 * out whatever was there before. */
typedef enum { pack_a, pack_b_rows, pack_b_cols } Which;

static void check_pack(Check* check, const Gemm* gemm, Memory* memory, Which which, size_t cols,
                       size_t k, const void* columns, void* packed) {
    static const char* const names[] = {"pack_a", "pack_b_rows", "pack_b_cols"};
    const size_t element = gemm->element;
    const size_t height = which == pack_b_cols ? k : cols, width = which == pack_b_cols ? cols : k;
    const size_t ld = width + (which == pack_a ? 0 : random_gap(check));
    const size_t source_bytes = height && width ? ((height - 1) * ld + width) * element : 0;
    const size_t bytes = which == pack_a ? row_bytes(gemm, k) : panel_bytes(gemm, k);
    const int at_end = (int)random_below(check, 2);
    char* src = guarded_place(&memory->source, source_bytes, element, at_end);
    for (size_t col = 0; col < cols; col++)
        for (size_t i = 0; i < k; i++)
            memcpy(src + (which == pack_b_cols ? i * ld + col : col * ld + i) * element,
                   (const char*)columns + (col * k + i) * element, element);
    for (int again = 0; again < 2; again++) {
        const size_t alignment = which == pack_a ? gemm->kernels->a_size : 64;
        void* to = guarded_place(&memory->packed, bytes, alignment, at_end ^ again);
        if (again)
            memset(to, 0x3c, bytes);
        if (which == pack_a)
            gemm->kernels->pack_a(k, src, to);
        else if (which == pack_b_rows)
            gemm->kernels->pack_b_rows(cols, k, src, ld, to);
        else
            gemm->kernels->pack_b_cols(cols, k, src, ld, to);
        if (!guarded_intact(&memory->packed, to, bytes))
            fail(check, "%s of %zu, k %zu: wrote outside", names[which], cols, k);
        if (again && memcmp(to, packed, bytes) != 0)
            fail(check, "%s of %zu, k %zu: left bytes unwritten", names[which], cols, k);
        memcpy(packed, to, bytes);
    }
}

/* Both ways, where there are two, make the same panel. */
static void check_pack_b(Check* check, const Gemm* gemm, Memory* memory, size_t cols, size_t k,
                         const void* b, void* panel) {
    check_pack(check, gemm, memory, pack_b_rows, cols, k, b, panel);
    if (!gemm->kernels->pack_b_cols)
        return;
    void* other = malloc(panel_bytes(gemm, k) + 1);
    if (!other)
        abort();
    check_pack(check, gemm, memory, pack_b_cols, cols, k, b, other);
    if (memcmp(panel, other, panel_bytes(gemm, k)) != 0)
        fail(check, "%zu columns, k %zu: pack_b_rows and pack_b_cols differ", cols, k);
    free(other);
}

enum { most_elements = most_rows * most_cols };

/* The sources of a whole tile, a[mr][k] and b[nr][k], and what they are packed to. */
typedef struct Operands {
    size_t k;
    char *a, *b, *rows, *panel;
} Operands;

static Operands operands_new(Check* check, const Gemm* gemm, Memory* memory, Values values,
                             size_t k) {
    const size_t mr = gemm->kernels->mr, nr = gemm->kernels->nr;
    const Operands new = {k, malloc(mr * k * gemm->element + 1), malloc(nr * k * gemm->element + 1),
                          malloc(mr * row_bytes(gemm, k) + 1), malloc(panel_bytes(gemm, k) + 1)};
    if (!new.a || !new.b || !new.rows || !new.panel)
        abort();
    fill(check, gemm, values, mr * k, new.a);
    fill(check, gemm, values, nr * k, new.b);
    for (size_t r = 0; r < mr; r++)
        check_pack(check, gemm, memory, pack_a, 1, k, new.a + r* k * gemm->element,
                   new.rows + r* row_bytes(gemm, k));
    check_pack_b(check, gemm, memory, nr, k, new.b, new.panel);
    return new;
}

static void operands_free(Operands* operands) {
    free(operands->a);
    free(operands->b);
    free(operands->rows);
    free(operands->panel);
}

/* One call on guarded operands, of the k in [from, to): `rows` x `cols` of c, and nothing else is
 * written. `panel` is of these columns or of more. c is mr x nr, and only taken with accumulate. */
static void call_tile(Check* check, const Gemm* gemm, Memory* memory, size_t rows, size_t cols,
                      size_t from, size_t to, const Operands* operands, const void* panel,
                      int accumulate, Element* c) {
    const npuenc_gemm* kernels = gemm->kernels;
    const int at_end = (int)random_below(check, 2);
    const size_t whole_row = row_bytes(gemm, operands->k);
    const size_t begin_a = from * kernels->a_size;
    const size_t bytes_row = row_bytes(gemm, to) - begin_a;
    const size_t begin_b = from * kernels->nr * kernels->b_size;
    const size_t bytes_b = groups_bytes(gemm, to) - begin_b;
    const size_t lda = bytes_row + random_gap(check) * kernels->a_size;
    const size_t ldc = cols + random_gap(check);
    const size_t bytes_a = (rows - 1) * lda + bytes_row;
    const size_t bytes_c = ((rows - 1) * ldc + cols) * sizeof(Element);
    char* a = guarded_place(&memory->a, bytes_a, kernels->a_size, at_end);
    char* b = guarded_place(&memory->b, bytes_b, 64, at_end);
    Element* out = guarded_place(&memory->c, bytes_c, sizeof *out, at_end);
    for (size_t r = 0; r < rows; r++)
        memcpy(a + r * lda, operands->rows + r * whole_row + begin_a, bytes_row);
    memcpy(b, (const char*)panel + begin_b, bytes_b);
    int32_t* start = NULL;
    if (kernels->shifted_a && !accumulate) {
        start = guarded_place(&memory->start, start_bytes(gemm), 64, at_end);
        memcpy(start, (const char*)panel + groups_bytes(gemm, operands->k), start_bytes(gemm));
    }
    if (accumulate)
        for (size_t r = 0; r < rows; r++)
            memcpy(out + r * ldc, c + r * kernels->nr, cols * sizeof *out);

    if (kernels->begin)
        kernels->begin();
    /* What is asked for may be anything, even what is not there. */
    kernels->tile(&(npuenc_tile){rows, cols, to - from, a, lda, b, start, out, ldc, accumulate, c,
                                 random_below(check, 2) ? 0 : random_below(check, 1 << 14)});
    if (kernels->end)
        kernels->end();

    int whole = guarded_intact(&memory->c, out, bytes_c);
    for (size_t r = 0; r + 1 < rows; r++)
        whole = whole && untouched(out + r * ldc + cols, (ldc - cols) * sizeof *out);
    if (!whole)
        fail(check, "%zu x %zu x %zu, ldc %zu: wrote outside of the tile", rows, cols, to - from,
             ldc);
    for (size_t r = 0; r < rows; r++)
        memcpy(c + r * kernels->nr, out + r * ldc, cols * sizeof *out);
}

/* Of `rows` x `cols`, against what the whole tile had. */
static void expect_same(Check* check, const Gemm* gemm, size_t rows, size_t cols, size_t k,
                        const char* what, const Element* c, const Element* expected) {
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < cols; j++) {
            const size_t i = r * gemm->kernels->nr + j;
            if (!same(gemm, c[i], expected[i])) {
                fail(check, "%zu x %zu x %zu, %s, element %zu %zu: %08x instead of %08x", rows,
                     cols, k, what, r, j, c[i].s, expected[i].s);
                return;
            }
        }
}

/* sum + a b as the instruction set does it. */
static float multiply_add(const Check* check, float sum, float a, float b) {
    const float product = a * b;
    return strcmp(check->kernels.isa, "reference") != 0 ? fmaf(a, b, sum) : sum + product;
}

/* Whatever the order and the fusing, |c - exact| <= g / (1 - g) sum |a b|, g = (k + 1) 2^-24
 * (Higham, Accuracy and Stability of Numerical Algorithms, 3.1), and 2^-149 per operation that
 * underflows, or 2^-126 times the other factor where denormals count as zero. Of pairs of bf16
 * there are three times as many products, each of whose factors is within 2^-16 of itself, the
 * product of the low parts, as much again, is left out, and both of a pair may underflow. What is
 * infinite or NaN in double is the same, as long as nothing finite overflows. */
static int is_close(const Gemm* gemm, const Operands* operands, size_t r, size_t j, float start,
                    float got) {
    const size_t k = operands->k;
    const int split = gemm->type == type_bf16x2;
    const double g = ((double)(split ? 3 * k : k) + 1) * 0x1p-24;
    const double relative = g / (1 - g) * (split ? 1.01 : 1) + (split ? 3.01 * 0x1p-16 : 0);
    double exact = start, size = fabs((double)start), factors = 1;
    for (size_t i = 0; i < k; i++) {
        const double a = operand(gemm, operands->a, r * k + i);
        const double b = operand(gemm, operands->b, j * k + i);
        exact += a * b;
        size += fabs(a * b);
        factors += 1 + fabs(a) + fabs(b);
    }
    if (exact != exact)
        return got != got;
    if (isinf(exact))
        return got == exact;
    const double least =
        has_own_order(gemm) ? (split ? 2 : 1) * 0x1p-126 * factors : 2 * (double)k * 0x1p-149;
    return fabs(got - exact) <= relative * size + least;
}

/* The whole tile `c`, which began with `start` (NULL: nothing), against its definition. `bounded`:
 * against the sum in double, too. */
static void expect_product(Check* check, const Gemm* gemm, const Operands* operands,
                           const Element* start, int bounded, const Element* c) {
    const size_t k = operands->k, nr = gemm->kernels->nr;
    for (size_t r = 0; r < gemm->kernels->mr; r++)
        for (size_t j = 0; j < nr; j++) {
            const Element got = c[r * nr + j];
            Element sum = start ? start[r * nr + j] : (Element){0};
            if (bounded && !is_integer(gemm) && !is_close(gemm, operands, r, j, sum.f, got.f))
                fail(check, "k %zu, element %zu %zu: %.9g is not within the bound", k, r, j, got.f);
            if (has_own_order(gemm))
                continue;
            for (size_t i = 0; i < k; i++)
                if (is_integer(gemm))
                    sum.s += (uint32_t)(integer_of_a(gemm, operands->a, r * k + i) *
                                        ((const int8_t*)operands->b)[j * k + i]);
                else
                    sum.f = multiply_add(check, sum.f, operand(gemm, operands->a, r * k + i),
                                         operand(gemm, operands->b, j * k + i));
            if (!same(gemm, got, sum)) {
                fail(check, "k %zu, element %zu %zu: %08x instead of %08x", k, r, j, got.s, sum.s);
                return;
            }
        }
}

static void random_start(Check* check, const Gemm* gemm, Values values, Element* start) {
    for (size_t i = 0; i < (size_t)gemm->kernels->mr * gemm->kernels->nr; i++)
        if (is_integer(gemm))
            start[i].s = (uint32_t)random_bits(check);
        else
            start[i].f = random_value(check, values);
}

/* Whole tiles: from nothing, and in addition to what is there, which only a sum without a start of
 * its own can be. */
static void check_whole(Check* check, const Gemm* gemm, Memory* memory, Values values,
                        const Operands* operands, Element* from_zero) {
    const size_t mr = gemm->kernels->mr, nr = gemm->kernels->nr, k = operands->k;
    const int bounded = values != values_hostile;
    call_tile(check, gemm, memory, mr, nr, 0, k, operands, operands->panel, 0, from_zero);
    expect_product(check, gemm, operands, NULL, bounded, from_zero);
    if (gemm->kernels->shifted_a)
        return;
    Element start[most_elements], c[most_elements];
    random_start(check, gemm, values, start);
    memcpy(c, start, sizeof c);
    call_tile(check, gemm, memory, mr, nr, 0, k, operands, operands->panel, 1, c);
    expect_product(check, gemm, operands, start, bounded, c);
}

/* A k where both a group and a multiple of 64 bytes of the panel begin. */
static size_t random_cut(Check* check, const Gemm* gemm, size_t k) {
    size_t cut = random_below(check, k + 1) / gemm->kernels->k_group * gemm->kernels->k_group;
    while (cut * gemm->kernels->nr * gemm->kernels->b_size % 64)
        cut -= gemm->kernels->k_group;
    return cut;
}

/* Columns that a panel lacks add nothing. */
static void expect_zeros(Check* check, const Gemm* gemm, size_t cols, size_t k, const Element* c) {
    for (size_t i = 0; i < (size_t)gemm->kernels->mr * gemm->kernels->nr; i++)
        if (i % gemm->kernels->nr >= cols && (c[i].s & 0x7fffffff)) {
            fail(check, "k %zu: column %zu of %zu is %08x", k, i % gemm->kernels->nr, cols, c[i].s);
            return;
        }
}

/* Every tile, of panels of as many columns or of all, in one part or in two. */
static void check_tiles(Check* check, const Gemm* gemm) {
    static const size_t every[] = {0,  1,  2,  3,  4,  5,  7,  8,   15,  16,  17,
                                   31, 33, 63, 64, 65, 67, 97, 130, 384, 1031};
    static const size_t some[] = {0, 1, 2, 3, 5, 16, 34, 67};
    const size_t* depths = check->quick ? some : every;
    const size_t count =
        check->quick ? sizeof some / sizeof some[0] : sizeof every / sizeof every[0];
    const size_t mr = gemm->kernels->mr, nr = gemm->kernels->nr;
    for (size_t d = 0; d < count; d++) {
        const size_t k = depths[d], cut = random_cut(check, gemm, k);
        Memory memory = memory_new(gemm, k);
        Operands operands = operands_new(check, gemm, &memory, values_ordinary, k);
        Element expected[most_elements], half[most_elements], c[most_elements];
        check_whole(check, gemm, &memory, values_ordinary, &operands, expected);
        call_tile(check, gemm, &memory, mr, nr, 0, cut, &operands, operands.panel, 0, half);
        void* narrow = malloc(panel_bytes(gemm, k) + 1);
        if (!narrow)
            abort();
        for (size_t cols = 1; cols <= nr; cols++) {
            check_pack_b(check, gemm, &memory, cols, k, operands.b, narrow);
            call_tile(check, gemm, &memory, mr, nr, 0, k, &operands, narrow, 0, c);
            expect_same(check, gemm, mr, cols, k, "padded", c, expected);
            expect_zeros(check, gemm, cols, k, c);
            for (size_t rows = 1; rows <= mr; rows++) {
                const void* panel = random_below(check, 2) ? narrow : operands.panel;
                call_tile(check, gemm, &memory, rows, cols, 0, k, &operands, panel, 0, c);
                expect_same(check, gemm, rows, cols, k, "in one", c, expected);
                memcpy(c, half, sizeof c);
                call_tile(check, gemm, &memory, rows, cols, cut, k, &operands, panel, 1, c);
                expect_same(check, gemm, rows, cols, k, "in two", c, expected);
            }
        }
        free(narrow);
        operands_free(&operands);
        memory_free(&memory);
    }
}

/* A sum in as many parts as there are places to cut it. */
static void check_parts(Check* check, const Gemm* gemm) {
    const size_t mr = gemm->kernels->mr, nr = gemm->kernels->nr;
    const size_t step = gemm->kernels->k_group;
    for (int round = 0; round < 20; round++) {
        const size_t k = 1 + random_below(check, 100);
        Memory memory = memory_new(gemm, k);
        Operands operands = operands_new(check, gemm, &memory, values_ordinary, k);
        Element expected[most_elements], c[most_elements];
        call_tile(check, gemm, &memory, mr, nr, 0, k, &operands, operands.panel, 0, expected);
        for (size_t from = 0, to; from < k; from = to) {
            do
                to = from + step + random_below(check, 16) * step;
            while (to < k && to * nr * gemm->kernels->b_size % 64);
            to = to < k ? to : k;
            call_tile(check, gemm, &memory, mr, nr, from, to, &operands, operands.panel, from > 0,
                      c);
        }
        expect_same(check, gemm, mr, nr, k, "in parts", c, expected);
        operands_free(&operands);
        memory_free(&memory);
    }
}

/* Infinities, NaN, denormals and what overflows; for s8, nothing but the extremes. */
static void check_hostile(Check* check, const Gemm* gemm) {
    const int rounds = check->quick ? 20 : 200;
    Memory memory = memory_new(gemm, 40);
    for (int round = 0; round < rounds; round++) {
        /* What overflows or is denormal depends on the order; of an infinity no rest is left. */
        const Values kinds[] = {values_denormals, values_special, values_hostile, values_hostile};
        const int n = gemm->type == type_bf16x2 ? 1 : has_own_order(gemm) ? 2 : 4;
        const Values values = kinds[round % n];
        const size_t k = 1 + random_below(check, round % 8 < 4 ? 3 : 40);
        Operands operands = operands_new(check, gemm, &memory, values, k);
        Element c[most_elements];
        check_whole(check, gemm, &memory, values, &operands, c);
        operands_free(&operands);
    }
    memory_free(&memory);
}

/* Sums that pass 2^31 up and down: 131077 products of 2^14, or 135005 of -127 * 128. */
static void check_wrapping(Check* check, const Gemm* gemm) {
    static const int8_t factors[][2] = {{-128, -128}, {-128, 127}, {127, -128}};
    const size_t k = 135005;
    Memory memory = memory_new(gemm, k);
    for (size_t f = 0; f < sizeof factors / sizeof factors[0]; f++) {
        const size_t mr = gemm->kernels->mr, nr = gemm->kernels->nr;
        Operands operands = {k, malloc(mr * k), malloc(nr * k), malloc(mr * row_bytes(gemm, k)),
                             malloc(panel_bytes(gemm, k))};
        if (!operands.a || !operands.b || !operands.rows || !operands.panel)
            abort();
        memset(operands.a, factors[f][0], mr * k);
        memset(operands.b, factors[f][1], nr * k);
        for (size_t r = 0; r < mr; r++)
            check_pack(check, gemm, &memory, pack_a, 1, k, operands.a,
                       operands.rows + r * row_bytes(gemm, k));
        check_pack_b(check, gemm, &memory, nr, k, operands.b, operands.panel);
        Element c[most_elements];
        check_whole(check, gemm, &memory, values_hostile, &operands, c);
        operands_free(&operands);
    }
    memory_free(&memory);
}

static void check_family(Check* check, const Gemm* gemm) {
    const npuenc_gemm* kernels = gemm->kernels;
    begin(check, gemm->name);
    if (kernels->mr < 1 || kernels->mr > most_rows || kernels->nr < 1 || kernels->nr > most_cols ||
        kernels->k_group < 1 || kernels->a_size < gemm->element ||
        kernels->b_size < gemm->element) {
        fail(check, "tile of %u x %u, groups of %u, of %u and %u bytes", kernels->mr, kernels->nr,
             kernels->k_group, kernels->a_size, kernels->b_size);
    } else {
        check_tiles(check, gemm);
        check_parts(check, gemm);
        check_hostile(check, gemm);
        if (is_integer(gemm))
            check_wrapping(check, gemm);
    }
    end(check);
}

/* Most instruction sets leave pairs of bf16 to plain C, where they are checked once. */
static int has_own_bf16x2(const npuenc_kernels* kernels) {
    npuenc_kernels plain;
    if (npuenc_kernels_init(&plain, "reference") != NPUENC_KERNELS_OK)
        abort();
    return strcmp(kernels->isa, plain.isa) == 0 ||
           kernels->gemm_bf16x2.tile != plain.gemm_bf16x2.tile;
}

/* Those with an instruction for it must have filled it in; others may have it from a lower one. */
static void check_u8(Check* check) {
    const char* isa = check->kernels.isa;
    const Gemm gemm = {"gemm_u8", type_u8, sizeof(uint8_t), &check->kernels.gemm_u8};
    if (gemm.kernels->tile) {
        check_family(check, &gemm);
    } else if (strstr(isa, "vnni") || strcmp(isa, "avx512bf16") == 0 || strcmp(isa, "amx") == 0) {
        begin(check, gemm.name);
        fail(check, "%s lacks it", isa);
        end(check);
    }
}

void check_gemm(Check* check) {
    const npuenc_kernels* kernels = &check->kernels;
    check_family(check, &(Gemm){"gemm_f32", type_f32, sizeof(float), &kernels->gemm_f32});
    check_family(check, &(Gemm){"gemm_bf16", type_bf16, sizeof(uint16_t), &kernels->gemm_bf16});
    if (has_own_bf16x2(kernels))
        check_family(check,
                     &(Gemm){"gemm_bf16x2", type_bf16x2, sizeof(float), &kernels->gemm_bf16x2});
    check_family(check, &(Gemm){"gemm_s8", type_s8, sizeof(int8_t), &kernels->gemm_s8});
    check_u8(check);
}
