/* SPDX-License-Identifier: MIT
 *
 * Softmax by blocks for AVX2 with FMA. The last keys are a vector under a mask; only there are the
 * loads and stores masked, since masked stores are slow on some CPUs.
 */
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernels/cpu/approximation.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/x86/vector_avx2.h"

enum { to_nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };

/* exp2(t) for t <= 0 or hardly more. NaN stays NaN. */
static ALWAYS_INLINE __m256 exp2_of(__m256 t, int to_bf16) {
    const __m256 n = _mm256_round_ps(t, to_nearest);
    const __m256 f = _mm256_sub_ps(t, n);
    __m256 p;
    if (to_bf16) {
        p = all(npuenc_exp2_bf16_3);
        p = _mm256_fmadd_ps(p, f, all(npuenc_exp2_bf16_2));
        p = _mm256_fmadd_ps(p, f, all(npuenc_exp2_bf16_1));
        p = _mm256_fmadd_ps(p, f, all(npuenc_exp2_bf16_0));
    } else {
        p = all(npuenc_exp2_6);
        p = _mm256_fmadd_ps(p, f, all(npuenc_exp2_5));
        p = _mm256_fmadd_ps(p, f, all(npuenc_exp2_4));
        p = _mm256_fmadd_ps(p, f, all(npuenc_exp2_3));
        p = _mm256_fmadd_ps(p, f, all(npuenc_exp2_2));
        p = _mm256_fmadd_ps(p, f, all(npuenc_exp2_1));
        p = _mm256_fmadd_ps(p, f, all(npuenc_exp2_0));
    }
    /* 2^n as the bits of its exponent, which for what is kept is that of a normal number. */
    const __m256i power =
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    const __m256 kept = _mm256_cmp_ps(t, all(npuenc_exp2_least), _CMP_NLT_UQ);
    return _mm256_and_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(power)), kept);
}

/* Up to a vector of x log2 e, from scores that begin at x and key i. `left` is a constant of a
 * whole one wherever this is expanded. */
static ALWAYS_INLINE __m256 scaled(const npuenc_scores* block, const float* x, const float* mask,
                                   size_t i, size_t left, __m256 scale) {
    __m256 v = load(x + i, left);
    if (block->integers)
        v = _mm256_cvtepi32_ps(_mm256_castps_si256(v));
    v = _mm256_mul_ps(v, scale);
    if (mask) {
        const __m256 added = load(mask + i, left);
        const __m256 out = _mm256_cmp_ps(added, all(-INFINITY), _CMP_EQ_OQ);
        v = _mm256_fmadd_ps(added, all(npuenc_log2e), v);
        v = _mm256_blendv_ps(v, added, out);
    }
    return v;
}

/* scores = x log2 e, and the greatest of it. Of a number and a NaN, max gives the second: NaN
 * counts as nothing. */
static ALWAYS_INLINE float scale_scores(const npuenc_scores* block, size_t row, size_t n) {
    float* x = (float*)block->scores + row * block->ld;
    const float* mask = block->mask ? block->mask + row * block->ld_mask : NULL;
    const __m256 scale = all(block->row_scale[row] * npuenc_log2e);
    __m256 greatest = all(-INFINITY);
    size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        const __m256 v = scaled(block, x, mask, i, lanes, scale);
        _mm256_storeu_ps(x + i, v);
        greatest = _mm256_max_ps(v, greatest);
    }
    if (i < n) {
        const __m256i in = first(n - i);
        const __m256 v = scaled(block, x, mask, i, n - i, scale);
        _mm256_maskstore_ps(x + i, in, v);
        greatest = _mm256_max_ps(_mm256_blendv_ps(greatest, v, _mm256_castsi256_ps(in)), greatest);
    }
    return greatest_of(greatest);
}

