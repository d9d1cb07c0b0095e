/* SPDX-License-Identifier: MIT
 *
 * Devices and contexts: what can be opened, what it says about itself, and what cannot.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

static npuenc_open_options options_of_device(void) {
    return (npuenc_open_options){.struct_size = sizeof(npuenc_open_options),
                                 .device_type = device_under_test()};
}

/* The device that a context says it runs on, as the list of devices has it. */
static npuenc_device_info device_of(const npuenc_ctx_info* ctx) {
    uint32_t count = 0;
    expect_ok(npuenc_device_count(&count));
    for (uint32_t i = 0; i < count; i++) {
        npuenc_device_info device = {.struct_size = sizeof device};
        expect_ok(npuenc_device_get(i, &device));
        if (device.device_type == ctx->device_type && device.index == ctx->device_index)
            return device;
    }
    fail_msg("no device of type %d has index %u", ctx->device_type, ctx->device_index);
    return (npuenc_device_info){0};
}

static npuenc_ctx_info info_of(const npuenc_ctx* ctx) {
    npuenc_ctx_info info = {.struct_size = sizeof info};
    expect_ok(npuenc_ctx_get_info(ctx, &info));
    assert_int_equal(info.struct_size, sizeof info);
    assert_int_equal(info.status, NPUENC_OK);
    assert_true(info.device_type == NPUENC_DEVICE_CPU || info.device_type == NPUENC_DEVICE_NPU);
    assert_non_null(memchr(info.device_name, 0, sizeof info.device_name));
    assert_non_null(memchr(info.isa, 0, sizeof info.isa));
    const npuenc_device_info device = device_of(&info);
    assert_string_equal(info.device_name, device.name);
    npuenc_device_info cpu = {.struct_size = sizeof cpu};
    expect_ok(npuenc_device_get(0, &cpu));
    assert_string_equal(info.isa, cpu.isa); /* of the host's part of the work */
    return info;
}

/* ---- Devices ---- */

static void devices_begin_with_the_cpu(void** state) {
    (void)state;
    uint32_t count = 0;
    expect_ok(npuenc_device_count(&count));
    assert_true(count >= 1);
    uint32_t n_of_type[3] = {0};
    for (uint32_t i = 0; i < count; i++) {
        npuenc_device_info info = {.struct_size = sizeof info};
        expect_ok(npuenc_device_get(i, &info));
        assert_int_equal(info.device_type, i == 0 ? NPUENC_DEVICE_CPU : NPUENC_DEVICE_NPU);
        assert_int_equal(info.index, n_of_type[info.device_type]++);
        assert_true(info.name[0]);
        assert_true(info.n_cores > 0);
        if (info.device_type == NPUENC_DEVICE_CPU) {
            assert_int_equal(info.status, NPUENC_OK);
            assert_int_equal(info.n_columns, 0);
            assert_true(info.memory_bytes > 0);
            assert_string_equal(info.bus_address, "");
        }
        assert_int_equal(info.status == NPUENC_OK, info.reason[0] == '\0');
        const struct {
            const char* text;
            size_t size;
        } strings[] = {
            {info.name, sizeof info.name},
            {info.isa, sizeof info.isa},
            {info.bus_address, sizeof info.bus_address},
            {info.driver, sizeof info.driver},
            {info.firmware, sizeof info.firmware},
            {info.runtime, sizeof info.runtime},
            {info.reason, sizeof info.reason},
        };
        for (size_t s = 0; s < COUNT(strings); s++)
            assert_non_null(memchr(strings[s].text, 0, strings[s].size));
    }
}

static void devices_past_the_count_are_not_found(void** state) {
    (void)state;
    uint32_t count;
    expect_ok(npuenc_device_count(&count));
    npuenc_device_info* info = filled(sizeof *info);
    info->struct_size = sizeof *info;
    expect(NPUENC_E_NOT_FOUND, npuenc_device_get(count, info));
    expect(NPUENC_E_NOT_FOUND, npuenc_device_get(UINT32_MAX, info));
    assert_true(is_filled(&info->device_type, sizeof *info - sizeof info->struct_size));
    free(info);
}

static void devices_need_a_place_for_the_answer(void** state) {
    (void)state;
    expect_invalid(npuenc_device_count(NULL));
    expect_invalid(npuenc_device_get(0, NULL));
}

