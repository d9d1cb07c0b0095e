/* SPDX-License-Identifier: MIT
 *
 * Products and their packing. A tile is held against the sum in the documented order, bit for bit:
 * for f32 with fused operations in all instruction sets but the reference, which rounds products;
 * and against the sum in double, within the bound of any order.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

typedef enum { type_f32, type_bf16, type_s8 } Type;

/* One family, whatever its type. */
typedef struct Gemm {
    const char* name;
    Type type;
    size_t element; /* bytes of an operand's element; the result's are 4 */
    uint32_t mr, nr, k_group;
    void (*pack_a)(const npuenc_kernels*, size_t, size_t, const void*, size_t, void*);
    void (*pack_b_rows)(const npuenc_kernels*, size_t, size_t, const void*, size_t, void*);
    void (*pack_b_cols)(const npuenc_kernels*, size_t, size_t, const void*, size_t, void*);
    void (*tile)(const npuenc_kernels*, size_t, size_t, size_t, const void*, const void*, void*,
                 size_t, int);
} Gemm;

#define ADAPT_PACK(family, pack)                                                                   \
    static void family##_##pack(const npuenc_kernels* kernels, size_t lines, size_t k,             \
                                const void* src, size_t ld, void* panel) {                         \
        kernels->family.pack(lines, k, src, ld, panel);                                            \
    }
#define ADAPT(family)                                                                              \
    ADAPT_PACK(family, pack_a)                                                                     \
    ADAPT_PACK(family, pack_b_rows)                                                                \
    ADAPT_PACK(family, pack_b_cols)                                                                \
    static void family##_tile(const npuenc_kernels* kernels, size_t rows, size_t cols, size_t k,   \
                              const void* a, const void* b, void* c, size_t ldc, int accumulate) { \
        kernels->family.tile(rows, cols, k, a, b, c, ldc, accumulate);                             \
    }
#define GEMM(family, type, element)                                                                \
    (Gemm) {                                                                                       \
#family, type, element, check->kernels.family.mr, check->kernels.family.nr,                \
            check->kernels.family.k_group, family##_pack_a, family##_pack_b_rows,                  \
            family##_pack_b_cols, family##_tile                                                    \
    }

ADAPT(gemm_f32)
ADAPT(gemm_bf16)
ADAPT(gemm_s8)

