/* SPDX-License-Identifier: MIT
 *
 * What the kernels reach, beside the arithmetic peak measured between them: the best of many short
 * runs, since a shared core changes its speed from one moment to the next.
 */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* f32 operations per second with everything in registers. Enough independent sums to hide a
 * latency of 4 on two units, twice over; constants that neither overflow nor reach denormals. */
enum { peak_sums = 12, peak_rounds = 20000 };

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#define PEAK(name, isa, vector, set1, step)                                                        \
    static __attribute__((noinline, target(isa))) double peak_##name(void) {                       \
        vector sum[peak_sums];                                                                     \
        const vector factor = set1(0.999f);                                                        \
        for (int i = 0; i < peak_sums; i++)                                                        \
            sum[i] = set1((float)i);                                                               \
        const double start = now();                                                                \
        for (int n = 0; n < peak_rounds; n++) {                                                    \
            UNROLL                                                                                 \
            for (int i = 0; i < peak_sums; i++)                                                    \
                sum[i] = step;                                                                     \
        }                                                                                          \
        UNROLL                                                                                     \
        for (int i = 0; i < peak_sums; i++)                                                        \
            __asm__ volatile("" : "+x"(sum[i])); /* computed by now */                             \
        const double count = 2.0 * peak_rounds * peak_sums * (sizeof(vector) / sizeof(float));     \
        return count / (now() - start);                                                            \
    }
PEAK(sse2, "sse2", __m128, _mm_set1_ps, _mm_add_ps(_mm_mul_ps(sum[i], factor), factor))
PEAK(avx2, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps(sum[i], factor, factor))
PEAK(avx512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps(sum[i], factor, factor))

static double peak(const npuenc_kernels* kernels) {
    return strcmp(kernels->isa, "avx512") == 0 ? peak_avx512()
           : strcmp(kernels->isa, "avx2") == 0 ? peak_avx2()
                                               : peak_sse2();
}
#else
static double peak(const npuenc_kernels* kernels) {
    (void)kernels;
    return 0;
}
#endif

typedef struct Job {
    const npuenc_kernels* kernels;
    size_t n;
    void *a, *b, *c;
} Job;

/* Seconds of one call, the best of many runs; the peak at the same time. */
static double best_time(void (*call)(const Job*), const Job* job, double* best_peak) {
    double best = 1e9;
    *best_peak = 0;
    call(job);
    double start = now();
    call(job);
    const int calls = (int)(0.002 / (now() - start + 1e-8)) + 1;
    for (int run = 0; run < 20; run++) {
        const double p = peak(job->kernels);
        *best_peak = p > *best_peak ? p : *best_peak;
        start = now();
        for (int i = 0; i < calls; i++)
            call(job);
        const double time = (now() - start) / calls;
        best = time < best ? time : best;
    }
    return best;
}

#define TILE(family)                                                                               \
    static void call_##family(const Job* job) {                                                    \
        job->kernels->family.tile(job->kernels->family.mr, job->kernels->family.nr, job->n,        \
                                  job->a, job->b, job->c, job->kernels->family.nr, 0);             \
    }
TILE(gemm_f32)
TILE(gemm_bf16)
TILE(gemm_s8)

static void print_tile(const Job* job, const char* name, void (*call)(const Job*), uint32_t mr,
                       uint32_t nr, const char* unit) {
    double top;
    const double time = best_time(call, job, &top);
    const double rate = 2.0 * mr * nr * (double)job->n / time;
    printf("%-10s %-10s %2u x %2u x %4zu %8.1f %s", job->kernels->isa, name, mr, nr, job->n,
           rate * 1e-9, unit);
    if (top > 0)
        printf("   f32 peak %6.1f   %5.1f %%", top * 1e-9, 100 * rate / top);
    printf("\n");
}

#define PACK(name)                                                                                 \
    static void call_##name(const Job* job) {                                                      \
        const npuenc_gemm_f32* gemm = &job->kernels->gemm_f32;                                     \
        gemm->name(strcmp(#name, "pack_a") == 0 ? gemm->mr : gemm->nr, job->n, job->a, 512,        \
                   job->c);                                                                        \
    }
PACK(pack_a)
PACK(pack_b_rows)
PACK(pack_b_cols)

#define ROW(name, ...)                                                                             \
    static void call_##name(const Job* job) {                                                      \
        job->kernels->rows_f32.name(job->n, __VA_ARGS__);                                          \
    }
