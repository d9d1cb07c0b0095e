/* SPDX-License-Identifier: MIT
 *
 * In the child of a fork every handle of the parent is refused, and everything can be made anew.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"
#include "whisper.h"

/* ThreadSanitizer cannot follow threads that a child starts after a fork with threads. */
#if defined(__SANITIZE_THREAD__)
enum { children_start_threads = 0 };
#else
enum { children_start_threads = 1 };
#endif

static npuenc_ctx* ctx;
static npuenc_model* model;
static npuenc_weight* weight;
static npuenc_run* run;
static whisper* small;

static float numbers[800], results[12800];
static bool is_child;

static const npuenc_matmul_desc matmul_desc = {.struct_size = sizeof matmul_desc,
                                               .a_type = NPUENC_BF16,
                                               .b_type = NPUENC_BF16,
                                               .c_type = NPUENC_F32,
                                               .m = 8,
                                               .n = 8,
                                               .k = 8};
static const npuenc_weight_desc weight_desc = {
    .struct_size = sizeof weight_desc, .type = NPUENC_BF16, .n_out = 4, .n_in = 4};
static const npuenc_linear_desc linear_desc = {
    .struct_size = sizeof linear_desc, .x_type = NPUENC_F32, .y_type = NPUENC_F32, .rows = 1};
static const npuenc_attention_desc attention_desc = {.struct_size = sizeof attention_desc,
                                                     .type = NPUENC_BF16,
                                                     .n_head = 1,
                                                     .head_dim = 4,
                                                     .q_len = 1,
                                                     .kv_len = 1};
static const npuenc_mel_desc mel_desc = {.struct_size = sizeof mel_desc, .n_frames = 2};
static const npuenc_encode_desc encode_desc = {.struct_size = sizeof encode_desc, .n_ctx = 1};

/* In a child an assertion could only jump into the parent's copy of cmocka: the line goes out as
 * the child's exit code instead. */
#define child_expects(condition)                                                                   \
    do {                                                                                           \
        if (!(condition))                                                                          \
            leave_at(__LINE__);                                                                    \
    } while (0)

static void leave_at(int line) {
    char detail[512];
    npuenc_last_error(detail, sizeof detail);
    fprintf(stderr, "fork.c:%d: failed in the child; last detail: %s\n", line, detail);
    _exit(1);
}

