/* SPDX-License-Identifier: MIT
 *
 * f32 as bits, and its conversions to nearest even, without a branch.
 */
#ifndef NPUENC_KERNELS_REFERENCE_BITS_H
#define NPUENC_KERNELS_REFERENCE_BITS_H

#include <stdint.h>
#include <string.h>

static inline uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint16_t bf16_of(float value) {
    const uint32_t bits = bits_of(value);
    const uint32_t nearest = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    const uint32_t quiet = (bits >> 16) | 0x40;
    return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? quiet : nearest);
}

static inline uint16_t f16_of(float value) {
    const uint32_t bits = bits_of(value);
    const uint32_t sign = (bits >> 16) & 0x8000;
    const uint32_t magnitude = bits & 0x7fffffff;
    const uint32_t normal = (magnitude - (112u << 23) + 0xfff + ((magnitude >> 13) & 1)) >> 13;
    /* The last place of 1/2 is worth the least f16: the addition rounds. */
    const uint32_t subnormal = bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f);
    const uint32_t quiet = 0x7e00 | ((magnitude >> 13) & 0x3ff);
    uint32_t half = magnitude < 113u << 23 ? subnormal : normal;
    half = magnitude >= 143u << 23 ? 0x7c00 : half;
    half = magnitude > 255u << 23 ? quiet : half;
    return (uint16_t)(sign | half);
}

#endif /* NPUENC_KERNELS_REFERENCE_BITS_H */
