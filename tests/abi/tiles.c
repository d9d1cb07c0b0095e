/* SPDX-License-Identifier: MIT
 *
 * AMX: when the library asks Linux for tiles, that it does without where they are refused, and that
 * none are in use once a call has returned. What Linux has given stays given: each test has a
 * process of its own.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#if defined(__x86_64__) && defined(__linux__)

enum { tile_data = 18 }; /* the bit of XTILEDATA, beside that of XTILECFG */

static bool may_use_tiles(void) {
    const long arch_get_xcomp_perm = 0x1022;
    uint64_t given = 0;
    return syscall(SYS_arch_prctl, arch_get_xcomp_perm, &given) == 0 && given >> tile_data & 1;
}

/* XGETBV of 1: what is not in its initial state. */
static bool uses_tiles(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
    return (low >> (tile_data - 1) & 3) != 0;
}

/* What a context is opened with, or "" where it is refused. */
static const char* isa_of_context(const char* forced) {
    static npuenc_ctx_info info = {.struct_size = sizeof info};
    const npuenc_open_options cpu = {
        .struct_size = sizeof cpu, .device_type = NPUENC_DEVICE_CPU, .n_threads = 1};
    npuenc_ctx* ctx;
    if (forced)
        setenv("NPUENC_ISA", forced, 1);
    else
        unsetenv("NPUENC_ISA");
    if (npuenc_open(&cpu, &ctx) != NPUENC_OK || npuenc_ctx_get_info(ctx, &info) != NPUENC_OK)
        return "";
    npuenc_close(ctx);
    return info.isa;
}

static bool has_tiles(void) {
    return strcmp(isa_of_context("amx"), "amx") == 0;
}

static bool opening_asks(void) {
    return strcmp(isa_of_context(NULL), "amx") == 0 && may_use_tiles();
}

static bool lower_levels_do_not_ask(void) {
    npuenc_device_info device = {.struct_size = sizeof device};
    return strcmp(isa_of_context("avx512bf16"), "avx512bf16") == 0 &&
           npuenc_device_get(0, &device) == NPUENC_OK && !may_use_tiles();
}

/* Linux refuses where a signal stack has no room for tiles. */
static bool does_without_where_refused(void) {
    static char memory[5000];
    const stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};
    return sigaltstack(&stack, NULL) == 0 && strcmp(isa_of_context(NULL), "avx512bf16") == 0 &&
           strcmp(isa_of_context("amx"), "") == 0 && !may_use_tiles();
}

static bool calls_leave_no_tiles(void) {
    static uint16_t a[40 * 72], b[40 * 72], out[40 * 72];
    static float c[40 * 40];
    npuenc_matmul_desc matmul = {.struct_size = sizeof matmul,
                                 .a_type = NPUENC_S8,
                                 .b_type = NPUENC_S8,
                                 .c_type = NPUENC_S32,
                                 .m = 40,
                                 .n = 40,
                                 .k = 72};
    const npuenc_attention_desc attention = {.struct_size = sizeof attention,
                                             .type = NPUENC_BF16,
                                             .n_head = 1,
                                             .head_dim = 72,
                                             .q_len = 40,
                                             .kv_len = 40};
    npuenc_ctx* ctx;
    if (npuenc_open(NULL, &ctx) != NPUENC_OK)
        return false;
    bool good = npuenc_matmul(ctx, &matmul, a, 40 * 72, b, 40 * 72, c, sizeof c, NULL) == NPUENC_OK;
    good = good && !uses_tiles();
    matmul.a_type = matmul.b_type = NPUENC_BF16;
    matmul.c_type = NPUENC_F32;
    good = good &&
           npuenc_matmul(ctx, &matmul, a, sizeof a, b, sizeof b, c, sizeof c, NULL) == NPUENC_OK;
    good = good && !uses_tiles();
    good = good && npuenc_attention(ctx, &attention, a, sizeof a, a, sizeof a, b, sizeof b, NULL, 0,
                                    out, sizeof out, NULL) == NPUENC_OK;
    good = good && !uses_tiles();
    npuenc_close(ctx);
    return good;
}

/* In a child, as this process must not be given tiles. */
static bool holds(bool (*what)(void)) {
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(what() ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#define TEST(name)                                                                                 \
    static void test_##name(void** state) {                                                        \
        (void)state;                                                                               \
        if (!holds(has_tiles))                                                                     \
            skip();                                                                                \
        assert_true(holds(name));                                                                  \
    }
TEST(opening_asks)
TEST(lower_levels_do_not_ask)
TEST(does_without_where_refused)
TEST(calls_leave_no_tiles)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opening_asks),
        cmocka_unit_test(test_lower_levels_do_not_ask),
        cmocka_unit_test(test_does_without_where_refused),
        cmocka_unit_test(test_calls_leave_no_tiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void) {
    return 77;
}

#endif
