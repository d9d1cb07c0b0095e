/* SPDX-License-Identifier: MIT
 *
 * Results of the NPU out of their order, in plain C.
 */
#include <string.h>

#include "kernels/cpu/isa.h"

enum { rows = npuenc_unpacked_rows, cols = npuenc_unpacked_cols };

/* `width` columns of each row lie together, and these follow each other. */
#define UNPACK(name, type, width)                                                                  \
    static void name(const type* packed, type* c, size_t ldc) {                                    \
        for (size_t col = 0; col < cols; col += (width))                                           \
            for (size_t row = 0; row < rows; row++, packed += (width))                             \
                memcpy(c + row * ldc + col, packed, (width) * sizeof *c);                          \
    }
UNPACK(s32, int32_t, npuenc_unpacked_width)
UNPACK(s8, int8_t, npuenc_unpacked_width)
UNPACK(f32, float, npuenc_unpacked_width_bf16)

#define WIDEN(name, width)                                                                         \
    static void name(const int16_t* packed, int32_t* c, size_t ldc) {                              \
        for (size_t col = 0; col < cols; col += (width))                                           \
            for (size_t row = 0; row < rows; row++, packed += (width))                             \
                for (size_t i = 0; i < (width); i++)                                               \
                    c[row * ldc + col + i] = packed[i];                                            \
    }
WIDEN(s16, npuenc_unpacked_width)
WIDEN(s16_of_bf16, npuenc_unpacked_width_bf16)

void npuenc_unpack_init_reference(npuenc_unpack* family) {
    *family = (npuenc_unpack){s32, s16, s8, f32, s16_of_bf16};
}
