/* SPDX-License-Identifier: MIT
 *
 * Every allocation fails once: each call must say so with E_NOMEM, leave nothing half-made, and
 * work when it is repeated.
 */
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "allocator.h"
#include "support.h"
#include "whisper.h"

/* ---- The calls ---- */

static whisper* small;
static char path[] = "/tmp/npuenc-nomem-XXXXXX";
static npuenc_ctx* ctx;
static npuenc_model* model;
static npuenc_weight* weight;
static npuenc_run* run;
static float numbers[3200], results[12800];

static int32_t open_and_close(void) {
    npuenc_ctx* opened = (npuenc_ctx*)&opened;
    const npuenc_open_options options = {.struct_size = sizeof options, .n_threads = 3};
    const int32_t status = npuenc_open(&options, &opened);
    assert_int_equal(status == NPUENC_OK, opened != NULL);
    npuenc_close(opened);
    return status;
}

static int32_t load_memory(void) {
    npuenc_model* loaded = (npuenc_model*)&loaded;
    const int32_t status =
        npuenc_model_load_memory(ctx, small->file, small->file_bytes, NULL, &loaded);
    assert_int_equal(status == NPUENC_OK, loaded != NULL);
    npuenc_model_free(loaded);
    return status;
}

static int32_t load_file(void) {
    npuenc_model* loaded = (npuenc_model*)&loaded;
    const int32_t status = npuenc_model_load(ctx, path, NULL, &loaded);
    assert_int_equal(status == NPUENC_OK, loaded != NULL);
    npuenc_model_free(loaded);
    return status;
}

static int32_t create_weight(void) {
    npuenc_weight* created = (npuenc_weight*)&created;
    const npuenc_weight_desc desc = {.struct_size = sizeof desc,
                                     .type = NPUENC_F32,
                                     .precision = NPUENC_PRECISION_INT8,
                                     .n_out = 20,
                                     .n_in = 30};
    const int32_t status = npuenc_weight_create(ctx, &desc, numbers, sizeof numbers, NULL, 0,
                                                numbers, sizeof numbers, &created);
    assert_int_equal(status == NPUENC_OK, created != NULL);
    npuenc_weight_free(created);
    return status;
}

static int32_t create_run(void) {
    npuenc_run* created = (npuenc_run*)&created;
    const int32_t status = npuenc_run_create(ctx, &created);
    assert_int_equal(status == NPUENC_OK, created != NULL);
    npuenc_run_free(created);
    return status;
}

static int32_t matmul(void) {
    const npuenc_matmul_desc desc = {.struct_size = sizeof desc,
                                     .a_type = NPUENC_F32,
                                     .b_type = NPUENC_F32,
                                     .c_type = NPUENC_F32,
                                     .m = 20,
                                     .n = 20,
                                     .k = 20};
    return npuenc_matmul(ctx, &desc, numbers, sizeof numbers, numbers, sizeof numbers, results,
                         sizeof results, run);
}

static int32_t linear(void) {
    const npuenc_linear_desc desc = {
        .struct_size = sizeof desc, .x_type = NPUENC_F32, .y_type = NPUENC_F16, .rows = 9};
    return npuenc_linear(weight, &desc, numbers, sizeof numbers, results, sizeof results, run);
}

static int32_t attention(void) {
    const npuenc_attention_desc desc = {.struct_size = sizeof desc,
                                        .type = NPUENC_S8,
                                        .n_head = 2,
                                        .head_dim = 8,
                                        .q_len = 20,
                                        .kv_len = 20};
    return npuenc_attention(ctx, &desc, numbers, sizeof numbers, numbers, sizeof numbers, numbers,
                            sizeof numbers, NULL, 0, results, sizeof results, run);
}

static int32_t mel(void) {
    const npuenc_mel_desc desc = {
        .struct_size = sizeof desc, .input = NPUENC_INPUT_PCM_S16, .n_mels = 128, .n_frames = 20};
    return npuenc_mel(ctx, &desc, numbers, 6400, results, sizeof results, run);
}

static int32_t encode(void) {
    const npuenc_encode_desc desc = {
        .struct_size = sizeof desc, .batch = 2, .output_type = NPUENC_BF16};
    return npuenc_encode(model, &desc, numbers, sizeof numbers, NULL, 0, results, sizeof results,
                         run);
}

