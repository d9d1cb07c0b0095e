/* SPDX-License-Identifier: MIT
 *
 * Results of the NPU out of their order, each element where the definition has it.
 */
#include <string.h>

#include "check.h"

typedef struct Unpacker {
    const char* name;
    size_t from, to, width; /* bytes of an element, columns of a strip */
    void (*call)(const npuenc_unpack*, const void* packed, void* c, size_t ldc);
} Unpacker;

#define CALL(name)                                                                                 \
    static void call_##name(const npuenc_unpack* unpack, const void* packed, void* c,              \
                            size_t ldc) {                                                          \
        unpack->name(packed, c, ldc);                                                              \
    }
CALL(s32)
CALL(s16)
CALL(s8)
CALL(f32)
CALL(s16_of_bf16)

enum { rows = npuenc_unpacked_rows, cols = npuenc_unpacked_cols, count = rows * cols };

static int is_right(const Unpacker* unpacker, const char* packed, const char* c) {
    if (unpacker->from == unpacker->to)
        return memcmp(packed, c, unpacker->to) == 0;
    int16_t narrow;
    int32_t wide;
    memcpy(&narrow, packed, sizeof narrow);
    memcpy(&wide, c, sizeof wide);
    return narrow == wide;
}

static void check_unpacker(Check* check, const Unpacker* unpacker) {
    const size_t from = unpacker->from, to = unpacker->to, width = unpacker->width;
    enum { most_gap = 20 };
    Guarded packed = guarded_new(count * from);
    Guarded c = guarded_new(rows * (cols + most_gap) * to);
    begin(check, unpacker->name);
    for (int round = 0; round < (check->quick ? 20 : 200); round++) {
        const int at_end = round % 2;
        const size_t ldc = cols + random_below(check, most_gap + 1);
        const size_t bytes = ((rows - 1) * ldc + cols) * to;
        char* in = guarded_place(&packed, count * from, from, at_end);
        char* out = guarded_place(&c, bytes, to, at_end);
        for (size_t i = 0; i < count * from; i++)
            in[i] = (char)random_bits(check);
        unpacker->call(&check->kernels.unpack, in, out, ldc);
        int whole = guarded_intact(&c, out, bytes);
        for (size_t row = 0; row < rows; row++) {
            for (size_t col = 0; col < cols; col++) {
                const size_t place = (col / width * rows + row) * width + col % width;
                if (!is_right(unpacker, in + place * from, out + (row * ldc + col) * to)) {
                    fail(check, "ldc %zu: element %zu %zu", ldc, row, col);
                    break;
                }
            }
            if (row + 1 < rows)
                whole = whole && untouched(out + (row * ldc + cols) * to, (ldc - cols) * to);
        }
        if (!whole)
            fail(check, "ldc %zu: wrote outside of the rows", ldc);
    }
    end(check);
    guarded_free(&packed);
    guarded_free(&c);
}

void check_unpack(Check* check) {
    const size_t width = npuenc_unpacked_width, width_bf16 = npuenc_unpacked_width_bf16;
    const Unpacker unpackers[] = {{"unpack s32", 4, 4, width, call_s32},
                                  {"unpack s16", 2, 4, width, call_s16},
                                  {"unpack s8", 1, 1, width, call_s8},
                                  {"unpack f32", 4, 4, width_bf16, call_f32},
                                  {"unpack s16 of bf16", 2, 4, width_bf16, call_s16_of_bf16}};
    for (size_t i = 0; i < sizeof unpackers / sizeof unpackers[0]; i++)
        check_unpacker(check, &unpackers[i]);
}
