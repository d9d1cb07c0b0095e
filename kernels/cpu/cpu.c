/* SPDX-License-Identifier: MIT
 *
 * Which instruction sets this CPU has, and the table of kernels for them.
 */
#define _DEFAULT_SOURCE /* for syscall */
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "kernels/cpu/isa.h"

static int has_reference(void) {
    return 1;
}

static void init_reference(npuenc_kernels* kernels) {
    npuenc_gemm_f32_init_reference(&kernels->gemm_f32);
    npuenc_gemm_bf16_init_reference(&kernels->gemm_bf16);
    npuenc_gemm_bf16x2_init_reference(&kernels->gemm_bf16x2);
    npuenc_gemm_s8_init_reference(&kernels->gemm_s8);
    kernels->gemm_u8 = (npuenc_gemm){0};
    npuenc_finish_sums_init_reference(&kernels->finish);
    npuenc_softmax_init_reference(&kernels->softmax);
    npuenc_rows_init_reference(&kernels->rows);
    npuenc_convert_init_reference(&kernels->convert);
    npuenc_unpack_init_reference(&kernels->unpack);
}

#if defined(__x86_64__)
/* What the CPU has and the operating system saves. Bit positions are those of Intel's manual,
 * volume 2, CPUID and XGETBV. */
typedef struct Features {
    uint32_t ecx1, ebx7, ecx7, edx7, eax71; /* of CPUID leaf 1, leaf 7, and leaf 7 subleaf 1 */
    uint32_t state;                         /* XCR0 */
} Features;

static Features features(void) {
    const uint32_t osxsave = 1u << 27;
    Features has = {0};
    uint32_t eax, ebx, ecx, edx, upper;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & osxsave))
        return has;
    has.ecx1 = ecx;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
        has.ebx7 = ebx;
        has.ecx7 = ecx;
        has.edx7 = edx;
        if (eax >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx))
            has.eax71 = eax;
    }
    __asm__ volatile("xgetbv" : "=a"(has.state), "=d"(upper) : "c"(0));
    return has;
}

static int all_of(uint32_t bits, uint32_t wanted) {
    return (bits & wanted) == wanted;
}

static int has_avx2(void) {
    const uint32_t fma = 1u << 12, avx = 1u << 28, f16c = 1u << 29, avx2 = 1u << 5;
    const uint32_t ymm = 3u << 1;
    const Features has = features();
    return all_of(has.ecx1, fma | avx | f16c) && all_of(has.ebx7, avx2) && all_of(has.state, ymm);
}

static void init_avx2(npuenc_kernels* kernels) {
    npuenc_gemm_f32_init_avx2(&kernels->gemm_f32);
    npuenc_gemm_bf16_init_avx2(&kernels->gemm_bf16);
    npuenc_gemm_s8_init_avx2(&kernels->gemm_s8);
    npuenc_finish_sums_init_avx2(&kernels->finish);
    npuenc_softmax_init_avx2(&kernels->softmax);
    npuenc_rows_init_avx2(&kernels->rows);
    npuenc_convert_init_avx2(&kernels->convert);
    npuenc_unpack_init_avx2(&kernels->unpack);
}

static int has_avxvnni(void) {
    const uint32_t vnni = 1u << 4;
    return has_avx2() && all_of(features().eax71, vnni);
}

static void init_avxvnni(npuenc_kernels* kernels) {
    npuenc_gemm_s8_init_avxvnni(&kernels->gemm_s8);
    npuenc_gemm_u8_init_avxvnni(&kernels->gemm_u8);
}

static int has_avx512(void) {
    const uint32_t f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
    const uint32_t zmm = 7u << 5;
    const Features has = features();
    return has_avx2() && all_of(has.ebx7, f | dq | bw | vl) && all_of(has.state, zmm);
}

static void init_avx512(npuenc_kernels* kernels) {
    npuenc_gemm_f32_init_avx512(&kernels->gemm_f32);
    npuenc_gemm_bf16_init_avx512(&kernels->gemm_bf16);
    npuenc_finish_sums_init_avx512(&kernels->finish);
    npuenc_softmax_init_avx512(&kernels->softmax);
    npuenc_rows_init_avx512(&kernels->rows);
    npuenc_convert_init_avx512(&kernels->convert);
}

