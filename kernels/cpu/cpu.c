/* SPDX-License-Identifier: MIT
 *
 * Which instruction sets this CPU has, and the table of kernels for them.
 */
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "kernels/cpu/isa.h"

static int has_reference(void) {
    return 1;
}

static void init_reference(npuenc_kernels* kernels) {
    npuenc_gemm_f32_init_reference(&kernels->gemm_f32);
    npuenc_gemm_bf16_init_reference(&kernels->gemm_bf16);
    npuenc_gemm_s8_init_reference(&kernels->gemm_s8);
    npuenc_rows_f32_init_reference(&kernels->rows_f32);
    npuenc_convert_init_reference(&kernels->convert);
}

#if defined(__x86_64__)
/* Whether CPUID has all of `ecx1` (leaf 1) and `ebx7` (leaf 7), and the operating system saves all
 * of `state` (XCR0). Bit positions are those of Intel's manual, volume 2, CPUID and XGETBV. */
static int has(uint32_t ecx1, uint32_t ebx7, uint32_t state) {
    const uint32_t osxsave = 1u << 27;
    uint32_t eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || (ecx & (ecx1 | osxsave)) != (ecx1 | osxsave))
        return 0;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || (ebx & ebx7) != ebx7)
        return 0;
    __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    return (eax & state) == state;
}

enum {
    ecx1_fma = 1 << 12,
    ecx1_avx = 1 << 28,
    ecx1_f16c = 1 << 29,
    ecx1_avx2_level = ecx1_fma | ecx1_avx | ecx1_f16c,
    ebx7_avx2 = 1 << 5,
    state_ymm = 3 << 1,
    state_zmm = state_ymm | 7 << 5
};

static int has_avx2(void) {
    return has(ecx1_avx2_level, ebx7_avx2, state_ymm);
}

static void init_avx2(npuenc_kernels* kernels) {
    npuenc_gemm_f32_init_avx2(&kernels->gemm_f32);
    npuenc_rows_f32_init_avx2(&kernels->rows_f32);
    npuenc_convert_init_avx2(&kernels->convert);
}

static int has_avx512(void) {
    const uint32_t f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
    return has(ecx1_avx2_level, ebx7_avx2 | f | dq | bw | vl, state_zmm);
}

static void init_avx512(npuenc_kernels* kernels) {
    npuenc_gemm_f32_init_avx512(&kernels->gemm_f32);
    npuenc_rows_f32_init_avx512(&kernels->rows_f32);
    npuenc_convert_init_avx512(&kernels->convert);
}
#endif

/* Lowest first; having one implies having those before it. */
static const struct {
    int (*has)(void);
    void (*init)(npuenc_kernels* kernels);
} levels[] = {
    {has_reference, init_reference},
#if defined(__x86_64__)
    {has_avx2, init_avx2},
    {has_avx512, init_avx512},
#endif
};
enum { level_count = sizeof levels / sizeof levels[0] };

static const char* const names[level_count + 1] = {
    "reference",
#if defined(__x86_64__)
    "avx2",
    "avx512",
#endif
};

int npuenc_kernels_init(npuenc_kernels* kernels, const char* isa) {
    size_t highest = 0;
    if (isa) {
        while (names[highest] && strcmp(names[highest], isa) != 0)
            highest++;
        if (!names[highest])
            return NPUENC_KERNELS_UNKNOWN_ISA;
        if (!levels[highest].has())
            return NPUENC_KERNELS_LACKING_ISA;
    } else {
        while (highest + 1 < level_count && levels[highest + 1].has())
            highest++;
    }
    for (size_t level = 0; level <= highest; level++)
        levels[level].init(kernels);
    kernels->isa = names[highest];
    return NPUENC_KERNELS_OK;
}

const char* const* npuenc_kernels_isas(void) {
    return names;
}
