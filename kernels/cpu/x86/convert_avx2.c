/* SPDX-License-Identifier: MIT
 *
 * Conversions for AVX2 with F16C. There are no masks for 8 and 16 bits, so the end of a row goes
 * through a vector on the stack.
 */
#include <immintrin.h>
#include <string.h>

#include "kernels/cpu/isa.h"

enum { lanes = 8, to_nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };

/* Does `step`, a call that converts the vector at `from` to `to`, for all n elements. */
#define FOR_EACH_VECTOR(in_type, out_type, step)                                                   \
    do {                                                                                           \
        const size_t rest = n % lanes;                                                             \
        for (size_t i = 0; i < n - rest; i += lanes) {                                             \
            const in_type* from = in + i;                                                          \
            out_type* to = out + i;                                                                \
            step;                                                                                  \
        }                                                                                          \
        if (rest) {                                                                                \
            in_type from[lanes] = {0};                                                             \
            out_type to[lanes];                                                                    \
            memcpy(from, in + n - rest, rest * sizeof *in);                                        \
            step;                                                                                  \
            memcpy(out + n - rest, to, rest * sizeof *out);                                        \
        }                                                                                          \
    } while (0)

static inline __m256i all(int32_t value) {
    return _mm256_set1_epi32(value);
}

static inline __m128i load_16(const void* in) {
    return _mm_loadu_si128((const __m128i*)in);
}

/* The low 16 bits of each lane. */
static inline void store_16(__m256i v, uint16_t* out) {
    const __m256i halves = _mm256_packus_epi32(v, v);
    const __m256i joined = _mm256_permute4x64_epi64(halves, 0x08);
    _mm_storeu_si128((__m128i*)(void*)out, _mm256_castsi256_si128(joined));
}

/* Each lane, clamped to 8 bits. */
static inline void store_8(__m256i v, int8_t* out) {
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storel_epi64((__m128i*)(void*)out, _mm_packs_epi16(words, words));
}

/* bf16 in the low half of each lane. */
static inline __m256i bf16_of(__m256 value) {
    const __m256i bits = _mm256_castps_si256(value);
    const __m256i top = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(top, all(1));
    const __m256i nearest =
        _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, all(0x7fff))), 16);
    const __m256i quiet = _mm256_or_si256(top, all(0x40));
    const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(nearest, quiet, is_nan);
}

static inline void one_f32_to_bf16(const float* in, uint16_t* out) {
    store_16(bf16_of(_mm256_loadu_ps(in)), out);
}

static void f32_to_bf16(size_t n, const float* in, uint16_t* out) {
    FOR_EACH_VECTOR(float, uint16_t, one_f32_to_bf16(from, to));
}

/* What high leaves, as bf16. */
static inline void one_f32_to_low(const float* in, uint16_t* low) {
    const __m256 value = _mm256_loadu_ps(in);
    const __m256 high = _mm256_castsi256_ps(_mm256_slli_epi32(bf16_of(value), 16));
    store_16(bf16_of(_mm256_sub_ps(value, high)), low);
}

static void f32_to_bf16x2(size_t n, const float* in, uint16_t* high, uint16_t* out) {
    f32_to_bf16(n, in, high);
    FOR_EACH_VECTOR(float, uint16_t, one_f32_to_low(from, to));
}

static inline void one_bf16_to_f32(const uint16_t* in, float* out) {
    const __m256i bits = _mm256_slli_epi32(_mm256_cvtepu16_epi32(load_16(in)), 16);
    const __m256 value = _mm256_castsi256_ps(bits);
    const __m256 is_nan = _mm256_cmp_ps(value, value, _CMP_UNORD_Q);
    const __m256 quiet = _mm256_and_ps(is_nan, _mm256_castsi256_ps(all(1 << 22)));
    _mm256_storeu_ps(out, _mm256_or_ps(value, quiet));
}

static void bf16_to_f32(size_t n, const uint16_t* in, float* out) {
    FOR_EACH_VECTOR(uint16_t, float, one_bf16_to_f32(from, to));
}

static inline void one_f32_to_f16(const float* in, uint16_t* out) {
    _mm_storeu_si128((__m128i*)(void*)out, _mm256_cvtps_ph(_mm256_loadu_ps(in), to_nearest));
}

static void f32_to_f16(size_t n, const float* in, uint16_t* out) {
    FOR_EACH_VECTOR(float, uint16_t, one_f32_to_f16(from, to));
}

static inline void one_f16_to_f32(const uint16_t* in, float* out) {
    _mm256_storeu_ps(out, _mm256_cvtph_ps(load_16(in)));
}

static void f16_to_f32(size_t n, const uint16_t* in, float* out) {
    FOR_EACH_VECTOR(uint16_t, float, one_f16_to_f32(from, to));
}

/* rint(value) clamped, and 0 for NaN. */
static inline __m256i nearest_within(__m256 value, __m256 least, __m256 most) {
    const __m256 is_number = _mm256_cmp_ps(value, value, _CMP_ORD_Q);
    const __m256 clamped = _mm256_min_ps(_mm256_max_ps(value, least), most);
    return _mm256_cvtps_epi32(_mm256_and_ps(clamped, is_number));
}

static inline void one_f32_to_s8(const float* in, int8_t* out, __m256 scale, __m256 least) {
    const __m256 value = _mm256_mul_ps(_mm256_loadu_ps(in), scale);
    store_8(nearest_within(value, least, _mm256_set1_ps(127)), out);
}

static void f32_to_s8(size_t n, const float* in, float scale, int8_t* out) {
    const __m256 factor = _mm256_set1_ps(scale);
    const __m256 least = _mm256_set1_ps(-128);
    FOR_EACH_VECTOR(float, int8_t, one_f32_to_s8(from, to, factor, least));
}

static inline void one_s8_to_f32(const int8_t* in, float* out, __m256 scale) {
    const __m128i bytes = _mm_loadl_epi64((const __m128i*)(const void*)in);
    const __m256 level = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
    _mm256_storeu_ps(out, _mm256_mul_ps(level, scale));
}

static void s8_to_f32(size_t n, const int8_t* in, float scale, float* out) {
    const __m256 factor = _mm256_set1_ps(scale);
    FOR_EACH_VECTOR(int8_t, float, one_s8_to_f32(from, to, factor));
}

static inline __m256 load_s32(const int32_t* in) {
    return _mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i*)(const void*)in));
}

static inline void one_s32_to_s8(const int32_t* in, int8_t* out, __m256 scale, __m256i zero) {
    const __m256 limit = _mm256_set1_ps(0x1p22f);
    const __m256 value = _mm256_mul_ps(load_s32(in), scale);
    const __m256i level = nearest_within(value, _mm256_sub_ps(_mm256_setzero_ps(), limit), limit);
    store_8(_mm256_add_epi32(level, zero), out);
}

static void s32_to_s8(size_t n, const int32_t* in, float scale, int32_t zero_point, int8_t* out) {
    const int32_t zero_limit = 1 << 21;
    const __m256 factor = _mm256_set1_ps(scale);
    const __m256i zero =
        _mm256_min_epi32(_mm256_max_epi32(all(zero_point), all(-zero_limit)), all(zero_limit));
    FOR_EACH_VECTOR(int32_t, int8_t, one_s32_to_s8(from, to, factor, zero));
}

void npuenc_convert_init_avx2(npuenc_convert* family) {
    *family = (npuenc_convert){f32_to_bf16, f32_to_bf16x2, bf16_to_f32, f32_to_f16,
                               f16_to_f32,  f32_to_s8,     s8_to_f32,   s32_to_s8};
}
