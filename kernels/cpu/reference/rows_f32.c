/* SPDX-License-Identifier: MIT
 *
 * Row operations on f32 in plain C. Sums and maxima run over eight lanes side by side, which is
 * more exact than one after the other and is what compilers turn into vectors.
 */
#include <math.h>
#include <string.h>

#include "kernels/cpu/approximation.h"
#include "kernels/cpu/isa.h"

enum { lanes = 8 };

static float sum_of(const float lane[lanes]) {
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) +
           ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

static float greatest_of(const float lane[lanes]) {
    float greatest = lane[0];
    for (size_t l = 1; l < lanes; l++)
        greatest = lane[l] > greatest ? lane[l] : greatest;
    return greatest;
}

static void layer_norm(size_t n, const float* x, const float* weight, const float* bias, float* y) {
    const size_t whole = n - n % lanes;
    float lane[lanes] = {0};
    for (size_t i = 0; i < whole; i += lanes)
        for (size_t l = 0; l < lanes; l++)
            lane[l] += x[i + l];
    for (size_t i = whole; i < n; i++)
        lane[i - whole] += x[i];
    const float mean = sum_of(lane) / (float)n;

    memset(lane, 0, sizeof lane);
    for (size_t i = 0; i < whole; i += lanes)
        for (size_t l = 0; l < lanes; l++) {
            const float d = x[i + l] - mean;
            lane[l] += d * d;
        }
    for (size_t i = whole; i < n; i++) {
        const float d = x[i] - mean;
        lane[i - whole] += d * d;
    }
    const float variance = sum_of(lane) / (float)n;

    const float scale = 1.0f / sqrtf(variance + npuenc_layer_norm_epsilon);
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) * scale * weight[i] + bias[i];
}

/* exp(x) for x <= 0 or hardly more. NaN stays NaN. */
static inline float exp_of(float x) {
    /* Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits. */
    const float shift = 0x1.8p23f;
    const float shifted = x * npuenc_exp_log2e + shift;
    const float n = shifted - shift;
    const float r = (x - n * npuenc_exp_ln2_high) - n * npuenc_exp_ln2_low;
    float p = npuenc_exp_4;
    p = p * r + npuenc_exp_3;
    p = p * r + npuenc_exp_2;
    p = p * r + npuenc_exp_1;
    p = p * r + npuenc_exp_0;
    p = p * (r * r) + r;
    p = p + 1.0f;
    /* 2^(n + 64), then 2^-64, since 2^n itself may be too small for its exponent. */
    uint32_t bits;
    float power;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127 + 64) << 23;
    memcpy(&power, &bits, sizeof power);
    return x < npuenc_exp_least ? 0.0f : p * power * 0x1p-64f;
}

static void softmax(size_t n, float* x, float scale, const float* mask) {
    const size_t whole = n - n % lanes;
    if (mask)
        for (size_t i = 0; i < n; i++)
            x[i] = mask[i] == -INFINITY ? -INFINITY : x[i] * scale + mask[i];
    else
        for (size_t i = 0; i < n; i++)
            x[i] *= scale;

    float lane[lanes];
    for (size_t l = 0; l < lanes; l++)
        lane[l] = -INFINITY;
    for (size_t i = 0; i < whole; i += lanes)
        for (size_t l = 0; l < lanes; l++)
            lane[l] = x[i + l] > lane[l] ? x[i + l] : lane[l];
    for (size_t i = whole; i < n; i++)
        lane[i - whole] = x[i] > lane[i - whole] ? x[i] : lane[i - whole];
    float greatest = greatest_of(lane);
    if (greatest == -INFINITY)
        greatest = 0.0f; /* so that exp makes zeros, and NaN of NaN */

    for (size_t i = 0; i < n; i++)
        x[i] = exp_of(x[i] - greatest);
    memset(lane, 0, sizeof lane);
    for (size_t i = 0; i < whole; i += lanes)
        for (size_t l = 0; l < lanes; l++)
            lane[l] += x[i + l];
    for (size_t i = whole; i < n; i++)
        lane[i - whole] += x[i];
    const float sum = sum_of(lane);

    const float inverse = sum == 0.0f ? 0.0f : 1.0f / sum;
    for (size_t i = 0; i < n; i++)
        x[i] *= inverse;
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
    h *= y;
    h = h > 0.5f ? 0.5f : h;
    h = h < -0.5f ? -0.5f : h;
    return (y < npuenc_gelu_least ? npuenc_gelu_least : y) * (0.5f + h);
}

static void epilogue(size_t n, float* y, const float* bias, int gelu, const float* addend) {
    if (bias)
        for (size_t i = 0; i < n; i++)
            y[i] += bias[i];
    if (gelu)
        for (size_t i = 0; i < n; i++)
            y[i] = gelu_of(y[i]);
    if (addend)
        for (size_t i = 0; i < n; i++)
            y[i] += addend[i];
}

static float abs_max(size_t n, const float* x) {
    const size_t whole = n - n % lanes;
    float lane[lanes] = {0};
    for (size_t i = 0; i < whole; i += lanes)
        for (size_t l = 0; l < lanes; l++) {
            const float a = fabsf(x[i + l]);
            lane[l] = a > lane[l] ? a : lane[l];
        }
    for (size_t i = whole; i < n; i++) {
        const float a = fabsf(x[i]);
        lane[i - whole] = a > lane[i - whole] ? a : lane[i - whole];
    }
    return greatest_of(lane);
}

void npuenc_rows_f32_init_reference(npuenc_rows_f32* family) {
    *family = (npuenc_rows_f32){layer_norm, softmax, epilogue, abs_max};
}