/* What npuenc_device_get says of a device is what npuenc_open makes of it. */
static void device_status_is_that_of_open(void** state) {
    (void)state;
    uint32_t count;
    expect_ok(npuenc_device_count(&count));
    for (uint32_t i = 0; i < count; i++) {
        npuenc_device_info info = {.struct_size = sizeof info};
        expect_ok(npuenc_device_get(i, &info));
        npuenc_open_options options = {.struct_size = sizeof options,
                                       .device_type = info.device_type,
                                       .device_index = info.index};
        npuenc_ctx* ctx;
        expect(info.status, npuenc_open(&options, &ctx));
        npuenc_close(ctx);
    }
}

/* ---- Opening ---- */

static void defaults_open_something(void** state) {
    (void)state;
    npuenc_device_info cpu = {.struct_size = sizeof cpu};
    expect_ok(npuenc_device_get(0, &cpu));
    npuenc_open_options zeroed = {.struct_size = sizeof zeroed};
    const npuenc_open_options* const defaults[] = {NULL, &zeroed};
    for (size_t i = 0; i < COUNT(defaults); i++) {
        npuenc_ctx* ctx = NULL;
        expect_ok(npuenc_open(defaults[i], &ctx));
        const npuenc_ctx_info info = info_of(ctx);
        assert_int_equal(info.n_threads, cpu.n_cores);
        assert_int_equal(info.fell_back, info.device_type == NPUENC_DEVICE_CPU);
        if (info.fell_back)
            assert_true(npuenc_ctx_reason(ctx, NULL, 0) > 0);
        npuenc_close(ctx);
    }
}

static void devices_open_with_any_number_of_threads(void** state) {
    (void)state;
    const uint32_t counts[] = {1, 2, 3, 16, 64};
    for (size_t i = 0; i < COUNT(counts); i++) {
        npuenc_ctx* ctx = open_device(counts[i]);
        const npuenc_ctx_info info = info_of(ctx);
        assert_int_equal(info.device_type, device_under_test());
        assert_int_equal(info.device_index, 0);
        assert_int_equal(info.n_threads, counts[i]);
        assert_int_equal(info.fell_back, 0);
        npuenc_close(ctx);
    }
}

static void expect_open_fails(int32_t status, npuenc_open_options options) {
    npuenc_ctx* ctx = (npuenc_ctx*)&ctx;
    expect(status, npuenc_open(&options, &ctx));
    assert_null(ctx);
}

static void wrong_options_are_refused(void** state) {
    (void)state;
    expect_invalid(npuenc_open(NULL, NULL));

    const int32_t types[] = {-1, 3, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < COUNT(types); i++) {
        npuenc_open_options options = options_of_device();
        options.device_type = types[i];
        expect_open_fails(NPUENC_E_INVALID, options);
    }
    const int32_t levels[] = {NPUENC_LOG_OFF - 1, NPUENC_LOG_DEBUG + 1, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < COUNT(levels); i++) {
        npuenc_open_options options = options_of_device();
        options.log_level = levels[i];
        expect_open_fails(NPUENC_E_INVALID, options);
    }
    const uint32_t threads[] = {1025, UINT32_MAX};
    for (size_t i = 0; i < COUNT(threads); i++) {
        npuenc_open_options options = options_of_device();
        options.n_threads = threads[i];
        expect_open_fails(NPUENC_E_INVALID, options);
    }
    npuenc_open_options options = options_of_device();
    options.reserved = 1;
    expect_open_fails(NPUENC_E_INVALID, options);
    options = options_of_device();
    options.device_type = NPUENC_DEVICE_AUTO;
    options.device_index = 1;
    expect_open_fails(NPUENC_E_INVALID, options);
}

static void absent_devices_are_not_found(void** state) {
    (void)state;
    npuenc_open_options options = options_of_device();
    options.device_index = 1;
    expect_open_fails(NPUENC_E_NOT_FOUND, options);
    options.device_index = UINT32_MAX;
    expect_open_fails(NPUENC_E_NOT_FOUND, options);

    uint32_t count;
    expect_ok(npuenc_device_count(&count));
    options.device_type = NPUENC_DEVICE_NPU;
    options.device_index = count - 1; /* of NPUs */
    expect_open_fails(NPUENC_E_NOT_FOUND, options);
}

static void closing_null_does_nothing(void** state) {
    (void)state;
    npuenc_close(NULL);
}

