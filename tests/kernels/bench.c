/* SPDX-License-Identifier: MIT
 *
 * What the kernels reach, products beside the arithmetic peak of their type and instruction set,
 * which is measured between them: the best of many short runs, since a shared core changes its
 * speed from one moment to the next.
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

/* Operations per second with everything in registers: twelve sums, enough to hide a latency of 5 on
 * two units; of zeros, which are no faster. All in assembly: compilers take out what repeats, keep
 * sums in memory, and may not know the instruction. */
typedef double Peak(void);

#if defined(__x86_64__)
enum { peak_rounds = 20000, peak_sums = 12 };

#define TWELVE(step)                                                                               \
    step("0") step("1") step("2") step("3") step("4") step("5") step("6") step("7") step("8")      \
        step("9") step("10") step("11")

/* `step` of a sum's number; registers 12 and 13 are zeros and scratch. `operations` of a step. */
#define PEAK(name, zero, step, operations, leave)                                                  \
    static double peak_##name(void) {                                                              \
        int rounds = peak_rounds;                                                                  \
        const double start = now();                                                                \
        __asm__ volatile(TWELVE(zero) zero("12") "1:\n" TWELVE(step) "dec %0\njnz 1b\n" leave      \
                         : "+r"(rounds)                                                            \
                         :                                                                         \
                         : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",   \
                           "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13");                    \
        return (double)(operations)*peak_rounds * peak_sums / (now() - start);                     \
    }
#define ZERO_SSE(n) "xorps %%xmm" n ", %%xmm" n "\n"
#define ZERO_AVX(n) "vxorps %%xmm" n ", %%xmm" n ", %%xmm" n "\n"
#define F32_SSE(n) "movaps %%xmm12, %%xmm13\nmulps %%xmm12, %%xmm13\naddps %%xmm13, %%xmm" n "\n"
#define F32_AVX2(n) "vfmadd231ps %%ymm12, %%ymm12, %%ymm" n "\n"
#define F32_AVX512(n) "vfmadd231ps %%zmm12, %%zmm12, %%zmm" n "\n"
#define BF16_AVX512(n) "vdpbf16ps %%zmm12, %%zmm12, %%zmm" n "\n"
#define S8_AVX2(n) "vpmaddwd %%ymm12, %%ymm12, %%ymm13\nvpaddd %%ymm13, %%ymm" n ", %%ymm" n "\n"
#define S8_AVXVNNI(n) "%{vex%} vpdpbusd %%ymm12, %%ymm12, %%ymm" n "\n"
#define S8_AVX512(n) "vpdpbusd %%zmm12, %%zmm12, %%zmm" n "\n"
PEAK(f32_sse2, ZERO_SSE, F32_SSE, 2 * 4, "")
PEAK(f32_avx2, ZERO_AVX, F32_AVX2, 2 * 8, "vzeroupper")
PEAK(f32_avx512, ZERO_AVX, F32_AVX512, 2 * 16, "vzeroupper")
PEAK(bf16_avx512, ZERO_AVX, BF16_AVX512, 2 * 32, "vzeroupper")
PEAK(s8_avx2, ZERO_AVX, S8_AVX2, 2 * 16, "vzeroupper")
PEAK(s8_avxvnni, ZERO_AVX, S8_AVXVNNI, 2 * 32, "vzeroupper")
PEAK(s8_avx512, ZERO_AVX, S8_AVX512, 2 * 64, "vzeroupper")

/* Of AMX, between begin and end: the four sums of a tile kernel hide the latency. `operations` of
 * an instruction. */
#define PEAK_AMX(name, instruction, operations)                                                    \
    static double peak_##name(void) {                                                              \
        int rounds = peak_rounds;                                                                  \
        const double start = now();                                                                \
        __asm__ volatile("1:\n" instruction " %%tmm7, %%tmm6, %%tmm0\n" instruction                \
                         " %%tmm7, %%tmm6, %%tmm1\n" instruction                                   \
                         " %%tmm7, %%tmm6, %%tmm2\n" instruction                                   \
                         " %%tmm7, %%tmm6, %%tmm3\ndec %0\njnz 1b"                                 \
                         : "+r"(rounds)                                                            \
                         :                                                                         \
                         : "cc");                                                                  \
        return (double)(operations)*peak_rounds * 4 / (now() - start);                             \
    }
PEAK_AMX(bf16_amx, "tdpbf16ps", 2 * 16 * 16 * 32)
PEAK_AMX(s8_amx, "tdpbssd", 2 * 16 * 16 * 64)