static size_t rounded_up(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

static size_t panel_bytes(const Gemm* gemm, size_t width, size_t k) {
    return rounded_up(k, gemm->k_group) * width * gemm->element;
}

static size_t panel_index(const Gemm* gemm, size_t width, size_t line, size_t k) {
    return (k / gemm->k_group * width + line) * gemm->k_group + k % gemm->k_group;
}

/* The panel that the header describes. element(line, k) = src[line * line_step + k * k_step]. */
static void pack(const Gemm* gemm, size_t width, size_t lines, size_t k, const unsigned char* src,
                 size_t line_step, size_t k_step, unsigned char* panel) {
    memset(panel, 0, panel_bytes(gemm, width, k));
    for (size_t line = 0; line < lines; line++)
        for (size_t i = 0; i < k; i++)
            memcpy(panel + panel_index(gemm, width, line, i) * gemm->element,
                   src + (line * line_step + i * k_step) * gemm->element, gemm->element);
}

typedef enum { values_ordinary, values_hostile } Values;

static void fill(Check* check, const Gemm* gemm, Values values, size_t n, void* out) {
    for (size_t i = 0; i < n; i++) {
        const float f =
            values == values_hostile ? random_hostile_f32(check) : (float)random_normal(check);
        if (gemm->type == type_f32)
            ((float*)out)[i] = f;
        else if (gemm->type == type_bf16)
            ((uint16_t*)out)[i] = (uint16_t)(bits_of(f) >> 16);
        else if (values == values_hostile)
            ((int8_t*)out)[i] = random_below(check, 4) ? INT8_MIN : INT8_MAX;
        else
            ((int8_t*)out)[i] = (int8_t)random_bits(check);
    }
}

/* An element of an operand or of c as float; s8 and s32 have functions of their own. */
static float operand(const Gemm* gemm, const void* from, size_t i) {
    return gemm->type == type_f32 ? ((const float*)from)[i]
                                  : f32_of((uint32_t)((const uint16_t*)from)[i] << 16);
}

typedef union {
    float f;
    uint32_t s; /* s32, wrapping */
} Element;

/* sum + a b as the instruction set does it. The product of two bf16 is exact in f32 unless it falls
 * below 2^-126, so that fused or not is the same for ordinary values. */
static float multiply_add(const Check* check, const Gemm* gemm, float sum, float a, float b) {
    const int fused = gemm->type == type_f32 && strcmp(check->kernels.isa, "reference") != 0;
    const float product = a * b;
    return fused ? fmaf(a, b, sum) : sum + product;
}

/* c[mr][nr] += a[mr][k] b[k][nr], a and b unpacked (a by rows, b by columns), in the order of k. */
static void expect(const Check* check, const Gemm* gemm, size_t k, const void* a, const void* b,
                   Element* c) {
    for (size_t r = 0; r < gemm->mr; r++)
        for (size_t j = 0; j < gemm->nr; j++) {
            Element* sum = &c[r * gemm->nr + j];
            for (size_t i = 0; i < k; i++)
                if (gemm->type == type_s8)
                    sum->s +=
                        (uint32_t)(((const int8_t*)a)[r * k + i] * ((const int8_t*)b)[j * k + i]);
                else
                    sum->f = multiply_add(check, gemm, sum->f, operand(gemm, a, r * k + i),
                                          operand(gemm, b, j * k + i));
        }
}

/* Whatever the order and the fusing, |c - exact| <= g / (1 - g) sum |a b|, g = (k + 1) 2^-24
 * (Higham, Accuracy and Stability of Numerical Algorithms, 3.1), and 2^-149 per operation that
 * underflows. */
static void check_against_double(Check* check, const Gemm* gemm, size_t k, const void* a,
                                 const void* b, const Element* start, const Element* c) {
    const double g = ((double)k + 1) * 0x1p-24;
    for (size_t r = 0; r < gemm->mr; r++)
        for (size_t j = 0; j < gemm->nr; j++) {
            double exact = start[r * gemm->nr + j].f, size = fabs(exact);
            for (size_t i = 0; i < k; i++) {
                const double product =
                    (double)operand(gemm, a, r * k + i) * operand(gemm, b, j * k + i);
                exact += product;
                size += fabs(product);
            }
            const double bound = g / (1 - g) * size + 2 * (double)k * 0x1p-149;
            const double got = c[r * gemm->nr + j].f;
            if (!(fabs(got - exact) <= bound))
                fail(check, "k %zu, element %zu %zu: %.9g instead of %.9g", k, r, j, got, exact);
        }
}

static int same(const Gemm* gemm, Element a, Element b) {
    return gemm->type == type_s8 ? a.s == b.s : same_f32(a.f, b.f);
}

typedef struct Memory {
    Guarded a, b, c;
} Memory;

/* One call on guarded operands: `rows` x `cols` of the expected tile, nothing else touched. */
static void check_call(Check* check, const Gemm* gemm, Memory* memory, size_t rows, size_t cols,
                       size_t k, const void* panel_a, const void* panel_b, const Element* start,
                       const Element* expected, int accumulate) {
    const size_t ldc = cols + (random_below(check, 2) ? random_below(check, 9) : 0);
    const int at_end = (int)random_below(check, 2);
    const size_t bytes_a = panel_bytes(gemm, gemm->mr, k), bytes_b = panel_bytes(gemm, gemm->nr, k);
    const size_t bytes_c = ((rows - 1) * ldc + cols) * sizeof(Element);
    void* a = guarded_place(&memory->a, bytes_a, 64, at_end);
    void* b = guarded_place(&memory->b, bytes_b, 64, at_end);
    Element* c = guarded_place(&memory->c, bytes_c, sizeof *c, at_end);
    memcpy(a, panel_a, bytes_a);
    memcpy(b, panel_b, bytes_b);
    if (accumulate)
        for (size_t r = 0; r < rows; r++)
            memcpy(c + r * ldc, start + r * gemm->nr, cols * sizeof *c);

    gemm->tile(&check->kernels, rows, cols, k, a, b, c, ldc, accumulate);

    int whole = guarded_intact(&memory->c, c, bytes_c);
    for (size_t r = 0; r + 1 < rows; r++)
        whole = whole && untouched(c + r * ldc + cols, (ldc - cols) * sizeof *c);
    if (!whole)
        fail(check, "%zu x %zu x %zu, ldc %zu: wrote outside of the tile", rows, cols, k, ldc);
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < cols; j++)
            if (!same(gemm, c[r * ldc + j], expected[r * gemm->nr + j])) {
                fail(check, "%zu x %zu x %zu, element %zu %zu: %08x instead of %08x", rows, cols, k,
                     r, j, c[r * ldc + j].s, expected[r * gemm->nr + j].s);
                return;
            }
}