static void a_context_must_be_given(void** state) {
    (void)state;
    npuenc_ctx* ctx = open_device(1);
    npuenc_ctx_info info = {.struct_size = sizeof info};
    npuenc_stats stats = {.struct_size = sizeof stats};
    expect_invalid(npuenc_ctx_get_info(NULL, &info));
    expect_invalid(npuenc_ctx_get_info(ctx, NULL));
    expect_invalid(npuenc_ctx_stats(NULL, &stats));
    expect_invalid(npuenc_ctx_stats(ctx, NULL));
    assert_int_equal(info.device_type, 0);
    assert_int_equal(stats.n_calls, 0);
    npuenc_close(ctx);
}

static void the_reason_is_cut_to_the_buffer(void** state) {
    (void)state;
    npuenc_ctx* ctx;
    expect_ok(npuenc_open(NULL, &ctx));
    const size_t length = npuenc_ctx_reason(ctx, NULL, 0);
    char* whole = malloc(length + 1);
    assert_int_equal(npuenc_ctx_reason(ctx, whole, length + 1), length);
    assert_int_equal(strlen(whole), length);
    for (size_t cap = 0; cap <= length + 1; cap++) {
        char* buf = filled(cap + 1);
        assert_int_equal(npuenc_ctx_reason(ctx, buf, cap), length);
        assert_true(is_filled(buf + cap, 1));
        if (cap > 0) {
            const size_t kept = length < cap - 1 ? length : cap - 1;
            assert_memory_equal(buf, whole, kept);
            assert_int_equal(buf[kept], '\0');
        }
        free(buf);
    }
    char buf[4] = "abc";
    assert_int_equal(npuenc_ctx_reason(NULL, buf, sizeof buf), 0);
    assert_string_equal(buf, "");
    assert_int_equal(npuenc_ctx_reason(NULL, NULL, 0), 0);
    free(whole);
    npuenc_close(ctx);
}

/* ---- Statistics ---- */

static void stats_are_sums_of_calls(void** state) {
    (void)state;
    npuenc_ctx *ctx = open_device(2), *other = open_device(1);
    npuenc_stats stats = {.struct_size = sizeof stats};
    expect_ok(npuenc_ctx_stats(ctx, &stats));
    assert_int_equal(stats.n_calls, 0);
    assert_int_equal(stats.wall_ns, 0);
    assert_int_equal(stats.macs, 0);

    const uint16_t a[6] = {1, 2, 3, 4, 5, 6}, b[12] = {1};
    float c[8];
    npuenc_matmul_desc desc = {.struct_size = sizeof desc, .m = 2, .n = 4, .k = 3};
    desc.a_type = desc.b_type = NPUENC_BF16;
    desc.c_type = NPUENC_F32;
    for (uint64_t i = 1; i <= 3; i++) {
        expect_ok(npuenc_matmul(ctx, &desc, a, sizeof a, b, sizeof b, c, sizeof c, NULL));
        const uint64_t wall_ns = stats.wall_ns;
        expect_ok(npuenc_ctx_stats(ctx, &stats));
        assert_int_equal(stats.n_calls, i);
        assert_int_equal(stats.macs, i * 2 * 4 * 3);
        assert_true(stats.wall_ns > wall_ns);
        check_transfers(&stats);
        if (device_under_test() == NPUENC_DEVICE_NPU) { /* a product is one, whatever its size */
            assert_int_equal(stats.n_submissions, i);
            assert_int_equal(stats.n_syncs, 2 * i);
        }
    }
    expect_ok(npuenc_ctx_stats(other, &stats));
    assert_int_equal(stats.n_calls, 0);
    npuenc_close(ctx);
    npuenc_close(other);
}

/* ---- The log ---- */

typedef struct log_record {
    int32_t most; /* the level that was asked for */
    pthread_t thread;
    unsigned n, n_wrong;
} log_record;

static void record_message(void* user, int32_t level, const char* message) {
    log_record* record = user;
    record->n++;
    if (level < NPUENC_LOG_ERROR || level > record->most || !message || !*message ||
        strchr(message, '\n') || !pthread_equal(record->thread, pthread_self()))
        record->n_wrong++;
}