static void in_child(void (*body)(void)) {
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(60);
        is_child = true;
        body();
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Calls every function that takes a handle, with arguments that are right but for the handle, and
 * expects this status of each. The encode goes to n_ctx 1, a state of 128. */
static void expect_from_all(int32_t status) {
    npuenc_ctx_info ctx_info = {.struct_size = sizeof ctx_info};
    child_expects(npuenc_ctx_get_info(ctx, &ctx_info) == status);
    npuenc_stats stats = {.struct_size = sizeof stats};
    child_expects(npuenc_ctx_stats(ctx, &stats) == status);
    child_expects(
        npuenc_matmul(ctx, &matmul_desc, numbers, 256, numbers, 256, results, 256, NULL) == status);
    npuenc_weight* created_weight = (npuenc_weight*)&stats;
    child_expects(npuenc_weight_create(ctx, &weight_desc, numbers, 64, NULL, 0, NULL, 0,
                                       &created_weight) == status);
    child_expects((created_weight != NULL) == (status == NPUENC_OK));
    npuenc_weight_free(created_weight);
    child_expects(npuenc_linear(weight, &linear_desc, numbers, 16, results, 16, NULL) == status);
    child_expects(npuenc_attention(ctx, &attention_desc, numbers, 16, numbers, 16, numbers, 16,
                                   NULL, 0, results, 16, NULL) == status);
    child_expects(npuenc_mel(ctx, &mel_desc, numbers, 640, results, 640, NULL) == status);
    npuenc_model* loaded = (npuenc_model*)&stats;
    child_expects(npuenc_model_load_memory(ctx, small->file, small->file_bytes, NULL, &loaded) ==
                  status);
    child_expects((loaded != NULL) == (status == NPUENC_OK));
    npuenc_model_free(loaded);
    loaded = (npuenc_model*)&stats;
    child_expects(npuenc_model_load(ctx, "/no/such/file", NULL, &loaded) ==
                  (status ? status : NPUENC_E_NOT_FOUND));
    child_expects(loaded == NULL);
    npuenc_model_info model_info = {.struct_size = sizeof model_info};
    child_expects(npuenc_model_get_info(model, &model_info) == status);
    size_t bytes = 0;
    child_expects(npuenc_encode_size(model, &encode_desc, &bytes) == status);
    child_expects(npuenc_encode(model, &encode_desc, numbers, 640, NULL, 0, results, sizeof results,
                                run) == status);
    if (status != NPUENC_OK || !is_child || children_start_threads)
        child_expects(npuenc_encode_submit(model, &encode_desc, numbers, 640, NULL, 0, results,
                                           sizeof results, run) == status);
    child_expects(npuenc_run_wait(run, -1) == status);
    npuenc_run* created_run = (npuenc_run*)&stats;
    child_expects(npuenc_run_create(ctx, &created_run) == status);
    child_expects((created_run != NULL) == (status == NPUENC_OK));
    npuenc_run_free(created_run);
    uint32_t done = 0, total = 0;
    child_expects(npuenc_run_progress(run, &done, &total) == status);
    child_expects(npuenc_run_stats(run, &stats) == status);
    child_expects(npuenc_run_op_count(run, &done) == status);
    npuenc_op_info op_info = {.struct_size = sizeof op_info};
    child_expects(npuenc_run_op_get(run, 0, &op_info) == status);
    if (status != NPUENC_OK) { /* nothing was written */
        const float zeros[256] = {0};
        child_expects(ctx_info.n_threads == 0 && stats.n_calls == 0 && model_info.n_mels == 0 &&
                      op_info.n_calls == 0 && done == 0 && total == 0 && bytes == 0);
        child_expects(memcmp(results, zeros, sizeof zeros) == 0);
    }
}

static void free_all(void) {
    npuenc_run_cancel(run);
    npuenc_run_free(run);
    npuenc_weight_free(weight);
    npuenc_model_free(model);
    npuenc_close(ctx);
}

/* XRT goes with the process that has used it: in a child the NPU is refused, and AUTO is the CPU.
 */
static bool open_ctx(uint32_t n_threads) {
    npuenc_open_options options = {
        .struct_size = sizeof options, .device_type = device_under_test(), .n_threads = n_threads};
    if (is_child && options.device_type == NPUENC_DEVICE_NPU) {
        if (npuenc_open(&options, &ctx) != NPUENC_E_UNSUPPORTED || ctx != NULL)
            return false;
        options.device_type = NPUENC_DEVICE_AUTO;
    }
    return npuenc_open(&options, &ctx) == NPUENC_OK;
}

static bool make_all(uint32_t n_threads) {
    if (is_child && !children_start_threads)
        n_threads = 1;
    return open_ctx(n_threads) &&
           npuenc_weight_create(ctx, &weight_desc, numbers, 64, NULL, 0, NULL, 0, &weight) ==
               NPUENC_OK &&
           npuenc_model_load_memory(ctx, small->file, small->file_bytes, NULL, &model) ==
               NPUENC_OK &&
           npuenc_run_create(ctx, &run) == NPUENC_OK;
}

/* ---- */

static void refuse_all(void) {
    memset(results, 0, sizeof results);
    expect_from_all(NPUENC_E_FORKED);
    char detail[200] = "", reason[8] = "before";
    child_expects(npuenc_last_error(detail, sizeof detail) > 0);
    child_expects(npuenc_ctx_reason(ctx, reason, sizeof reason) == 0 && reason[0] == '\0');
    child_expects(npuenc_ctx_reason(ctx, NULL, 0) == 0);
    free_all(); /* which does nothing, and above all does not wait */
    expect_from_all(NPUENC_E_FORKED);
}

static void handles_of_the_parent_are_refused(void** state) {
    (void)state;
    in_child(refuse_all);
    expect_from_all(NPUENC_OK);
}

static void open_anew(void) {
    child_expects(make_all(3));
    expect_from_all(NPUENC_OK);
    free_all();
}

static void the_child_may_open_anew(void** state) {
    (void)state;
    in_child(open_anew);
    expect_from_all(NPUENC_OK);
}

/* The parent's run is no run of the child's context, and the other way round. */
static void mix_handles(void) {
    npuenc_run* const parents = run;
    npuenc_ctx* const parents_ctx = ctx;
    child_expects(make_all(1));
    child_expects(npuenc_matmul(ctx, &matmul_desc, numbers, 256, numbers, 256, results, 256,
                                parents) == NPUENC_E_FORKED);
    child_expects(npuenc_matmul(parents_ctx, &matmul_desc, numbers, 256, numbers, 256, results, 256,
                                run) == NPUENC_E_FORKED);
    child_expects(npuenc_encode_submit(model, &encode_desc, numbers, 640, NULL, 0, results,
                                       sizeof results, parents) == NPUENC_E_FORKED);
    free_all();
}

static void handles_do_not_mix(void** state) {
    (void)state;
    in_child(mix_handles);
}

static void fork_again(void) {
    child_expects(make_all(2));
    const pid_t child = fork();
    child_expects(child >= 0);
    if (child == 0) {
        memset(results, 0, sizeof results);
        expect_from_all(NPUENC_E_FORKED);
        child_expects(make_all(2));
        expect_from_all(NPUENC_OK);
        _exit(0);
    }
    int status = -1;
    child_expects(waitpid(child, &status, 0) == child && WIFEXITED(status) &&
                  WEXITSTATUS(status) == 0);
    expect_from_all(NPUENC_OK);
    free_all();
}

static void children_may_have_children(void** state) {
    (void)state;
    in_child(fork_again);
}

/* While the parent's threads are at work, holding whatever they hold. */
static void forking_during_a_call(void** state) {
    (void)state;
    enum { batch = 2000 };
    const npuenc_encode_desc desc = {
        .struct_size = sizeof desc, .batch = batch, .n_per_item = 1, .n_ctx = 4};
    float* in = calloc(batch, sizeof *in);
    const size_t out_bytes = (size_t)batch * 4 * small->shape.n_state * sizeof(float);
    void* out = malloc(out_bytes);
    expect_ok(
        npuenc_encode_submit(model, &desc, in, batch * sizeof *in, NULL, 0, out, out_bytes, run));
    for (int i = 0; i < 4; i++)
        in_child(i & 1 ? open_anew : refuse_all);
    npuenc_run_cancel(run);
    const int32_t status = npuenc_run_wait(run, -1);
    assert_true(status == NPUENC_OK || status == NPUENC_E_CANCELED);
    free(in), free(out);
}

static int set_up(void** state) {
    (void)state;
    small = whisper_create((whisper_shape){80, 4, 128, 2, 1}, 1);
    assert_true(make_all(3));
    expect_from_all(NPUENC_OK); /* so that all threads and buffers of the parent exist */
    return 0;
}

static int tear_down(void** state) {
    (void)state;
    free_all();
    whisper_free(small);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handles_of_the_parent_are_refused),
        cmocka_unit_test(the_child_may_open_anew),
        cmocka_unit_test(handles_do_not_mix),
        cmocka_unit_test(children_may_have_children),
        cmocka_unit_test(forking_during_a_call),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
