/* SPDX-License-Identifier: MIT
 *
 * Row operations on f32 for AVX2 with FMA. The end of a row is a vector under a mask; only there
 * are the loads and stores masked, since masked stores are slow on some CPUs.
 */
#include <immintrin.h>
#include <math.h>

#include "kernels/cpu/approximation.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/x86/unroll.h"

enum {
    lanes = 8,
    sums = 4, /* vectors side by side in a reduction, for the latency of an addition */
    block = sums * lanes
};

static inline __m256i first(size_t n) {
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < lanes ? (int)n : lanes), index);
}

/* Up to a vector from or to a row that has `left` elements left; zeros beyond. */
static inline __m256 load(const float* x, size_t left) {
    return left >= lanes ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, first(left));
}

static inline void store(float* x, size_t left, __m256 v) {
    if (left >= lanes)
        _mm256_storeu_ps(x, v);
    else
        _mm256_maskstore_ps(x, first(left), v);
}

/* Zeros beyond what is left. */
static inline __m256 keep(__m256 v, size_t left) {
    return left >= lanes ? v : _mm256_and_ps(v, _mm256_castsi256_ps(first(left)));
}

static inline __m256 all(float value) {
    return _mm256_set1_ps(value);
}

static inline float sum_of(__m256 v) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

static inline float greatest_of(__m256 v) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

static inline __m256 add_four(const __m256 v[sums]) {
    return _mm256_add_ps(_mm256_add_ps(v[0], v[1]), _mm256_add_ps(v[2], v[3]));
}

static inline __m256 max_four(const __m256 v[sums]) {
    return _mm256_max_ps(_mm256_max_ps(v[0], v[1]), _mm256_max_ps(v[2], v[3]));
}

static float mean_of(size_t n, const float* x) {
    __m256 sum[sums] = {all(0), all(0), all(0), all(0)};
    size_t i = 0;
    for (; i + block <= n; i += block)
        UNROLLED_FOR (size_t v = 0; v < sums; v++)
            sum[v] = _mm256_add_ps(sum[v], _mm256_loadu_ps(x + i + v * lanes));
    for (; i < n; i += lanes)
        sum[0] = _mm256_add_ps(sum[0], load(x + i, n - i));
    return sum_of(add_four(sum)) / (float)n;
}

static float variance_of(size_t n, const float* x, __m256 mean) {
    __m256 sum[sums] = {all(0), all(0), all(0), all(0)};
    size_t i = 0;
    for (; i + block <= n; i += block)
        UNROLLED_FOR (size_t v = 0; v < sums; v++) {
            const __m256 d = _mm256_sub_ps(_mm256_loadu_ps(x + i + v * lanes), mean);
            sum[v] = _mm256_fmadd_ps(d, d, sum[v]);
        }
    for (; i < n; i += lanes) {
        const __m256 d = keep(_mm256_sub_ps(load(x + i, n - i), mean), n - i);
        sum[0] = _mm256_fmadd_ps(d, d, sum[0]);
    }
    return sum_of(add_four(sum)) / (float)n;
}

static void layer_norm(size_t n, const float* x, const float* weight, const float* bias, float* y) {
    const __m256 mean = all(mean_of(n, x));
    const __m256 scale = all(1.0f / sqrtf(variance_of(n, x, mean) + npuenc_layer_norm_epsilon));
    for (size_t i = 0; i < n; i += lanes) {
        const __m256 d = _mm256_sub_ps(load(x + i, n - i), mean);
        const __m256 w = load(weight + i, n - i);
        const __m256 b = load(bias + i, n - i);
        store(y + i, n - i, _mm256_fmadd_ps(_mm256_mul_ps(d, scale), w, b));
    }
}

void npuenc_rows_init_avx2(npuenc_rows* family) {
    family->layer_norm = layer_norm;
}
