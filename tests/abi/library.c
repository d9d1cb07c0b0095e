/* SPDX-License-Identifier: MIT
 *
 * Version, statuses, error details, and that npuenc keeps silent.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support.h"

static void version_is_the_header_s(void** state) {
    (void)state;
    assert_int_equal(npuenc_version(),
                     NPUENC_VERSION_MAJOR << 16 | NPUENC_VERSION_MINOR << 8 | NPUENC_VERSION_PATCH);
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", NPUENC_VERSION_MAJOR, NPUENC_VERSION_MINOR,
             NPUENC_VERSION_PATCH);
    assert_string_equal(npuenc_version_string(), text);
    assert_ptr_equal(npuenc_version_string(), npuenc_version_string());
}

static void every_status_has_its_own_text(void** state) {
    (void)state;
    for (int32_t a = NPUENC_OK; a >= NPUENC_E_CTX_LOST; a--) {
        const char* text = npuenc_status_string(a);
        assert_non_null(text);
        assert_ptr_equal(text, npuenc_status_string(a));
        assert_true(strlen(text) > 0);
        assert_string_not_equal(text, npuenc_status_string(1));
        for (int32_t b = NPUENC_OK; b > a; b--)
            assert_string_not_equal(text, npuenc_status_string(b));
    }
    assert_string_equal(npuenc_status_string(NPUENC_E_BUFFER), "a buffer is too small");
}

static void unknown_statuses_have_a_text(void** state) {
    (void)state;
    const int32_t unknown[] = {1, 1000, NPUENC_E_CTX_LOST - 1, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < COUNT(unknown); i++) {
        assert_non_null(npuenc_status_string(unknown[i]));
        assert_true(strlen(npuenc_status_string(unknown[i])) > 0);
    }
}

static void* detail_of_a_fresh_thread(void* out) {
    char buf[8] = "xxxxxxx";
    size_t* lengths = out;
    lengths[0] = npuenc_last_error(buf, sizeof buf);
    lengths[1] = buf[0] == '\0' ? 0 : 1;
    lengths[2] = npuenc_last_error(NULL, 0);
    npuenc_device_count(NULL);
    lengths[3] = npuenc_last_error(NULL, 0);
    return NULL;
}

static void details_belong_to_a_thread(void** state) {
    (void)state;
    npuenc_mel_desc desc = {.struct_size = 1};
    size_t bytes;
    expect_invalid(npuenc_mel_size(&desc, &bytes));
    char before[600], after[600];
    const size_t length = npuenc_last_error(before, sizeof before);
    assert_true(length > 0);

    size_t lengths[4] = {9, 9, 9, 9};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, detail_of_a_fresh_thread, lengths), 0);
    pthread_join(thread, NULL);
    assert_int_equal(lengths[0], 0);
    assert_int_equal(lengths[1], 0);
    assert_int_equal(lengths[2], 0);
    assert_true(lengths[3] > 0);

    assert_int_equal(npuenc_last_error(after, sizeof after), length);
    assert_string_equal(before, after);
}

static void details_are_cut_to_the_buffer(void** state) {
    (void)state;
    expect_invalid(npuenc_device_count(NULL));
    char whole[600];
    const size_t length = npuenc_last_error(whole, sizeof whole);
    assert_int_equal(strlen(whole), length);
    assert_true(length > 8);

    assert_int_equal(npuenc_last_error(NULL, 0), length);
    for (size_t cap = 0; cap <= length + 2; cap++) {
        char* buf = filled(cap + 1); /* a byte more than npuenc is told */
        assert_int_equal(npuenc_last_error(buf, cap), length);
        assert_true(is_filled(buf + cap, 1));
        if (cap > 0) {
            const size_t kept = length < cap - 1 ? length : cap - 1;
            assert_memory_equal(buf, whole, kept);
            assert_int_equal(buf[kept], '\0');
        }
        free(buf);
    }
}

static void success_leaves_the_detail(void** state) {
    (void)state;
    expect_invalid(npuenc_device_count(NULL));
    char before[600], after[600];
    npuenc_last_error(before, sizeof before);
    uint32_t count;
    expect_ok(npuenc_device_count(&count));
    npuenc_last_error(after, sizeof after);
    assert_string_equal(before, after);
}