/* The widest panels are those of the widest vectors, the widest groups of the native types. */
static Peak* f32_peak(const npuenc_gemm* gemm) {
    return gemm->nr > 16 ? peak_f32_avx512 : gemm->nr == 16 ? peak_f32_avx2 : peak_f32_sse2;
}
static Peak* bf16_peak(const npuenc_gemm* gemm) {
    if (gemm->k_group == 32)
        return peak_bf16_amx;
    return gemm->k_group == 2 ? peak_bf16_avx512 : f32_peak(gemm);
}
/* Three products of bf16 for one. */
static double peak_bf16x2_amx(void) {
    return peak_bf16_amx() / 3;
}
static double peak_bf16x2_sse2(void) {
    return peak_f32_sse2() / 3;
}
static Peak* bf16x2_peak(const npuenc_gemm* gemm) {
    return gemm->k_group == 32 ? peak_bf16x2_amx : peak_bf16x2_sse2;
}
static Peak* s8_peak(const npuenc_gemm* gemm) {
    if (gemm->k_group == 64)
        return peak_s8_amx;
    if (gemm->k_group == 4)
        return gemm->nr > 16 ? peak_s8_avx512 : peak_s8_avxvnni;
    return gemm->k_group == 2 ? peak_s8_avx2 : f32_peak(gemm);
}
#else
static double no_peak(void) {
    return 0;
}
static Peak* f32_peak(const npuenc_gemm* gemm) {
    (void)gemm;
    return no_peak;
}
#define bf16_peak f32_peak
#define bf16x2_peak f32_peak
#define s8_peak f32_peak
#endif

typedef struct Job {
    const npuenc_kernels* kernels;
    const npuenc_gemm* gemm;
    size_t n, rows;
    void *a, *b, *c;
} Job;

/* Seconds of one call, the best of many runs; of the peak (NULL: none) at the same time. */
static double best_time(void (*call)(const Job*), const Job* job, Peak* peak, double* best_peak) {
    double best = 1e9;
    *best_peak = 0;
    if (job->gemm && job->gemm->begin)
        job->gemm->begin();
    call(job);
    double start = now();
    call(job);
    const int calls = (int)(0.002 / (now() - start + 1e-8)) + 1;
    for (int run = 0; run < 20; run++) {
        const double p = peak ? peak() : 0;
        *best_peak = p > *best_peak ? p : *best_peak;
        start = now();
        for (int i = 0; i < calls; i++)
            call(job);
        const double time = (now() - start) / calls;
        best = time < best ? time : best;
    }
    if (job->gemm && job->gemm->end)
        job->gemm->end();
    return best;
}

static void call_tile(const Job* job) {
    const npuenc_gemm* gemm = job->gemm;
    const size_t groups = (job->n + gemm->k_group - 1) / gemm->k_group;
    /* Rows are an odd number of cache lines apart, as the library lays them. */
    const size_t lda = (groups * gemm->k_group * gemm->a_size + 63) / 64 | 1;
    const npuenc_tile tile = {gemm->mr,
                              gemm->nr,
                              job->n,
                              job->a,
                              lda * 64,
                              job->b,
                              (const int32_t*)job->b, /* zeros as well */
                              job->c,
                              gemm->nr,
                              0,
                              NULL,
                              0};
    gemm->tile(&tile);
}

static void call_pack_a(const Job* job) {
    job->gemm->pack_a(job->n, job->a, job->c);
}
static void call_pack_b_rows(const Job* job) {
    job->gemm->pack_b_rows(job->gemm->nr, job->n, job->a, job->n, job->c);
}
static void call_pack_b_cols(const Job* job) {
    job->gemm->pack_b_cols(job->gemm->nr, job->n, job->a, job->gemm->nr, job->c);
}

static void print_gemm(Job job, const char* name, const npuenc_gemm* gemm, Peak* peak,
                       const char* unit) {
    static const size_t depths[] = {64, 512, 2048};
    double top;
    job.gemm = gemm;
    for (size_t d = 0; d < sizeof depths / sizeof depths[0]; d++) {
        job.n = depths[d];
        const double time = best_time(call_tile, &job, peak, &top);
        const double rate = 2.0 * gemm->mr * gemm->nr * (double)job.n / time;
        printf("%-10s %-11s %2u x %2u x %4zu %8.1f %s", job.kernels->isa, name, gemm->mr, gemm->nr,
               job.n, rate * 1e-9, unit);
        if (top > 0)
            printf("   peak %7.1f   %5.1f %%", top * 1e-9, 100 * rate / top);
        printf("\n");
    }
    job.n = 512;
    const double a = best_time(call_pack_a, &job, NULL, &top) / (double)job.n;
    const double count = (double)job.n * gemm->nr;
    const double rows = best_time(call_pack_b_rows, &job, NULL, &top) / count;
    printf("%-10s %-11s packing, ns/element: a %.3f   b_rows %.3f", job.kernels->isa, name, a * 1e9,
           rows * 1e9);
    if (gemm->pack_b_cols)
        printf("   b_cols %.3f", best_time(call_pack_b_cols, &job, NULL, &top) / count * 1e9);
    printf("\n");
}

