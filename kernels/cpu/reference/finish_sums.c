/* SPDX-License-Identifier: MIT
 *
 * What becomes of a tile's sums, in plain C: a few columns of a row at a time, one step after the
 * other over them, which compilers make vectors of.
 */
#include "kernels/cpu/approximation.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/reference/bits.h"

enum { block = 32 };

static inline float gelu_with(float y, float h) {
    h = h > 0.5f ? 0.5f : h;
    h = h < -0.5f ? -0.5f : h;
    return (y < npuenc_gelu_least ? npuenc_gelu_least : y) * (0.5f + h);
}

static inline float gelu_of(float y) {
    const float u = y * y * npuenc_gelu_inverse_13 - 1.0f;
    float h = npuenc_gelu_12;
    h = h * u + npuenc_gelu_11;
    h = h * u + npuenc_gelu_10;
    h = h * u + npuenc_gelu_9;
    h = h * u + npuenc_gelu_8;
    h = h * u + npuenc_gelu_7;
    h = h * u + npuenc_gelu_6;
    h = h * u + npuenc_gelu_5;
    h = h * u + npuenc_gelu_4;
    h = h * u + npuenc_gelu_3;
    h = h * u + npuenc_gelu_2;
    h = h * u + npuenc_gelu_1;
    h = h * u + npuenc_gelu_0;
    return gelu_with(y, h * y);
}

static inline float gelu_bf16_of(float y) {
    const float u = y * y * npuenc_gelu_bf16_factor - 1.0f;
    float h = npuenc_gelu_bf16_6;
    h = h * u + npuenc_gelu_bf16_5;
    h = h * u + npuenc_gelu_bf16_4;
    h = h * u + npuenc_gelu_bf16_3;
    h = h * u + npuenc_gelu_bf16_2;
    h = h * u + npuenc_gelu_bf16_1;
    h = h * u + npuenc_gelu_bf16_0;
    return gelu_with(y, h * y);
}

/* y[n <= block], which are sums already scaled by row. */
static void finish_some(size_t row, size_t col, size_t n, float* y, const npuenc_finish* how) {
    if (how->col_scale)
        for (size_t i = 0; i < n; i++)
            y[i] *= how->col_scale[col + i];
    if (how->bias)
        for (size_t i = 0; i < n; i++)
            y[i] += how->bias[col + i];
    if (how->gelu == npuenc_gelu_f32)
        for (size_t i = 0; i < n; i++)
            y[i] = gelu_of(y[i]);
    if (how->gelu == npuenc_gelu_bf16)
        for (size_t i = 0; i < n; i++)
            y[i] = gelu_bf16_of(y[i]);
    if (how->addend)
        for (size_t i = 0; i < n; i++)
            y[i] += how->addend[row * how->ld_addend + col + i];

    const size_t at = row * how->ldy + col;
    switch (how->type) {
    case npuenc_float_f32:
        for (size_t i = 0; i < n; i++)
            ((float*)how->y)[at + i] = y[i];
        break;
    case npuenc_float_bf16:
        for (size_t i = 0; i < n; i++)
            ((uint16_t*)how->y)[at + i] = bf16_of(y[i]);
        break;
    case npuenc_float_f16:
        for (size_t i = 0; i < n; i++)
            ((uint16_t*)how->y)[at + i] = f16_of(y[i]);
        break;
    }
}

static void finish_f32(size_t rows, size_t cols, const float* sums, size_t ld,
                       const npuenc_finish* how) {
    float y[block];
    for (size_t row = 0; row < rows; row++)
        for (size_t col = 0; col < cols; col += block) {
            const size_t n = cols - col < block ? cols - col : block;
            const float scale = how->row_scale ? how->row_scale[row] : 1.0f;
            for (size_t i = 0; i < n; i++)
                y[i] = sums[row * ld + col + i] * scale;
            finish_some(row, col, n, y, how);
        }
}

static void finish_s32(size_t rows, size_t cols, const int32_t* sums, size_t ld,
                       const npuenc_finish* how) {
    float y[block];
    for (size_t row = 0; row < rows; row++)
        for (size_t col = 0; col < cols; col += block) {
            const size_t n = cols - col < block ? cols - col : block;
            const float scale = how->row_scale ? how->row_scale[row] : 1.0f;
            for (size_t i = 0; i < n; i++)
                y[i] = (float)sums[row * ld + col + i] * scale;
            finish_some(row, col, n, y, how);
        }
}

void npuenc_finish_sums_init_reference(npuenc_finish_sums* family) {
    *family = (npuenc_finish_sums){finish_f32, finish_s32};
}