static void a_new_failure_replaces_the_detail(void** state) {
    (void)state;
    expect_invalid(npuenc_device_count(NULL));
    char before[600], after[600];
    npuenc_last_error(before, sizeof before);
    expect_invalid(npuenc_open(NULL, NULL));
    npuenc_last_error(after, sizeof after);
    assert_string_not_equal(before, after);
}

/* A path that no detail can hold whole, and that would break a line. */
static void details_stay_one_line(void** state) {
    (void)state;
    npuenc_ctx* ctx = open_device(1);
    char path[3000];
    memset(path, 'x', sizeof path);
    path[0] = '/', path[20] = '\n', path[sizeof path - 1] = '\0';
    npuenc_model* model;
    const int32_t status = npuenc_model_load(ctx, path, NULL, &model);
    assert_true(status == NPUENC_E_NOT_FOUND || status == NPUENC_E_IO); /* ENAMETOOLONG */
    expect(status, npuenc_model_load(ctx, path, NULL, &model));
    strcpy(path, "/no\nsuch\nfile");
    expect(NPUENC_E_NOT_FOUND, npuenc_model_load(ctx, path, NULL, &model));
    npuenc_close(ctx);
}

/* ---- Silence ---- */

static void nothing_is_printed(void** state) {
    (void)state;
    fflush(NULL);
    const int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
    const int file = memfd_create("output", 0);
    assert_true(out >= 0 && err >= 0 && file >= 0);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);

    uint32_t count = 0;
    npuenc_device_count(&count);
    npuenc_device_count(NULL);
    npuenc_open_options options = {.struct_size = sizeof options,
                                   .device_type = NPUENC_DEVICE_NPU,
                                   .log_level = NPUENC_LOG_DEBUG};
    npuenc_ctx* ctx;
    npuenc_open(&options, &ctx);
    npuenc_close(ctx);
    options.device_type = NPUENC_DEVICE_CPU;
    const int32_t status = npuenc_open(&options, &ctx);
    npuenc_model* model;
    npuenc_model_load(ctx, "/no/such/file", NULL, &model);
    npuenc_model_load_memory(ctx, "nonsense", 8, NULL, &model);
    npuenc_close(ctx);

    fflush(NULL);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    const off_t printed = lseek(file, 0, SEEK_END);
    close(out), close(err), close(file);
    assert_int_equal(status, NPUENC_OK);
    assert_int_equal(printed, 0);
}

static void signals_are_left_alone(void** state) {
    (void)state;
    struct sigaction before[65], after;
    memset(before, 0, sizeof before);
    for (int i = 1; i < 65; i++)
        sigaction(i, NULL, &before[i]);
    sigset_t mask_before, mask_after;
    pthread_sigmask(SIG_SETMASK, NULL, &mask_before);

    npuenc_ctx* ctx = open_device(3);
    for (int i = 1; i < 65; i++)
        if (sigaction(i, NULL, &after) == 0)
            assert_ptr_equal((void*)(uintptr_t)after.sa_handler,
                             (void*)(uintptr_t)before[i].sa_handler);
    pthread_sigmask(SIG_SETMASK, NULL, &mask_after);
    for (int i = 1; i < 65; i++)
        assert_int_equal(sigismember(&mask_before, i), sigismember(&mask_after, i));
    npuenc_close(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_are_left_alone), /* first: nothing is changed yet */
        cmocka_unit_test(version_is_the_header_s),
        cmocka_unit_test(every_status_has_its_own_text),
        cmocka_unit_test(unknown_statuses_have_a_text),
        cmocka_unit_test(details_belong_to_a_thread),
        cmocka_unit_test(details_are_cut_to_the_buffer),
        cmocka_unit_test(success_leaves_the_detail),
        cmocka_unit_test(a_new_failure_replaces_the_detail),
        cmocka_unit_test(details_stay_one_line),
        cmocka_unit_test(nothing_is_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