static void finish(const Job* job, int of_s32, npuenc_gelu gelu, npuenc_float type,
                   const float* addend) {
    const npuenc_finish how = {.col_scale = of_s32 ? job->b : NULL,
                               .bias = job->b,
                               .gelu = gelu,
                               .addend = addend,
                               .ld_addend = job->n,
                               .type = type,
                               .y = job->c,
                               .ldy = job->n};
    if (of_s32)
        job->kernels->finish.s32(job->rows, job->n, job->a, job->n, &how);
    else
        job->kernels->finish.f32(job->rows, job->n, job->a, job->n, &how);
}
static void call_bias(const Job* job) {
    finish(job, 0, npuenc_gelu_none, npuenc_float_f32, NULL);
}
static void call_bias_addend(const Job* job) {
    finish(job, 0, npuenc_gelu_none, npuenc_float_f32, job->b);
}
static void call_bias_bf16(const Job* job) {
    finish(job, 0, npuenc_gelu_none, npuenc_float_bf16, NULL);
}
static void call_gelu(const Job* job) {
    finish(job, 0, npuenc_gelu_f32, npuenc_float_f32, NULL);
}
static void call_gelu_bf16(const Job* job) {
    finish(job, 0, npuenc_gelu_bf16, npuenc_float_bf16, NULL);
}
static void call_gelu_s32(const Job* job) {
    finish(job, 1, npuenc_gelu_f32, npuenc_float_f32, NULL);
}

/* The scores of a run are what the one before made of them, so their scale keeps them in place. */
/* Scores that are integers are the bits of floats below 1: a scale keeps x below 2^10. */
static void soften(const Job* job, void (*kernel)(const npuenc_scores*), int integers) {
    float row_scale[npuenc_most_queries], greatest[npuenc_most_queries];
    float total[npuenc_most_queries];
    uint32_t n_keys[npuenc_most_queries];
    for (size_t i = 0; i < job->rows; i++) {
        row_scale[i] = integers ? 0x1p-21f : 0.6931472f;
        n_keys[i] = (uint32_t)job->n;
    }
    const npuenc_scores block = {.rows = job->rows,
                                 .keys = job->n,
                                 .scores = job->a,
                                 .integers = integers,
                                 .ld = job->n,
                                 .n_keys = n_keys,
                                 .row_scale = row_scale,
                                 .p = job->c,
                                 .ldp = job->n,
                                 .greatest = greatest,
                                 .total = total};
    kernel(&block);
}
static void call_softmax_f32(const Job* job) {
    soften(job, job->kernels->softmax.block_f32, 0);
}
static void call_softmax_bf16(const Job* job) {
    soften(job, job->kernels->softmax.block_bf16, 0);
}
static void call_softmax_u8(const Job* job) {
    soften(job, job->kernels->softmax.block_u8, 1);
}
static void call_merge(const Job* job) {
    float here[npuenc_most_queries] = {0}, before[npuenc_most_queries] = {0};
    float here_total[npuenc_most_queries] = {0}, total[npuenc_most_queries] = {0};
    for (size_t i = 0; i < job->rows; i++)
        before[i] = -1;
    const npuenc_part part = {job->rows, job->n, job->a, job->n, NULL, here, here_total};
    job->kernels->softmax.merge(&part, job->c, job->n, before, total);
}

static void call_layer_norm(const Job* job) {
    job->kernels->rows.layer_norm(job->n, job->a, job->b, job->b, job->c);
}
static volatile float sink;
static void call_quantise_f32(const Job* job) {
    sink = job->kernels->rows.quantise_f32(1, job->n, job->a, 0, job->c);
}
static void call_quantise_bf16(const Job* job) {
    sink = job->kernels->rows.quantise_bf16(1, job->n, job->a, 0, job->c);
}
static void call_quantise_cols_bf16(const Job* job) {
    job->kernels->rows.quantise_cols_bf16(job->rows, job->n, job->a, job->n, job->c, job->b);
}