static void messages_keep_to_level_and_thread(void** state) {
    (void)state;
    unsigned n_before = 0;
    for (int32_t level = NPUENC_LOG_OFF; level <= NPUENC_LOG_DEBUG; level++) {
        log_record record = {.most = level == NPUENC_LOG_DEFAULT ? NPUENC_LOG_WARN : level,
                             .thread = pthread_self()};
        npuenc_open_options options = {.struct_size = sizeof options,
                                       .log_level = level,
                                       .n_threads = 2,
                                       .log_fn = record_message,
                                       .log_user = &record};
        npuenc_ctx* ctx;
        npuenc_model* model;
        expect_ok(npuenc_open(&options, &ctx));
        expect(NPUENC_E_BAD_MODEL, npuenc_model_load_memory(ctx, "nonsense", 8, NULL, &model));
        npuenc_close(ctx);
        assert_int_equal(record.n_wrong, 0);
        if (level == NPUENC_LOG_OFF)
            assert_int_equal(record.n, 0);
        if (level > NPUENC_LOG_ERROR)
            assert_true(record.n >= n_before);
        if (level != NPUENC_LOG_DEFAULT)
            n_before = record.n;
    }
    assert_true(n_before > 0); /* that DEBUG delivers something is what makes this a test */
}

/* ---- NPUENC_ISA ---- */

static npuenc_open_options cpu_options(void) {
    npuenc_open_options options = options_of_device();
    options.device_type = NPUENC_DEVICE_CPU;
    return options;
}

static bool cpu_has(const char* isa) {
#if defined(__x86_64__)
    if (strcmp(isa, "avx2") == 0)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (strcmp(isa, "avx512") == 0)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
    return strcmp(isa, "reference") == 0;
}

static void isa_is_what_the_variable_says(void** state) {
    (void)state;
    const char* const isas[] = {"reference", "avx2", "avx512"};
    for (size_t i = 0; i < COUNT(isas); i++) {
        setenv("NPUENC_ISA", isas[i], 1);
        npuenc_device_info device = {.struct_size = sizeof device};
        expect_ok(npuenc_device_get(0, &device));
        if (cpu_has(isas[i])) {
            npuenc_ctx* ctx = open_cpu(1);
            assert_string_equal(info_of(ctx).isa, isas[i]);
            npuenc_close(ctx);
            assert_string_equal(device.isa, isas[i]);
            assert_int_equal(device.status, NPUENC_OK);
        } else {
            print_message("this CPU lacks %s\n", isas[i]);
#if defined(__x86_64__)
            expect_open_fails(NPUENC_E_UNSUPPORTED, cpu_options());
            char detail[512];
            npuenc_last_error(detail, sizeof detail);
            assert_non_null(strstr(detail, isas[i]));
            assert_int_equal(device.status, NPUENC_E_UNSUPPORTED);
            assert_true(device.reason[0]);
#endif
        }
        unsetenv("NPUENC_ISA");
    }
}

static void unknown_isas_are_refused(void** state) {
    (void)state;
    const char* const isas[] = {"potato", "AVX2", "avx2 ", "avx", "reference,avx2"};
    for (size_t i = 0; i < COUNT(isas); i++) {
        setenv("NPUENC_ISA", isas[i], 1);
        expect_open_fails(NPUENC_E_INVALID, cpu_options());
        char detail[512];
        npuenc_last_error(detail, sizeof detail);
        assert_non_null(strstr(detail, isas[i]));
        npuenc_device_info device = {.struct_size = sizeof device};
        expect_ok(npuenc_device_get(0, &device));
        assert_int_equal(device.status, NPUENC_E_INVALID);
        unsetenv("NPUENC_ISA");
    }
    npuenc_close(open_cpu(1));
}

int main(void) {
    unsetenv("NPUENC_ISA");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_begin_with_the_cpu),
        cmocka_unit_test(devices_past_the_count_are_not_found),
        cmocka_unit_test(devices_need_a_place_for_the_answer),
        cmocka_unit_test(device_status_is_that_of_open),
        cmocka_unit_test(defaults_open_something),
        cmocka_unit_test(devices_open_with_any_number_of_threads),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(absent_devices_are_not_found),
        cmocka_unit_test(closing_null_does_nothing),
        cmocka_unit_test(a_context_must_be_given),
        cmocka_unit_test(the_reason_is_cut_to_the_buffer),
        cmocka_unit_test(stats_are_sums_of_calls),
        cmocka_unit_test(messages_keep_to_level_and_thread),
        cmocka_unit_test(isa_is_what_the_variable_says),
        cmocka_unit_test(unknown_isas_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
