/* SPDX-License-Identifier: MIT
 *
 * Softmax by blocks in plain C. Sums and maxima run over eight lanes side by side, which is more
 * exact than one after the other and is what compilers turn into vectors.
 */
#include <math.h>

#include "kernels/cpu/approximation.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/reference/bits.h"

enum { lanes = 8, together = 64 };

/* exp2(t) for t <= 0 or hardly more. NaN stays NaN. */
static inline float exp2_of(float t) {
    /* Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits. */
    const float shift = 0x1.8p23f;
    const float shifted = t + shift;
    const float f = t - (shifted - shift);
    float p = npuenc_exp2_6;
    p = p * f + npuenc_exp2_5;
    p = p * f + npuenc_exp2_4;
    p = p * f + npuenc_exp2_3;
    p = p * f + npuenc_exp2_2;
    p = p * f + npuenc_exp2_1;
    p = p * f + npuenc_exp2_0;
    const float power = float_of((bits_of(shifted) + 127) << 23);
    return t < npuenc_exp2_least ? 0.0f : p * power;
}

/* scores = x log2 e, and the greatest of it. */
static float scale_scores(const npuenc_scores* block, size_t row, size_t n) {
    float* x = (float*)block->scores + row * block->ld;
    const int32_t* integers = (const int32_t*)block->scores + row * block->ld;
    const float* mask = block->mask ? block->mask + row * block->ld_mask : NULL;
    const float scale = block->row_scale[row] * npuenc_log2e;
    if (block->integers)
        for (size_t i = 0; i < n; i++)
            x[i] = (float)integers[i] * scale;
    else
        for (size_t i = 0; i < n; i++)
            x[i] *= scale;
    if (mask)
        for (size_t i = 0; i < n; i++)
            x[i] = mask[i] == -INFINITY ? -INFINITY : x[i] + mask[i] * npuenc_log2e;
    float greatest = -INFINITY;
    for (size_t i = 0; i < n; i++)
        greatest = x[i] > greatest ? x[i] : greatest;
    return greatest;
}

/* Makes probabilities of a row's scores in their place. */
static void soften(const npuenc_scores* block, size_t row) {
    float* x = (float*)block->scores + row * block->ld;
    const size_t n = block->n_keys[row], whole = n - n % lanes;
    const float greatest = scale_scores(block, row, n);
    /* -inf less 0 makes zeros, and NaN of NaN. */
    const float base = greatest == -INFINITY ? 0.0f : greatest;
    for (size_t i = 0; i < n; i++)
        x[i] = exp2_of(x[i] - base);
    for (size_t i = n; i < block->keys; i++)
        x[i] = 0.0f;
    float lane[lanes] = {0};
    for (size_t i = 0; i < whole; i += lanes)
        for (size_t l = 0; l < lanes; l++)
            lane[l] += x[i + l];
    for (size_t i = whole; i < n; i++)
        lane[i - whole] += x[i];
    block->greatest[row] = greatest;
    block->total[row] =
        ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

static void block_f32(const npuenc_scores* block) {
    for (size_t row = 0; row < block->rows; row++) {
        const float* x = (const float*)block->scores + row * block->ld;
        soften(block, row);
        memmove((float*)block->p + row * block->ldp, x, block->keys * sizeof *x);
    }
}

static void block_bf16(const npuenc_scores* block) {
    for (size_t row = 0; row < block->rows; row++) {
        const float* x = (const float*)block->scores + row * block->ld;
        uint16_t* p = (uint16_t*)block->p + row * block->ldp;
        soften(block, row);
        for (size_t i = 0; i < block->keys; i += together) {
            /* What is read is written last, as p may lie there. */
            const size_t n = block->keys - i < together ? block->keys - i : together;
            uint16_t some[together];
            for (size_t j = 0; j < n; j++)
                some[j] = bf16_of(x[i + j]);
            memcpy(p + i, some, n * sizeof *some);
        }
    }
}

/* A NaN counts as nothing. */
static void block_u8(const npuenc_scores* block) {
    for (size_t row = 0; row < block->rows; row++) {
        const float* x = (const float*)block->scores + row * block->ld;
        uint8_t* p = (uint8_t*)block->p + row * block->ldp;
        uint32_t total = 0;
        soften(block, row);
        for (size_t i = 0; i < block->keys; i++) {
            const float value = x[i] == x[i] ? x[i] * 255.0f : 0.0f;
            p[i] = (uint8_t)(bits_of(value + 0x1.8p23f) - bits_of(0x1.8p23f));
            total += p[i];
        }
        block->total[row] = (float)total;
    }
}

static void merge(const npuenc_part* part, float* out, size_t ld_out, float* greatest,
                  float* total) {
    for (size_t row = 0; row < part->rows; row++, out += ld_out) {
        const float* real = (const float*)part->part + row * part->ld;
        const int32_t* integer = (const int32_t*)part->part + row * part->ld;
        const float before = greatest[row], here = part->greatest[row];
        const float g = before > here ? before : here, base = g == -INFINITY ? 0.0f : g;
        const float kept = exp2_of(before - base), added = exp2_of(here - base);
        if (part->col_scale)
            for (size_t i = 0; i < part->n; i++)
                out[i] = out[i] * kept + (float)integer[i] * part->col_scale[i] * added;
        else
            for (size_t i = 0; i < part->n; i++)
                out[i] = out[i] * kept + real[i] * added;
        total[row] = total[row] * kept + part->total[row] * added;
        greatest[row] = g;
    }
}

void npuenc_softmax_init_reference(npuenc_softmax* family) {
    *family = (npuenc_softmax){block_f32, block_bf16, block_u8, merge};
}