static int has_avx512vnni(void) {
    const uint32_t vnni = 1u << 11;
    return has_avx512() && all_of(features().ecx7, vnni);
}

static void init_avx512vnni(npuenc_kernels* kernels) {
    npuenc_gemm_s8_init_avx512vnni(&kernels->gemm_s8);
    npuenc_gemm_u8_init_avx512vnni(&kernels->gemm_u8);
}

/* With VBMI, which of all CPUs that have BF16 only Cooper Lake lacks. */
static int has_avx512bf16(void) {
    const uint32_t bf16 = 1u << 5, vbmi = 1u << 1;
    const Features has = features();
    return has_avx512vnni() && all_of(has.eax71, bf16) && all_of(has.ecx7, vbmi);
}

static void init_avx512bf16(npuenc_kernels* kernels) {
    npuenc_gemm_bf16_init_avx512bf16(&kernels->gemm_bf16);
    npuenc_finish_sums_init_avx512bf16(&kernels->finish);
    npuenc_softmax_init_avx512bf16(&kernels->softmax);
}

#if defined(__linux__)
/* Asks Linux for the tiles of AMX, for the whole process and for good: see the header. It refuses
 * where a thread has an alternate signal stack that their state would not fit on. */
static int may_use_tiles(void) {
    const long arch_req_xcomp_perm = 0x1023, xfeature_xtiledata = 18;
    return syscall(SYS_arch_prctl, arch_req_xcomp_perm, xfeature_xtiledata) == 0;
}
#else
static int may_use_tiles(void) {
    return 0;
}
#endif

static int has_amx(void) {
    const uint32_t bf16 = 1u << 22, tile = 1u << 24, int8 = 1u << 25;
    const uint32_t tiles = 3u << 17;
    const Features has = features();
    return has_avx512bf16() && all_of(has.edx7, bf16 | tile | int8) && all_of(has.state, tiles) &&
           may_use_tiles();
}

static void init_amx(npuenc_kernels* kernels) {
    npuenc_gemm_bf16_init_amx(&kernels->gemm_bf16);
    npuenc_gemm_bf16x2_init_amx(&kernels->gemm_bf16x2);
    npuenc_gemm_s8_init_amx(&kernels->gemm_s8);
    npuenc_gemm_u8_init_amx(&kernels->gemm_u8);
}
#endif

/* Lowest first. Each overwrites what it does better than those before it; one that the CPU lacks is
 * passed over: Zen 4 has AVX-512 with BF16, but not AVX-VNNI. */
static const struct {
    int (*has)(void);
    void (*init)(npuenc_kernels* kernels);
} levels[] = {
    {has_reference, init_reference},
#if defined(__x86_64__)
    {has_avx2, init_avx2},
    {has_avxvnni, init_avxvnni},
    {has_avx512, init_avx512},
    {has_avx512vnni, init_avx512vnni},
    {has_avx512bf16, init_avx512bf16},
    {has_amx, init_amx},
#endif
};
enum { level_count = sizeof levels / sizeof levels[0] };

static const char* const names[level_count + 1] = {
    "reference",
#if defined(__x86_64__)
    "avx2",      "avxvnni", "avx512", "avx512vnni", "avx512bf16", "amx",
#endif
};

int npuenc_kernels_init(npuenc_kernels* kernels, const char* isa) {
    size_t highest = level_count - 1;
    if (isa) {
        highest = 0;
        while (names[highest] && strcmp(names[highest], isa) != 0)
            highest++;
        if (!names[highest])
            return NPUENC_KERNELS_UNKNOWN_ISA;
        if (!levels[highest].has())
            return NPUENC_KERNELS_LACKING_ISA;
    }
    for (size_t level = 0; level <= highest; level++)
        if (levels[level].has()) {
            levels[level].init(kernels);
            kernels->isa = names[level];
        }
    return NPUENC_KERNELS_OK;
}

const char* const* npuenc_kernels_isas(void) {
    return names;
}