/* Probabilities need no care for NaN: of one whose bits are all set, the total says so. */
static inline __m128i bf16_of(__m256 probability) {
    const __m256i bits = _mm256_castps_si256(probability);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i wide = _mm256_srli_epi32(up, 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
}

/* There are no masks for 16 bits: the end of a row goes through a vector on the stack. */
static inline void store_16(uint16_t* at, size_t left, __m128i v) {
    uint16_t some[lanes];
    if (left >= lanes) {
        _mm_storeu_si128((__m128i*)(void*)at, v);
    } else {
        _mm_storeu_si128((__m128i*)(void*)some, v);
        memcpy(at, some, left * sizeof *at);
    }
}

/* Up to a vector of a row's probabilities to where p[i] is. */
static ALWAYS_INLINE void store_p(void* p, size_t i, size_t left, __m256 v, int to_bf16) {
    if (to_bf16)
        store_16((uint16_t*)p + i, left, bf16_of(v));
    else
        store((float*)p + i, left, v);
}

static ALWAYS_INLINE void soften_row(const npuenc_scores* block, size_t row, int to_bf16) {
    const float* x = (const float*)block->scores + row * block->ld;
    void* p = (char*)block->p + row * block->ldp * (to_bf16 ? sizeof(uint16_t) : sizeof(float));
    const size_t n = block->n_keys[row];
    const float greatest = scale_scores(block, row, n);
    /* -inf less 0 makes zeros, and NaN of NaN. */
    const __m256 base = all(greatest == -INFINITY ? 0.0f : greatest);
    __m256 total = all(0);
    size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        const __m256 e = exp2_of(_mm256_sub_ps(_mm256_loadu_ps(x + i), base), to_bf16);
        total = _mm256_add_ps(total, e);
        store_p(p, i, lanes, e, to_bf16);
    }
    if (i < n) {
        const __m256 in = _mm256_castsi256_ps(first(n - i));
        const __m256 t = _mm256_sub_ps(load(x + i, n - i), base);
        const __m256 e = _mm256_and_ps(exp2_of(t, to_bf16), in);
        total = _mm256_add_ps(total, e);
        store_p(p, i, block->keys - i, e, to_bf16);
        i += lanes;
    }
    for (; i < block->keys; i += lanes)
        store_p(p, i, block->keys - i, all(0), to_bf16);
    block->greatest[row] = greatest;
    block->total[row] = sum_of(total);
}

/* `to_bf16` is a constant wherever this is expanded. */
static ALWAYS_INLINE void soften(const npuenc_scores* block, int to_bf16) {
    const npuenc_scores parts = *block; /* which no store to what it points to can change */
    for (size_t row = 0; row < parts.rows; row++)
        soften_row(&parts, row, to_bf16);
}

static void block_f32(const npuenc_scores* block) {
    soften(block, 0);
}

static void block_bf16(const npuenc_scores* block) {
    soften(block, 1);
}

/* rint(255 exp2(t)) of an exp2 that is exact enough for a byte. What is below 2^-32 is 0. */
static ALWAYS_INLINE __m256i byte_exponential(__m256 t) {
    const __m256 above = _mm256_max_ps(all(-32), t), n = _mm256_round_ps(above, to_nearest);
    const __m256 f = _mm256_sub_ps(above, n);
    __m256 p = all(255 * npuenc_exp2_u8_2);
    p = _mm256_fmadd_ps(p, f, all(255 * npuenc_exp2_u8_1));
    p = _mm256_fmadd_ps(p, f, all(255 * npuenc_exp2_u8_0));
    const __m256i power = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    return _mm256_cvtps_epi32(_mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), power)));
}

/* Four vectors to bytes. Packing works within halves, which puts fours of bytes out of order. */
static ALWAYS_INLINE __m256i packed_bytes(const __m256i v[4]) {
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i words = _mm256_packus_epi32(v[0], v[1]), more = _mm256_packus_epi32(v[2], v[3]);
    return _mm256_permutevar8x32_epi32(_mm256_packus_epi16(words, more), order);
}

