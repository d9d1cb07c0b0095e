/* SPDX-License-Identifier: MIT
 *
 * Which device is opened where there is an NPU, sound or not, and how long that takes.
 */
#include <stdlib.h>
#include <string.h>

#include "handles.h"

static npuenc_ctx_info info_of(const npuenc_ctx* ctx) {
    npuenc_ctx_info info = {.struct_size = sizeof info};
    expect_ok(npuenc_ctx_get_info(ctx, &info));
    return info;
}

static void auto_takes_a_sound_npu(void** state) {
    (void)state;
    npuenc_ctx* ctx;
    expect_ok(open_type(NPUENC_DEVICE_AUTO, &ctx));
    const npuenc_ctx_info info = info_of(ctx);
    assert_int_equal(info.device_type, NPUENC_DEVICE_NPU);
    assert_int_equal(info.fell_back, 0);
    npuenc_close(ctx);
}

/* Whatever is wrong with it: AUTO takes the CPU and says why, in the words with which the NPU
 * itself is refused. */
static void auto_falls_back_and_npu_does_not(void** state) {
    (void)state;
    static const char* const faults[] = {"open",       "memlock",   "heap",        "memory",
                                         "config",     "submit",    "error",       "removed",
                                         "wrong-data", "no-driver", "node-missing"};
    for (size_t i = 0; i < COUNT(faults); i++) {
        print_message("%s\n", faults[i]);
        npuenc_ctx* ctx = (npuenc_ctx*)&ctx;
        set_faults(faults[i]);
        const int32_t status = open_type(NPUENC_DEVICE_NPU, &ctx);
        assert_true(status < 0);
        assert_null(ctx);
        char detail[512], reason[4096];
        npuenc_last_error(detail, sizeof detail);
        expect_ok(open_type(NPUENC_DEVICE_AUTO, &ctx));
        const npuenc_ctx_info info = info_of(ctx);
        assert_int_equal(info.device_type, NPUENC_DEVICE_CPU);
        assert_int_equal(info.fell_back, 1);
        npuenc_ctx_reason(ctx, reason, sizeof reason);
        if (strcmp(faults[i], "removed") == 0) /* by now the bus has none */
            assert_true(strlen(reason) > 0);
        else if (!strstr(reason, detail))
            fail_msg("\"%s\" is not in \"%s\"", detail, reason);
        npuenc_close(ctx);
        set_faults("");
        expect_nothing_alive();
    }
}

/* Printed for who reads the log: on a system that has opened it before, 100 ms are the target. */
static void opening_takes_its_time(void** state) {
    (void)state;
    uint64_t times[6];
    for (size_t i = 0; i < COUNT(times); i++) {
        const uint64_t begin = now_ns();
        npuenc_ctx* ctx = open_device(1);
        times[i] = now_ns() - begin;
        npuenc_close(ctx);
    }
    for (size_t i = 0; i < COUNT(times); i++)
        print_message("%s open: %.1f ms\n", i == 0 ? "first" : "warm", (double)times[i] / 1e6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_takes_its_time),
        cmocka_unit_test(auto_takes_a_sound_npu),
        cmocka_unit_test(auto_falls_back_and_npu_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