typedef struct Tile {
    void *a, *b, *panel_a, *panel_b;
    Element start[most_rows * most_cols]; /* what accumulation begins with */
    Element from_zero[most_rows * most_cols], from_start[most_rows * most_cols];
} Tile;

static Tile tile_new(Check* check, const Gemm* gemm, Values values, size_t k) {
    Tile tile = {.a = malloc(gemm->mr * k * gemm->element + 1),
                 .b = malloc(gemm->nr * k * gemm->element + 1),
                 .panel_a = malloc(panel_bytes(gemm, gemm->mr, k) + 1),
                 .panel_b = malloc(panel_bytes(gemm, gemm->nr, k) + 1)};
    if (!tile.a || !tile.b || !tile.panel_a || !tile.panel_b)
        abort();
    fill(check, gemm, values, gemm->mr * k, tile.a);
    fill(check, gemm, values, gemm->nr * k, tile.b);
    pack(gemm, gemm->mr, gemm->mr, k, tile.a, k, 1, tile.panel_a);
    pack(gemm, gemm->nr, gemm->nr, k, tile.b, k, 1, tile.panel_b);
    for (size_t i = 0; i < (size_t)gemm->mr * gemm->nr; i++)
        if (gemm->type == type_s8)
            tile.start[i].s = (uint32_t)random_bits(check);
        else
            tile.start[i].f =
                values == values_hostile ? random_hostile_f32(check) : (float)random_normal(check);
    memcpy(tile.from_start, tile.start, sizeof tile.start);
    expect(check, gemm, k, tile.a, tile.b, tile.from_zero);
    expect(check, gemm, k, tile.a, tile.b, tile.from_start);
    return tile;
}

static void tile_free(Tile* tile) {
    free(tile->a);
    free(tile->b);
    free(tile->panel_a);
    free(tile->panel_b);
}

static Memory memory_new(const Gemm* gemm, size_t k) {
    return (Memory){guarded_new(panel_bytes(gemm, gemm->mr, k) + 1),
                    guarded_new(panel_bytes(gemm, gemm->nr, k) + 1),
                    guarded_new(gemm->mr * (gemm->nr + 9) * sizeof(Element))};
}

static void memory_free(Memory* memory) {
    guarded_free(&memory->a);
    guarded_free(&memory->b);
    guarded_free(&memory->c);
}