/* The bytes of 32 keys from i on, of which `left` count. */
static ALWAYS_INLINE __m256i byte_probabilities(const float* x, size_t left, __m256 base) {
    __m256i v[4];
    for (size_t part = 0; part < 4; part++) {
        const size_t at = part * lanes, here = left > at ? left - at : 0;
        const __m256i e = byte_exponential(_mm256_sub_ps(load(x + at, here), base));
        v[part] = here >= lanes ? e : _mm256_and_si256(e, first(here));
    }
    return packed_bytes(v);
}

static void soften_row_u8(const npuenc_scores* block, size_t row) {
    const size_t step = 4 * lanes, n = block->n_keys[row];
    const float* x = (const float*)block->scores + row * block->ld;
    uint8_t* p = (uint8_t*)block->p + row * block->ldp;
    const float greatest = scale_scores(block, row, n);
    const __m256 base = all(greatest == -INFINITY ? 0.0f : greatest);
    __m256i total = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + step <= n; i += step) {
        const __m256i bytes = byte_probabilities(x + i, step, base);
        total = _mm256_add_epi64(total, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
        _mm256_storeu_si256((__m256i*)(void*)(p + i), bytes);
    }
    for (; i < block->keys; i += step) {
        const size_t left = block->keys - i;
        const __m256i bytes = byte_probabilities(x + i, i < n ? n - i : 0, base);
        uint8_t some[4 * lanes];
        total = _mm256_add_epi64(total, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
        _mm256_storeu_si256((__m256i*)(void*)some, bytes);
        memcpy(p + i, some, left < step ? left : step);
    }
    uint64_t sums[4];
    _mm256_storeu_si256((__m256i*)(void*)sums, total);
    block->greatest[row] = greatest;
    block->total[row] = (float)(sums[0] + sums[1] + sums[2] + sums[3]);
}

static void block_u8(const npuenc_scores* block) {
    const npuenc_scores parts = *block;
    for (size_t row = 0; row < parts.rows; row++)
        soften_row_u8(&parts, row);
}

/* exp2(a - base), where both may be -inf. */
static inline __m256 factor_of(__m256 a, __m256 base) {
    const __m256 some = _mm256_cmp_ps(base, all(-INFINITY), _CMP_NEQ_UQ);
    return exp2_of(_mm256_sub_ps(a, _mm256_and_ps(base, some)), 0);
}

static void merge(const npuenc_part* part, float* out, size_t ld_out, float* greatest,
                  float* total) {
    float old_factors[npuenc_most_queries], new_factors[npuenc_most_queries];
    for (size_t row = 0; row < part->rows; row += lanes) {
        const size_t left = part->rows - row;
        const __m256 before = load(greatest + row, left);
        const __m256 here = load(part->greatest + row, left);
        const __m256 base = _mm256_max_ps(before, here);
        const __m256 old_factor = factor_of(before, base), new_factor = factor_of(here, base);
        const __m256 sum = _mm256_mul_ps(load(total + row, left), old_factor);
        store(total + row, left, _mm256_fmadd_ps(load(part->total + row, left), new_factor, sum));
        store(greatest + row, left, base);
        _mm256_storeu_ps(old_factors + row, old_factor);
        _mm256_storeu_ps(new_factors + row, new_factor);
    }
    const size_t n = part->n;
    for (size_t row = 0; row < part->rows; row++, out += ld_out) {
        const float* at = (const float*)part->part + row * part->ld;
        const __m256 old_factor = all(old_factors[row]), new_factor = all(new_factors[row]);
        for (size_t i = 0; i < n; i += lanes) {
            __m256 added = load(at + i, n - i);
            if (part->col_scale)
                added = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_castps_si256(added)),
                                      load(part->col_scale + i, n - i));
            const __m256 kept = _mm256_mul_ps(load(out + i, n - i), old_factor);
            store(out + i, n - i, _mm256_fmadd_ps(added, new_factor, kept));
        }
    }
}

void npuenc_softmax_init_avx2(npuenc_softmax* family) {
    family->block_f32 = block_f32;
    family->block_bf16 = block_bf16;
    family->block_u8 = block_u8;
    family->merge = merge;
}