ROW(layer_norm, job->a, job->b, job->b, job->c)
ROW(softmax, job->c, 0.125f, NULL)
static void call_masked_softmax(const Job* job) {
    job->kernels->rows_f32.softmax(job->n, job->c, 0.125f, job->b);
}
ROW(epilogue, job->c, job->b, 1, NULL)
static void call_additions(const Job* job) {
    job->kernels->rows_f32.epilogue(job->n, job->c, job->b, 0, job->a);
}
static volatile float sink;
static void call_abs_max(const Job* job) {
    sink = job->kernels->rows_f32.abs_max(job->n, job->a);
}

#define CONVERT(name, ...)                                                                         \
    static void call_##name(const Job* job) {                                                      \
        job->kernels->convert.name(job->n, job->a, __VA_ARGS__);                                   \
    }
CONVERT(f32_to_bf16, job->c)
CONVERT(bf16_to_f32, job->c)
CONVERT(f32_to_f16, job->c)
CONVERT(f16_to_f32, job->c)
CONVERT(f32_to_s8, 40.0f, 1, job->c)
CONVERT(s8_to_f32, 0.01f, job->c)
CONVERT(s32_to_s8, 1e-8f, 3, job->c)
CONVERT(s32_to_f32, 0.01f, job->b, job->c)

void bench(const npuenc_kernels* kernels) {
    static const size_t depths[] = {64, 384, 512, 2048};
    enum { bytes = most_cols * 2048 * sizeof(float) };
    Job job = {kernels, 0, aligned_alloc(64, bytes), aligned_alloc(64, bytes),
               aligned_alloc(64, bytes)};
    if (!job.a || !job.b || !job.c)
        abort();
    for (size_t i = 0; i < bytes / sizeof(float); i++) {
        ((float*)job.a)[i] = (float)(i % 1001) * 0.002f - 1;
        ((float*)job.b)[i] = (float)(i % 997) * 0.002f - 1;
        ((float*)job.c)[i] = 0;
    }

    for (size_t d = 0; d < sizeof depths / sizeof depths[0]; d++) {
        job.n = depths[d];
        print_tile(&job, "gemm_f32", call_gemm_f32, kernels->gemm_f32.mr, kernels->gemm_f32.nr,
                   "GFLOPS");
    }
    job.n = 512;
    memset(job.a, 0, bytes / 2); /* finite as any type */
    memset(job.b, 0, bytes / 2);
    print_tile(&job, "gemm_bf16", call_gemm_bf16, kernels->gemm_bf16.mr, kernels->gemm_bf16.nr,
               "GFLOPS");
    print_tile(&job, "gemm_s8", call_gemm_s8, kernels->gemm_s8.mr, kernels->gemm_s8.nr, "GOPS  ");

    const struct {
        const char* name;
        void (*call)(const Job*);
        size_t n, moved; /* bytes in and out per element */
    } jobs[] = {{"pack_a", call_pack_a, 512, 8 * kernels->gemm_f32.mr},
                {"pack_b_rows", call_pack_b_rows, 512, 8 * kernels->gemm_f32.nr},
                {"pack_b_cols", call_pack_b_cols, 512, 8 * kernels->gemm_f32.nr},
                {"layer_norm", call_layer_norm, 512, 8},
                {"softmax", call_softmax, 1500, 8},
                {"softmax, masked", call_masked_softmax, 1500, 12},
                {"bias and gelu", call_epilogue, 2048, 12},
                {"bias and addend", call_additions, 512, 16},
                {"abs_max", call_abs_max, 512, 4},
                {"f32_to_bf16", call_f32_to_bf16, 1500, 6},
                {"bf16_to_f32", call_bf16_to_f32, 1500, 6},
                {"f32_to_f16", call_f32_to_f16, 1500, 6},
                {"f16_to_f32", call_f16_to_f32, 1500, 6},
                {"f32_to_s8", call_f32_to_s8, 1500, 5},
                {"s8_to_f32", call_s8_to_f32, 1500, 5},
                {"s32_to_s8", call_s32_to_s8, 1500, 5},
                {"s32_to_f32", call_s32_to_f32, 1500, 12}};
    for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
        double top;
        job.n = jobs[i].n;
        const double time = best_time(jobs[i].call, &job, &top);
        printf("%-10s %-16s n %4zu %8.1f ns %8.2f bytes/ns\n", kernels->isa, jobs[i].name, job.n,
               time * 1e9, (double)(jobs[i].n * jobs[i].moved) / time * 1e-9);
    }
    free(job.a);
    free(job.b);
    free(job.c);
}