static void check_tiles(Check* check, const Gemm* gemm) {
    static const size_t every[] = {0,  1,  2,  3,  4,  5,  7,   8,   15,
                                   16, 17, 31, 63, 64, 65, 130, 384, 1031};
    static const size_t some[] = {0, 1, 2, 3, 5, 16, 33, 67};
    const size_t* depths = check->quick ? some : every;
    const size_t count =
        check->quick ? sizeof some / sizeof some[0] : sizeof every / sizeof every[0];
    for (size_t d = 0; d < count; d++) {
        const size_t k = depths[d];
        Memory memory = memory_new(gemm, k);
        Tile tile = tile_new(check, gemm, values_ordinary, k);
        if (gemm->type != type_s8)
            check_against_double(check, gemm, k, tile.a, tile.b, tile.start, tile.from_start);
        for (size_t rows = 1; rows <= gemm->mr; rows++)
            for (size_t cols = 1; cols <= gemm->nr; cols++) {
                check_call(check, gemm, &memory, rows, cols, k, tile.panel_a, tile.panel_b,
                           tile.start, tile.from_zero, 0);
                check_call(check, gemm, &memory, rows, cols, k, tile.panel_a, tile.panel_b,
                           tile.start, tile.from_start, 1);
            }
        tile_free(&tile);
        memory_free(&memory);
    }
}

/* Infinities, NaN, denormals and what overflows; for s8, nothing but the extremes. */
static void check_hostile(Check* check, const Gemm* gemm) {
    const size_t rounds = check->quick ? 20 : 200;
    Memory memory = memory_new(gemm, 40);
    for (size_t n = 0; n < rounds; n++) {
        const size_t k = 1 + random_below(check, n % 2 ? 3 : 40);
        Tile tile = tile_new(check, gemm, values_hostile, k);
        check_call(check, gemm, &memory, gemm->mr, gemm->nr, k, tile.panel_a, tile.panel_b,
                   tile.start, tile.from_zero, 0);
        check_call(check, gemm, &memory, gemm->mr, gemm->nr, k, tile.panel_a, tile.panel_b,
                   tile.start, tile.from_start, 1);
        tile_free(&tile);
    }
    memory_free(&memory);
}

/* Sums that pass 2^31: 131072 products of 2^14. */
static void check_wrapping(Check* check, const Gemm* gemm) {
    const size_t k = 131072 + 5;
    Memory memory = memory_new(gemm, k);
    Tile tile = tile_new(check, gemm, values_ordinary, 1);
    const size_t bytes_a = panel_bytes(gemm, gemm->mr, k), bytes_b = panel_bytes(gemm, gemm->nr, k);
    int8_t *a = malloc(bytes_a), *b = malloc(bytes_b);
    if (!a || !b)
        abort();
    memset(a, INT8_MIN, bytes_a);
    memset(b, INT8_MIN, bytes_b);
    for (size_t i = k; i < rounded_up(k, gemm->k_group); i++)
        for (size_t r = 0; r < gemm->mr; r++)
            a[panel_index(gemm, gemm->mr, r, i)] = 0;
    for (size_t i = 0; i < (size_t)gemm->mr * gemm->nr; i++)
        tile.from_start[i].s = tile.start[i].s + (uint32_t)(k * 16384);
    check_call(check, gemm, &memory, gemm->mr, gemm->nr, k, a, b, tile.start, tile.from_start, 1);
    free(a);
    free(b);
    tile_free(&tile);
    memory_free(&memory);
}

/* A sum taken in two calls is the sum taken in one. */
static void check_continued(Check* check, const Gemm* gemm) {
    for (int n = 0; n < 20; n++) {
        const size_t k = 1 + random_below(check, 100);
        const size_t cut = random_below(check, k + 1) / gemm->k_group * gemm->k_group;
        Memory memory = memory_new(gemm, k);
        Tile tile = tile_new(check, gemm, values_ordinary, k);
        unsigned char* a = guarded_place(&memory.a, panel_bytes(gemm, gemm->mr, k), 64, 0);
        unsigned char* b = guarded_place(&memory.b, panel_bytes(gemm, gemm->nr, k), 64, 0);
        Element* c = guarded_place(&memory.c, gemm->mr * gemm->nr * sizeof *c, sizeof *c, 1);
        /* The second half of a panel begins on a multiple of 64 only by chance. */
        const size_t skip_a = panel_bytes(gemm, gemm->mr, cut);
        const size_t skip_b = panel_bytes(gemm, gemm->nr, cut);
        memcpy(a, tile.panel_a, skip_a);
        memcpy(b, tile.panel_b, skip_b);
        gemm->tile(&check->kernels, gemm->mr, gemm->nr, cut, a, b, c, gemm->nr, 0);
        memcpy(a, (char*)tile.panel_a + skip_a, panel_bytes(gemm, gemm->mr, k) - skip_a);
        memcpy(b, (char*)tile.panel_b + skip_b, panel_bytes(gemm, gemm->nr, k) - skip_b);
        gemm->tile(&check->kernels, gemm->mr, gemm->nr, k - cut, a, b, c, gemm->nr, 1);
        for (size_t i = 0; i < (size_t)gemm->mr * gemm->nr; i++)
            if (!same(gemm, c[i], tile.from_zero[i])) {
                fail(check, "k %zu cut at %zu: element %zu differs", k, cut, i);
                break;
            }
        tile_free(&tile);
        memory_free(&memory);
    }
}

