/* SPDX-License-Identifier: MIT
 *
 * Conversions in plain C, without a branch or a call inside the loops.
 */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/reference/bits.h"

static void f32_to_bf16(size_t n, const float* in, uint16_t* out) {
    for (size_t i = 0; i < n; i++)
        out[i] = bf16_of(in[i]);
}

static void f32_to_bf16x2(size_t n, const float* in, uint16_t* high, uint16_t* low) {
    for (size_t i = 0; i < n; i++) {
        const uint16_t nearest = bf16_of(in[i]);
        high[i] = nearest;
        low[i] = bf16_of(in[i] - float_of((uint32_t)nearest << 16));
    }
}

static void bf16_to_f32(size_t n, const uint16_t* in, float* out) {
    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = (uint32_t)in[i] << 16;
        const uint32_t is_nan = (bits & 0x7fffffff) > 0x7f800000;
        out[i] = float_of(bits | is_nan << 22);
    }
}

static void f32_to_f16(size_t n, const float* in, uint16_t* out) {
    for (size_t i = 0; i < n; i++)
        out[i] = f16_of(in[i]);
}

static void f16_to_f32(size_t n, const uint16_t* in, float* out) {
    for (size_t i = 0; i < n; i++) {
        const uint32_t sign = (uint32_t)(in[i] & 0x8000) << 16;
        const uint32_t magnitude = in[i] & 0x7fff;
        const uint32_t normal = (magnitude << 13) + (112u << 23);
        const uint32_t subnormal = bits_of((float)(int32_t)magnitude * 0x1p-24f);
        const uint32_t is_nan = magnitude > 0x7c00;
        uint32_t bits = magnitude < 0x400 ? subnormal : normal;
        bits = magnitude >= 0x7c00 ? (magnitude << 13) | 255u << 23 | is_nan << 22 : bits;
        out[i] = float_of(sign | bits);
    }
}

/* Adding 1.5 * 2^23 to what is within 2^22 rounds to an integer and leaves it in the low bits. */
static inline int32_t nearest(float value) {
    return (int32_t)(bits_of(value + 0x1.8p23f) - bits_of(0x1.8p23f));
}

static void f32_to_s8(size_t n, const float* in, float scale, int8_t* out) {
    for (size_t i = 0; i < n; i++) {
        float value = in[i] * scale;
        value = value < -128.0f ? -128.0f : value;
        value = value > 127.0f ? 127.0f : value;
        value = value != value ? 0.0f : value;
        out[i] = (int8_t)nearest(value);
    }
}

static void s8_to_f32(size_t n, const int8_t* in, float scale, float* out) {
    for (size_t i = 0; i < n; i++)
        out[i] = (float)in[i] * scale;
}

static void s32_to_s8(size_t n, const int32_t* in, float scale, int32_t zero_point, int8_t* out) {
    const int32_t zero_limit = 1 << 21;
    const float limit = 0x1p22f;
    const int32_t zero = zero_point < -zero_limit  ? -zero_limit
                         : zero_point > zero_limit ? zero_limit
                                                   : zero_point;
    for (size_t i = 0; i < n; i++) {
        float value = (float)in[i] * scale;
        value = value < -limit ? -limit : value;
        value = value > limit ? limit : value;
        value = value != value ? 0.0f : value;
        int32_t level = nearest(value) + zero;
        level = level < -128 ? -128 : level;
        level = level > 127 ? 127 : level;
        out[i] = (int8_t)level;
    }
}

void npuenc_convert_init_reference(npuenc_convert* family) {
    *family = (npuenc_convert){f32_to_bf16, f32_to_bf16x2, bf16_to_f32, f32_to_f16,
                               f16_to_f32,  f32_to_s8,     s8_to_f32,   s32_to_s8};
}