#define CONVERT(name, ...)                                                                         \
    static void call_##name(const Job* job) {                                                      \
        job->kernels->convert.name(job->n, job->a, __VA_ARGS__);                                   \
    }
CONVERT(f32_to_bf16, job->c)
CONVERT(bf16_to_f32, job->c)
CONVERT(f32_to_f16, job->c)
CONVERT(f16_to_f32, job->c)
CONVERT(f32_to_s8, 40.0f, job->c)
CONVERT(s8_to_f32, 0.01f, job->c)
CONVERT(s32_to_s8, 1e-8f, 3, job->c)

void bench(const npuenc_kernels* kernels) {
    enum { bytes = most_cols * 2048 * sizeof(float) };
    Job job = {.kernels = kernels,
               .rows = 1,
               .a = aligned_alloc(64, bytes),
               .b = aligned_alloc(64, bytes),
               .c = aligned_alloc(64, bytes)};
    if (!job.a || !job.b || !job.c)
        abort();
    memset(job.a, 0, bytes); /* finite as any type */
    memset(job.b, 0, bytes);
    memset(job.c, 0, bytes);
    print_gemm(job, "gemm_f32", &kernels->gemm_f32, f32_peak(&kernels->gemm_f32), "GFLOPS");
    print_gemm(job, "gemm_bf16", &kernels->gemm_bf16, bf16_peak(&kernels->gemm_bf16), "GFLOPS");
    print_gemm(job, "gemm_bf16x2", &kernels->gemm_bf16x2, bf16x2_peak(&kernels->gemm_bf16x2),
               "GFLOPS");
    print_gemm(job, "gemm_s8", &kernels->gemm_s8, s8_peak(&kernels->gemm_s8), "GOPS  ");
    if (kernels->gemm_u8.tile)
        print_gemm(job, "gemm_u8", &kernels->gemm_u8, s8_peak(&kernels->gemm_u8), "GOPS  ");

    const struct {
        const char* name;
        void (*call)(const Job*);
        size_t n, rows;
    } jobs[] = {{"bias", call_bias, 64, 12},
                {"bias, addend", call_bias_addend, 64, 12},
                {"bias, to bf16", call_bias_bf16, 64, 12},
                {"bias, gelu", call_gelu, 64, 12},
                {"bias, gelu_bf16", call_gelu_bf16, 64, 12},
                {"s32, bias, gelu", call_gelu_s32, 64, 12},
                {"softmax f32", call_softmax_f32, 256, 12},
                {"softmax bf16", call_softmax_bf16, 256, 12},
                {"softmax u8", call_softmax_u8, 128, 12},
                {"softmax merge", call_merge, 64, 12},
                {"layer_norm", call_layer_norm, 512, 1},
                {"quantise_f32", call_quantise_f32, 512, 1},
                {"quantise_bf16", call_quantise_bf16, 512, 1},
                {"quantise_cols", call_quantise_cols_bf16, 64, 256},
                {"f32_to_bf16", call_f32_to_bf16, 1500, 1},
                {"bf16_to_f32", call_bf16_to_f32, 1500, 1},
                {"f32_to_f16", call_f32_to_f16, 1500, 1},
                {"f16_to_f32", call_f16_to_f32, 1500, 1},
                {"f32_to_s8", call_f32_to_s8, 1500, 1},
                {"s8_to_f32", call_s8_to_f32, 1500, 1},
                {"s32_to_s8", call_s32_to_s8, 1500, 1}};
    for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
        double top;
        for (size_t j = 0; j < bytes / sizeof(float); j++) {
            /* Either half by itself is as good a bf16: denormals take time. */
            const uint32_t half = bits_of((float)(j % 1001) * 0.002f - 1) >> 16;
            ((float*)job.a)[j] = f32_of(half << 16 | half);
            ((float*)job.b)[j] = (float)(j % 997) * 0.002f - 1;
            ((float*)job.c)[j] = 0;
        }
        job.n = jobs[i].n;
        job.rows = jobs[i].rows;
        const double time = best_time(jobs[i].call, &job, NULL, &top);
        printf("%-10s %-16s %2zu x %4zu %8.1f ns %8.3f ns/element\n", kernels->isa, jobs[i].name,
               job.rows, job.n, time * 1e9, time * 1e9 / (double)(job.n * job.rows));
    }
    free(job.a);
    free(job.b);
    free(job.c);
}