static int32_t encode_submit(void) {
    const npuenc_encode_desc desc = {.struct_size = sizeof desc, .batch = 2};
    const uint32_t lengths[2] = {100, 1600};
    const int32_t status = npuenc_encode_submit(model, &desc, numbers, sizeof numbers, lengths, 2,
                                                results, sizeof results, run);
    if (status != NPUENC_OK)
        return status;
    return npuenc_run_wait(run, -1);
}

/* Devices are told of even then; what can be missing is a name. */
static int32_t device_get(void) {
    uint32_t count;
    npuenc_device_info info = {.struct_size = sizeof info};
    const int32_t status = npuenc_device_count(&count);
    return status == NPUENC_OK ? npuenc_device_get(0, &info) : status;
}

/* A run with its buffers and threads in place, or one at their first use. */
typedef struct step {
    const char* name;
    int32_t (*call)(void);
} step;

static const step steps[] = {
    {"open", open_and_close},     {"device", device_get},
    {"load memory", load_memory}, {"load file", load_file},
    {"weight", create_weight},    {"run", create_run},
    {"matmul", matmul},           {"linear", linear},
    {"attention", attention},     {"mel", mel},
    {"encode", encode},           {"submit", encode_submit},
};

static void unmake(void) {
    npuenc_run_free(run);
    npuenc_weight_free(weight);
    npuenc_model_free(model);
    npuenc_close(ctx);
}

static void make(void) {
    ctx = open_cpu(3);
    const npuenc_weight_desc desc = {
        .struct_size = sizeof desc, .type = NPUENC_F32, .n_out = 20, .n_in = 30};
    expect_ok(npuenc_weight_create(ctx, &desc, numbers, sizeof numbers, NULL, 0, NULL, 0, &weight));
    expect_ok(npuenc_model_load_memory(ctx, small->file, small->file_bytes, NULL, &model));
    expect_ok(npuenc_run_create(ctx, &run));
}

static void check_step(const step* s, bool all) {
    for (long n = 0;; n++) {
        make();
        fail_allocation(n, all);
        const int32_t status = s->call();
        const bool has_failed = stop_failing();
        if (status != NPUENC_OK && status != NPUENC_E_NOMEM) {
            char detail[500];
            npuenc_last_error(detail, sizeof detail);
            fail_msg("%s, allocation %ld: status %d, %s", s->name, n, status, detail);
        }
        if (!has_failed)
            assert_int_equal(status, NPUENC_OK);
        expect_ok(s->call()); /* nothing is broken */
        unmake();
        if (!has_failed) {
            print_message("%s: %ld allocations\n", s->name, n);
            return;
        }
        assert_true(n < 3000);
    }
}

static void each_allocation_fails_alone(void** state) {
    (void)state;
    for (size_t i = 0; i < COUNT(steps); i++)
        check_step(&steps[i], false);
}

static void all_allocations_fail_from_one_on(void** state) {
    (void)state;
    for (size_t i = 0; i < COUNT(steps); i++)
        check_step(&steps[i], true);
}

/* 1023 threads have stacks of 8 MB, usually: here is not room for them. */
static void threads_that_cannot_be_had(void** state) {
    (void)state;
    const pid_t child = fork();
    if (child == 0) {
        alarm(60);
        const struct rlimit limit = {512 << 20, 512 << 20};
        setrlimit(RLIMIT_AS, &limit);
        const npuenc_open_options options = {
            .struct_size = sizeof options, .device_type = NPUENC_DEVICE_CPU, .n_threads = 1024};
        npuenc_ctx* opened = (npuenc_ctx*)&opened;
        const bool right = npuenc_open(&options, &opened) == NPUENC_E_NOMEM && opened == NULL &&
                           npuenc_last_error(NULL, 0) > 0;
        _exit(right ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int set_up(void** state) {
    (void)state;
    small = whisper_create((whisper_shape){80, 20, 64, 1, 1}, 1);
    const int file = mkstemp(path);
    return write(file, small->file, small->file_bytes) < 0 || close(file);
}

static int tear_down(void** state) {
    (void)state;
    whisper_free(small);
    return unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_fails_alone),
        cmocka_unit_test(all_allocations_fail_from_one_on),
        cmocka_unit_test(threads_that_cannot_be_had),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