typedef void Pack(const npuenc_kernels*, size_t, size_t, const void*, size_t, void*);

/* `by_k`: the source has a row for each k, and not one for each line. */
static void check_pack(Check* check, const Gemm* gemm, const char* which, Pack* kernel,
                       size_t width, int by_k) {
    static const size_t depths[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 257};
    const size_t count = check->quick ? 9 : sizeof depths / sizeof depths[0];
    for (size_t d = 0; d < count; d++) {
        const size_t k = depths[d], bytes = panel_bytes(gemm, width, k);
        Guarded source = guarded_new((k + 9) * (width + 9) * gemm->element);
        Guarded target = guarded_new(bytes);
        unsigned char* expected = malloc(bytes);
        if (!expected)
            abort();
        for (size_t lines = 1; lines <= width; lines++)
            for (int at_end = 0; at_end < 2; at_end++) {
                const size_t rows = by_k ? k : lines, cols = by_k ? lines : k;
                const size_t ld = cols + (random_below(check, 2) ? random_below(check, 9) : 0);
                const size_t source_bytes = ((rows - 1) * ld + cols) * gemm->element;
                unsigned char* src = guarded_place(&source, source_bytes, gemm->element, at_end);
                unsigned char* panel = guarded_place(&target, bytes, 64, at_end);
                for (size_t i = 0; i < source_bytes; i++)
                    src[i] = (unsigned char)random_bits(check);
                pack(gemm, width, lines, k, src, by_k ? 1 : ld, by_k ? ld : 1, expected);
                kernel(&check->kernels, lines, k, src, ld, panel);
                if (memcmp(panel, expected, bytes) != 0)
                    fail(check, "%s of %zu lines, k %zu, ld %zu: wrong panel", which, lines, k, ld);
                if (!guarded_intact(&target, panel, bytes))
                    fail(check, "%s of %zu lines, k %zu: wrote outside", which, lines, k);
            }
        free(expected);
        guarded_free(&source);
        guarded_free(&target);
    }
}

static void check_family(Check* check, const Gemm* gemm) {
    begin(check, gemm->name);
    if (gemm->mr < 1 || gemm->mr > most_rows || gemm->nr < 1 || gemm->nr > most_cols ||
        gemm->k_group < 1) {
        fail(check, "tile of %u x %u, groups of %u", gemm->mr, gemm->nr, gemm->k_group);
    } else {
        check_tiles(check, gemm);
        check_hostile(check, gemm);
        check_continued(check, gemm);
        if (gemm->type == type_s8)
            check_wrapping(check, gemm);
        check_pack(check, gemm, "pack_a", gemm->pack_a, gemm->mr, 0);
        check_pack(check, gemm, "pack_b_rows", gemm->pack_b_rows, gemm->nr, 0);
        check_pack(check, gemm, "pack_b_cols", gemm->pack_b_cols, gemm->nr, 1);
    }
    end(check);
}

void check_gemm(Check* check) {
    check_family(check, &GEMM(gemm_f32, type_f32, sizeof(float)));
    check_family(check, &GEMM(gemm_bf16, type_bf16, sizeof(uint16_t)));
    check_family(check, &GEMM(gemm_s8, type_s8, sizeof(int8_t)));
}
