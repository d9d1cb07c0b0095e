/* SPDX-License-Identifier: MIT
 *
 * Row operations in plain C. Sums and maxima run over eight lanes side by side, which is
 * more exact than one after the other and is what compilers turn into vectors.
 */
#include <float.h>
#include <math.h>

#include "kernels/cpu/approximation.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/reference/bits.h"

enum { lanes = 8 };

static float sum_of(const float lane[lanes]) {
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) +
           ((lane[1] + lane[5]) + (lane[3] + lane[7]));
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

static float abs_max(size_t n, const float* x, float least) {
    const size_t whole = n - n % lanes;
    float lane[lanes] = {least};
    for (size_t i = 0; i < whole; i += lanes)
        for (size_t l = 0; l < lanes; l++) {
            const float a = fabsf(x[i + l]);
            lane[l] = a > lane[l] ? a : lane[l];
        }
    for (size_t i = whole; i < n; i++) {
        const float a = fabsf(x[i]);
        lane[i - whole] = a > lane[i - whole] ? a : lane[i - whole];
    }
    float greatest = lane[0];
    for (size_t l = 1; l < lanes; l++)
        greatest = lane[l] > greatest ? lane[l] : greatest;
    return greatest;
}

/* 127 / absmax where that is of use, else 0. */
static float multiplier_for(float absmax) {
    const float multiplier = 127.0f / absmax;
    return multiplier <= FLT_MAX ? multiplier : 0.0f;
}

/* rint(value), and 0 for what is not a number. Adding 1.5 * 2^23 rounds to an integer and leaves it
 * in the low bits. */
static inline int8_t byte_of(float value) {
    const float number = value == value ? value : 0.0f;
    return (int8_t)(bits_of(number + 0x1.8p23f) - bits_of(0x1.8p23f));
}

static float quantise_f32(size_t rows, size_t n, const float* x, size_t ld, int8_t* out) {
    float absmax = 0;
    for (size_t row = 0; row < rows; row++)
        absmax = abs_max(n, x + row * ld, absmax);
    const float multiplier = multiplier_for(absmax);
    for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < n; i++)
            out[row * n + i] = byte_of(x[row * ld + i] * multiplier);
    return multiplier == 0 ? 0 : absmax / 127.0f;
}

static float quantise_bf16(size_t rows, size_t n, const uint16_t* x, size_t ld, int8_t* out) {
    float absmax = 0;
    for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < n; i++) {
            const float a = fabsf(float_of((uint32_t)x[row * ld + i] << 16));
            absmax = a > absmax ? a : absmax;
        }
    const float multiplier = multiplier_for(absmax);
    for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < n; i++)
            out[row * n + i] = byte_of(float_of((uint32_t)x[row * ld + i] << 16) * multiplier);
    return multiplier == 0 ? 0 : absmax / 127.0f;
}

static void quantise_cols_bf16(size_t rows, size_t n, const uint16_t* x, size_t ld, int8_t* out,
                               float* scales) {
    for (size_t col = 0; col < n; col++) {
        float absmax = 0;
        for (size_t row = 0; row < rows; row++) {
            const float a = fabsf(float_of((uint32_t)x[row * ld + col] << 16));
            absmax = a > absmax ? a : absmax;
        }
        const float multiplier = multiplier_for(absmax);
        for (size_t row = 0; row < rows; row++)
            out[row * n + col] = byte_of(float_of((uint32_t)x[row * ld + col] << 16) * multiplier);
        scales[col] = multiplier == 0 ? 0 : absmax / 127.0f;
    }
}

static float sum_of_squares_bf16(size_t n, const uint16_t* x) {
    float lane[lanes] = {0};
    for (size_t i = 0; i < n; i++) {
        const float value = float_of((uint32_t)x[i] << 16);
        lane[i % lanes] += value * value;
    }
    return sum_of(lane);
}

void npuenc_rows_init_reference(npuenc_rows* family) {
    *family = (npuenc_rows){layer_norm, quantise_f32, quantise_bf16, quantise_cols_bf16,
                            sum_of_squares_bf16};
}
