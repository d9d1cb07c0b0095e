/* SPDX-License-Identifier: MIT
 *
 * Runs: waiting, cancelling, progress, statistics, operators, and how long handles live.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support.h"
#include "whisper.h"

static npuenc_ctx* ctx;
static whisper* small;
static npuenc_model* model;
static npuenc_run* run;

static const int64_t second = 1000000000;

/* ---- Calls of any length: a batch of windows whose sound is one sample each ---- */

enum { item_bytes = 50 * 128 * sizeof(float) };

/* So many that a call is in flight for as long as a test needs it; tests cancel it then. */
enum { endless = 6000 };

typedef struct job {
    npuenc_encode_desc desc;
    float* in;
    void* out;
    size_t in_bytes, out_bytes;
} job;

static job job_of(uint32_t batch) {
    job j = {.desc = {.struct_size = sizeof j.desc, .batch = batch, .n_per_item = 1},
             .in_bytes = batch * sizeof(float),
             .out_bytes = (size_t)batch * item_bytes};
    random_source source = {batch};
    j.in = random_elements(&source, NPUENC_F32, batch);
    j.out = malloc(j.out_bytes); /* the endless ones touch little of it */
    return j;
}

static void free_job(job* j) {
    free(j->in);
    free(j->out);
}

static int32_t encode(npuenc_model* with, job* j, npuenc_run* watched) {
    return npuenc_encode(with, &j->desc, j->in, j->in_bytes, NULL, 0, j->out, j->out_bytes,
                         watched);
}

static int32_t submit(npuenc_model* with, job* j, npuenc_run* watched) {
    return npuenc_encode_submit(with, &j->desc, j->in, j->in_bytes, NULL, 0, j->out, j->out_bytes,
                                watched);
}

static npuenc_run* create_run(npuenc_ctx* of) {
    npuenc_run* created = NULL;
    expect_ok(npuenc_run_create(of, &created));
    assert_non_null(created);
    return created;
}

static void sleep_ns(long ns) {
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/* Until the first call of a run, or one that was submitted, has done a step. */
static void await_progress(const npuenc_run* watched) {
    uint32_t done = 0, total;
    while (done == 0) {
        expect_ok(npuenc_run_progress(watched, &done, &total));
        sleep_ns(100000);
    }
}

static npuenc_stats stats_of(const npuenc_run* watched) {
    npuenc_stats stats = {.struct_size = sizeof stats};
    expect_ok(npuenc_run_stats(watched, &stats));
    return stats;
}

static uint32_t count_ops(const npuenc_run* watched) {
    uint32_t count = UINT32_MAX;
    expect_ok(npuenc_run_op_count(watched, &count));
    return count;
}

static npuenc_model_info model_info(void) {
    npuenc_model_info info = {.struct_size = sizeof info};
    expect_ok(npuenc_model_get_info(model, &info));
    return info;
}

/* Where an operator has to run: on the device under test, or where the model has put it. */
static int32_t place_of(const npuenc_op_info* op) {
    const npuenc_model_info info = model_info();
    const struct {
        const char* name;
        int32_t device;
    } places[] = {
        {"matmul", device_under_test()},
        {"linear", device_under_test()},
        {"mel", NPUENC_DEVICE_CPU},
        {"conv1", info.conv_device},
        {"conv2", info.conv_device},
        {"qkv", info.linear_device},
        {"attention", op->layer < 0 ? device_under_test() : info.attention_device},
        {"attention out", info.linear_device},
        {"mlp", info.linear_device},
        {"final norm", info.elementwise_device},
    };
    for (size_t i = 0; i < COUNT(places); i++)
        if (strcmp(places[i].name, op->name) == 0)
            return places[i].device;
    fail_msg("no such operator is known: %s", op->name);
    return 0;
}

static npuenc_op_info op_of(const npuenc_run* watched, uint32_t i) {
    npuenc_op_info info = {.struct_size = sizeof info};
    expect_ok(npuenc_run_op_get(watched, i, &info));
    assert_true(info.name[0] && memchr(info.name, 0, sizeof info.name));
    assert_int_equal(info.device_type, place_of(&info));
    assert_int_equal(info.reserved, 0);
    return info;
}

static void expect_progress(const npuenc_run* watched, uint32_t done, uint32_t total) {
    uint32_t d = UINT32_MAX, t = UINT32_MAX;
    expect_ok(npuenc_run_progress(watched, &d, &t));
    assert_int_equal(d, done);
    assert_int_equal(t, total);
}

/* ---- Arguments ---- */

static void runs_need_their_arguments(void** state) {
    (void)state;
    npuenc_run* created = (npuenc_run*)&created;
    expect_invalid(npuenc_run_create(NULL, &created));
    assert_null(created);
    expect_invalid(npuenc_run_create(ctx, NULL));

    uint32_t done = 7, total = 7;
    npuenc_stats stats = {.struct_size = sizeof stats};
    npuenc_op_info info = {.struct_size = sizeof info};
    expect_invalid(npuenc_run_wait(NULL, 0));
    expect_invalid(npuenc_run_progress(NULL, &done, &total));
    expect_invalid(npuenc_run_progress(run, NULL, &total));
    expect_invalid(npuenc_run_progress(run, &done, NULL));
    expect_invalid(npuenc_run_stats(NULL, &stats));
    expect_invalid(npuenc_run_stats(run, NULL));
    expect_invalid(npuenc_run_op_count(NULL, &done));
    expect_invalid(npuenc_run_op_count(run, NULL));
    expect_invalid(npuenc_run_op_get(NULL, 0, &info));
    expect_invalid(npuenc_run_op_get(run, 0, NULL));
    assert_int_equal(done, 7);
    assert_int_equal(total, 7);
    npuenc_run_cancel(NULL);
    npuenc_run_free(NULL);
}

static void a_fresh_run_knows_nothing(void** state) {
    (void)state;
    npuenc_run* fresh = create_run(ctx);
    expect_ok(npuenc_run_wait(fresh, 0));
    expect_ok(npuenc_run_wait(fresh, -1));
    expect_progress(fresh, 0, 0);
    const npuenc_stats stats = stats_of(fresh);
    const npuenc_stats zeros = {.struct_size = sizeof zeros};
    assert_memory_equal(&stats, &zeros, sizeof stats);
    assert_int_equal(count_ops(fresh), 0);
    npuenc_op_info info = {.struct_size = sizeof info};
    expect(NPUENC_E_NOT_FOUND, npuenc_run_op_get(fresh, 0, &info));
    assert_int_equal(info.n_calls, 0);
    npuenc_run_free(fresh);
}

/* ---- Operators watched ---- */

static float a[64], b[64], c[64];

static int32_t matmul(npuenc_ctx* with, npuenc_run* watched) {
    const npuenc_matmul_desc desc = {.struct_size = sizeof desc,
                                     .a_type = NPUENC_BF16,
                                     .b_type = NPUENC_BF16,
                                     .c_type = NPUENC_F32,
                                     .batch = 2,
                                     .m = 2,
                                     .n = 3,
                                     .k = 4};
    return npuenc_matmul(with, &desc, a, sizeof a, b, sizeof b, c, sizeof c, watched);
}

static int32_t attention(npuenc_ctx* with, npuenc_run* watched) {
    const npuenc_attention_desc desc = {.struct_size = sizeof desc,
                                        .type = NPUENC_BF16,
                                        .batch = 2,
                                        .n_head = 2,
                                        .head_dim = 3,
                                        .q_len = 1,
                                        .kv_len = 4};
    return npuenc_attention(with, &desc, a, sizeof a, b, sizeof b, b, sizeof b, NULL, 0, c,
                            sizeof c, watched);
}

static int32_t linear(npuenc_weight* weight, npuenc_run* watched) {
    const npuenc_linear_desc desc = {
        .struct_size = sizeof desc, .x_type = NPUENC_F32, .y_type = NPUENC_F32, .rows = 2};
    return npuenc_linear(weight, &desc, a, sizeof a, c, sizeof c, watched);
}

static int32_t mel(npuenc_ctx* with, npuenc_run* watched) {
    static float out[160];
    const npuenc_mel_desc desc = {.struct_size = sizeof desc, .n_frames = 2};
    return npuenc_mel(with, &desc, a, sizeof a, out, sizeof out, watched);
}

static npuenc_weight* create_weight(npuenc_ctx* of) {
    const npuenc_weight_desc desc = {.struct_size = sizeof desc,
                                     .type = NPUENC_F32,
                                     .precision = NPUENC_PRECISION_BF16,
                                     .n_out = 3,
                                     .n_in = 5};
    npuenc_weight* weight = NULL;
    expect_ok(npuenc_weight_create(of, &desc, a, sizeof a, NULL, 0, NULL, 0, &weight));
    return weight;
}

static void check_operator(uint64_t macs, int32_t precision) {
    uint32_t done, total;
    expect_ok(npuenc_run_progress(run, &done, &total));
    assert_true(total > 0);
    assert_int_equal(done, total);
    expect_ok(npuenc_run_wait(run, 0));
    const npuenc_stats stats = stats_of(run);
    assert_int_equal(stats.n_calls, 1);
    assert_int_equal(stats.macs, macs);
    assert_true(stats.wall_ns > 0);
    assert_int_equal(count_ops(run), 1);
    const npuenc_op_info op = op_of(run, 0);
    assert_int_equal(op.macs, macs);
    assert_int_equal(op.precision, precision);
    assert_int_equal(op.layer, -1);
    assert_int_equal(op.n_calls, 1);
    assert_true(op.wall_ns <= stats.wall_ns);
    npuenc_op_info none = {.struct_size = sizeof none};
    expect(NPUENC_E_NOT_FOUND, npuenc_run_op_get(run, 1, &none));
    expect(NPUENC_E_NOT_FOUND, npuenc_run_op_get(run, UINT32_MAX, &none));
}

static void operators_are_watched(void** state) {
    (void)state;
    expect_ok(matmul(ctx, run));
    check_operator(2 * 2 * 3 * 4, NPUENC_PRECISION_BF16);
    const npuenc_stats of_matmul = stats_of(run);
    check_transfers(&of_matmul);
    expect_ok(attention(ctx, run));
    check_operator(2 * 2 * 2 * 1 * 4 * 3, NPUENC_PRECISION_BF16);
    npuenc_weight* weight = create_weight(ctx);
    expect_ok(linear(weight, run));
    check_operator(2 * 3 * 5, NPUENC_PRECISION_BF16);
    npuenc_weight_free(weight);
    expect_ok(mel(ctx, run));
    check_operator(0, NPUENC_PRECISION_F32);
    assert_string_equal(op_of(run, 0).name, "mel");
    const npuenc_stats stats = stats_of(run);
    assert_in_range(stats.mel_ns, 1, stats.wall_ns);
}

/* A call that fails in its arguments has not begun. */
static void refused_calls_do_not_touch_a_run(void** state) {
    (void)state;
    expect_ok(matmul(ctx, run));
    const npuenc_stats before = stats_of(run);
    npuenc_stats of_ctx = {.struct_size = sizeof of_ctx}, after = of_ctx;
    expect_ok(npuenc_ctx_stats(ctx, &of_ctx));
    const npuenc_matmul_desc desc = {.struct_size = sizeof desc};
    expect_invalid(npuenc_matmul(ctx, &desc, NULL, 0, NULL, 0, NULL, 0, run));
    expect_ok(npuenc_run_wait(run, 0));
    const npuenc_stats same = stats_of(run);
    assert_memory_equal(&before, &same, sizeof same);
    expect_ok(npuenc_ctx_stats(ctx, &after));
    assert_memory_equal(&of_ctx, &after, sizeof after);
}

/* ---- A whole encoder watched ---- */

static void encoding_is_watched(void** state) {
    (void)state;
    enum { batch = 3 };
    job j = job_of(batch);
    const npuenc_model_info info = model_info();
    npuenc_ctx_info device = {.struct_size = sizeof device};
    expect_ok(npuenc_ctx_get_info(ctx, &device));
    /* What the CPU computes beside bf16 in the first layer, and is F32 without. */
    const int32_t wider = info.precision == NPUENC_PRECISION_BF16 && strcmp(device.isa, "amx") == 0
                              ? NPUENC_PRECISION_BF16X2
                              : NPUENC_PRECISION_F32;
    for (int submitted = 0; submitted < 2; submitted++) {
        if (submitted) {
            expect_ok(submit(model, &j, run));
            expect_ok(npuenc_run_wait(run, -1));
        } else {
            expect_ok(encode(model, &j, run));
        }
        uint32_t done, total;
        expect_ok(npuenc_run_progress(run, &done, &total));
        assert_true(total >= batch);
        assert_int_equal(done, total);

        const npuenc_stats stats = stats_of(run);
        const uint64_t macs = batch * whisper_macs(small_shape, 50);
        assert_int_equal(stats.n_calls, 1);
        assert_int_equal(stats.macs, macs);
        assert_in_range(stats.mel_ns, 1, stats.wall_ns);
        check_transfers(&stats);

        uint64_t op_macs = 0, op_ns = 0;
        int32_t layer = -1;
        const uint32_t n = count_ops(run);
        for (uint32_t i = 0; i < n; i++) {
            const npuenc_op_info op = op_of(run, i);
            assert_int_equal(op.n_calls, batch);
            if (place_of(&op) == NPUENC_DEVICE_CPU) /* the widest of a model as small as this */
                assert_int_equal(op.precision, op.layer > 0    ? info.precision
                                               : op.layer == 0 ? wider
                                                               : NPUENC_PRECISION_F32);
            else
                assert_true(op.precision == info.precision || op.precision == info.wide_precision);
            op_macs += op.macs;
            op_ns += op.wall_ns;
            if (i == 0)
                assert_string_equal(op.name, "mel");
            if (i == 1)
                assert_string_equal(op.name, "conv1");
            if (op.layer != layer) /* before, 0, 1, after */
                assert_true(op.layer == layer + 1 || (layer == 1 && op.layer == -1 && i == n - 1));
            layer = op.layer;
        }
        assert_int_equal(layer, -1);
        assert_true(n > 2 + 2 * 2);
        assert_int_equal(op_macs, macs);
        assert_true(op_ns > 0 && op_ns <= stats.wall_ns);
    }
    free_job(&j);
}

static void contexts_add_up_their_runs(void** state) {
    (void)state;
    npuenc_ctx* own = open_device(2);
    npuenc_model* loaded = NULL;
    expect_ok(npuenc_model_load_memory(own, small->file, small->file_bytes, NULL, &loaded));
    npuenc_run* watched = create_run(own);
    job j = job_of(2);
    npuenc_stats sum = {.struct_size = sizeof sum}, total = {.struct_size = sizeof total};
    for (int i = 0; i < 4; i++) {
        if (i == 3) {
            expect_ok(matmul(own, watched));
        } else if (i == 2) {
            expect_ok(encode(loaded, &j, watched));
        } else {
            expect_ok(submit(loaded, &j, watched));
            expect_ok(npuenc_run_wait(watched, -1));
        }
        const npuenc_stats one = stats_of(watched);
        sum.n_calls += one.n_calls, sum.wall_ns += one.wall_ns, sum.queue_ns += one.queue_ns;
        sum.mel_ns += one.mel_ns, sum.macs += one.macs;
        sum.n_submissions += one.n_submissions, sum.n_syncs += one.n_syncs;
        sum.bytes_to_device += one.bytes_to_device;
        sum.bytes_from_device += one.bytes_from_device;
        sum.pack_ns += one.pack_ns, sum.submit_ns += one.submit_ns, sum.sync_ns += one.sync_ns;
        sum.device_ns += one.device_ns, sum.unpack_ns += one.unpack_ns;
        sum.accumulate_ns += one.accumulate_ns;
        expect_ok(npuenc_ctx_stats(own, &total));
        assert_memory_equal(&sum, &total, sizeof sum);
    }
    assert_true(total.queue_ns > 0);
    free_job(&j);
    npuenc_run_free(watched);
    npuenc_model_free(loaded);
    npuenc_close(own);
}

/* ---- In flight ---- */

static void a_run_in_flight_is_busy(void** state) {
    (void)state;
    job j = job_of(endless);
    expect_ok(submit(model, &j, run));
    npuenc_stats stats = {.struct_size = sizeof stats};
    npuenc_op_info info = {.struct_size = sizeof info};
    uint32_t count = 7;
    npuenc_weight* weight = create_weight(ctx);
    for (int begun = 0; begun < 2; begun++) {
        expect(NPUENC_E_BUSY, matmul(ctx, run));
        expect(NPUENC_E_BUSY, attention(ctx, run));
        expect(NPUENC_E_BUSY, linear(weight, run));
        expect(NPUENC_E_BUSY, mel(ctx, run));
        job other = job_of(1);
        expect(NPUENC_E_BUSY, encode(model, &other, run));
        expect(NPUENC_E_BUSY, submit(model, &other, run));
        free_job(&other);
        expect(NPUENC_E_BUSY, npuenc_run_stats(run, &stats));
        expect(NPUENC_E_BUSY, npuenc_run_op_count(run, &count));
        expect(NPUENC_E_BUSY, npuenc_run_op_get(run, 0, &info));
        expect(NPUENC_E_PENDING, npuenc_run_wait(run, 0));
        await_progress(run);
    }
    assert_int_equal(stats.n_calls, 0);
    assert_int_equal(info.n_calls, 0);
    assert_int_equal(count, 7);
    npuenc_weight_free(weight);

    expect_ok(matmul(ctx, NULL)); /* the context is not busy */
    npuenc_run* other = create_run(ctx);
    expect_ok(matmul(ctx, other));
    npuenc_run_free(other);
    npuenc_run_cancel(run);
    expect(NPUENC_E_CANCELED, npuenc_run_wait(run, -1));
    free_job(&j);
}

static void runs_are_of_one_context(void** state) {
    (void)state;
    npuenc_ctx* other = open_device(1);
    npuenc_run* foreign = create_run(other);
    npuenc_weight* weight = create_weight(ctx);
    job j = job_of(1);
    memset(j.out, 0xa5, j.out_bytes);
    memset(c, 0xa5, sizeof c);
    expect_invalid(matmul(ctx, foreign));
    expect_invalid(attention(ctx, foreign));
    expect_invalid(linear(weight, foreign));
    expect_invalid(mel(ctx, foreign));
    expect_invalid(encode(model, &j, foreign));
    expect_invalid(submit(model, &j, foreign));
    assert_true(is_filled(c, sizeof c));
    assert_true(is_filled(j.out, j.out_bytes));
    expect_ok(matmul(other, foreign));
    free_job(&j);
    npuenc_weight_free(weight);
    npuenc_run_free(foreign);
    npuenc_close(other);
}

static void waits_end_at_their_deadline(void** state) {
    (void)state;
    job j = job_of(endless);
    expect_ok(submit(model, &j, run));
    const int64_t deadlines[] = {0, 1, 1000, 20000000};
    for (size_t i = 0; i < COUNT(deadlines); i++) {
        const uint64_t begin = now_ns();
        expect(NPUENC_E_PENDING, npuenc_run_wait(run, deadlines[i]));
        const uint64_t waited = now_ns() - begin;
        assert_true(waited >= (uint64_t)deadlines[i]);
        assert_true(waited < (uint64_t)(deadlines[i] + 5 * second));
    }
    npuenc_run_cancel(run);
    const int64_t without_limit[] = {INT64_MAX, -1, INT64_MIN, 0};
    for (size_t i = 0; i < COUNT(without_limit); i++)
        expect(NPUENC_E_CANCELED, npuenc_run_wait(run, without_limit[i]));
    free_job(&j);
    expect_ok(matmul(ctx, run));
    expect_ok(npuenc_run_wait(run, 0)); /* of the last call now */
}

static void a_cancelled_call_ends_within_one_operator(void** state) {
    (void)state;
    job j = job_of(endless);
    expect_ok(submit(model, &j, run));
    await_progress(run);
    npuenc_run_cancel(run);
    uint32_t done_then, done, total;
    expect_ok(npuenc_run_progress(run, &done_then, &total));
    expect(NPUENC_E_CANCELED, npuenc_run_wait(run, -1));
    expect_ok(npuenc_run_progress(run, &done, &total));
    assert_in_range(done, done_then, done_then + 1);
    assert_true(done < total);
    const npuenc_stats stats = stats_of(run);
    assert_int_equal(stats.n_calls, 1);
    assert_true(stats.macs < endless * whisper_macs(small_shape, 50));
    free_job(&j);

    job next = job_of(1); /* a later call is not touched */
    expect_ok(submit(model, &next, run));
    expect_ok(npuenc_run_wait(run, -1));
    npuenc_run_cancel(run); /* no call is in flight */
    expect_ok(encode(model, &next, run));
    expect_ok(npuenc_run_wait(run, -1));
    free_job(&next);
}

typedef struct direct_call {
    npuenc_model* model;
    job* job;
    npuenc_run* run;
    int32_t status;
    char detail[200];
} direct_call;

static void* call_directly(void* argument) {
    direct_call* call = argument;
    call->status = encode(call->model, call->job, call->run);
    npuenc_last_error(call->detail, sizeof call->detail);
    return NULL;
}

static void a_direct_call_is_cancelled_from_another_thread(void** state) {
    (void)state;
    job j = job_of(endless);
    npuenc_run* own = create_run(ctx);
    direct_call call = {.model = model, .job = &j, .run = own};
    pthread_t thread;
    pthread_create(&thread, NULL, call_directly, &call);
    await_progress(own);
    expect(NPUENC_E_PENDING, npuenc_run_wait(own, 1000));
    expect(NPUENC_E_BUSY, matmul(ctx, own));
    npuenc_run_cancel(own);
    expect(NPUENC_E_CANCELED, npuenc_run_wait(own, -1));
    pthread_join(thread, NULL);
    assert_int_equal(call.status, NPUENC_E_CANCELED);
    assert_true(call.detail[0]);
    npuenc_run_free(own);
    free_job(&j);
}

static npuenc_run* volatile run_to_cancel;

static void cancel_in_handler(int signal_number) {
    (void)signal_number;
    npuenc_run_cancel(run_to_cancel);
}

static void a_signal_handler_may_cancel(void** state) {
    (void)state;
    job j = job_of(endless);
    expect_ok(submit(model, &j, run));
    await_progress(run);
    run_to_cancel = run;
    struct sigaction before, action = {.sa_handler = cancel_in_handler};
    sigaction(SIGUSR1, &action, &before);
    raise(SIGUSR1);
    sigaction(SIGUSR1, &before, NULL);
    expect(NPUENC_E_CANCELED, npuenc_run_wait(run, -1));
    free_job(&j);
}

static void progress_never_falls(void** state) {
    (void)state;
    job j = job_of(60);
    expect_ok(submit(model, &j, run));
    uint32_t last = 0, done, total, last_total = 0, n_seen = 0;
    while (npuenc_run_wait(run, 100000) == NPUENC_E_PENDING) {
        expect_ok(npuenc_run_progress(run, &done, &total));
        assert_true(done >= last && done <= total);
        assert_true(last_total == 0 || total == last_total);
        n_seen += done > last;
        last = done, last_total = total;
    }
    expect_ok(npuenc_run_wait(run, -1));
    expect_ok(npuenc_run_progress(run, &done, &total));
    assert_int_equal(done, total);
    assert_true(n_seen > 3);
    free_job(&j);
}

static void submitted_calls_keep_their_order(void** state) {
    (void)state;
    enum { n = 8 };
    job jobs[n];
    npuenc_run* runs[n];
    for (int i = 0; i < n; i++) {
        jobs[i] = job_of(i % 2 ? 1 : 8);
        runs[i] = create_run(ctx);
    }
    for (int i = 0; i < n; i++)
        expect_ok(submit(model, &jobs[i], runs[i]));
    for (int left = n; left > 0;) { /* from the last to the first: nobody overtakes */
        int ended = 0, seen = 0;
        for (int i = n - 1; i >= 0; i--)
            if (npuenc_run_wait(runs[i], 0) != NPUENC_E_PENDING)
                ended++, seen = seen ? seen : i + 1;
        assert_int_equal(ended, seen);
        left = n - ended;
    }
    for (int i = 0; i < n; i++) {
        expect_ok(npuenc_run_wait(runs[i], 0));
        job alone = job_of(i % 2 ? 1 : 8);
        expect_ok(encode(model, &alone, NULL));
        assert_memory_equal(alone.out, jobs[i].out, alone.out_bytes);
        free_job(&alone);
        free_job(&jobs[i]);
        npuenc_run_free(runs[i]);
    }
}

/* A call that waits for its turn never begins when it is cancelled; those around it do not care. */
static void a_queued_call_can_be_cancelled(void** state) {
    (void)state;
    job jobs[3] = {job_of(endless), job_of(2), job_of(1)};
    npuenc_run* runs[3];
    for (int i = 0; i < 3; i++)
        runs[i] = create_run(ctx);
    memset(jobs[1].out, 0xa5, jobs[1].out_bytes);
    for (int i = 0; i < 3; i++)
        expect_ok(submit(model, &jobs[i], runs[i]));
    npuenc_run_cancel(runs[1]);
    await_progress(runs[0]);
    expect(NPUENC_E_PENDING, npuenc_run_wait(runs[0], 0));
    expect(NPUENC_E_PENDING, npuenc_run_wait(runs[2], 0));
    npuenc_run_cancel(runs[0]);
    expect(NPUENC_E_CANCELED, npuenc_run_wait(runs[1], -1));
    assert_true(is_filled(jobs[1].out, jobs[1].out_bytes));
    assert_int_equal(stats_of(runs[1]).macs, 0);
    expect_ok(npuenc_run_wait(runs[2], -1));
    expect(NPUENC_E_CANCELED, npuenc_run_wait(runs[0], -1));
    for (int i = 0; i < 3; i++) {
        npuenc_run_free(runs[i]);
        free_job(&jobs[i]);
    }
}

/* ---- How long handles live ---- */

static void expect_states(job* j) {
    job again = job_of(j->desc.batch);
    expect_ok(encode(model, &again, NULL));
    assert_memory_equal(again.out, j->out, j->out_bytes);
    free_job(&again);
}

static npuenc_model* load(npuenc_ctx* with) {
    npuenc_model* loaded = NULL;
    expect_ok(npuenc_model_load_memory(with, small->file, small->file_bytes, NULL, &loaded));
    return loaded;
}

static void freeing_a_run_waits_for_its_call(void** state) {
    (void)state;
    job j = job_of(20);
    npuenc_run* own = create_run(ctx);
    expect_ok(submit(model, &j, own));
    npuenc_run_free(own);
    expect_states(&j);
    free_job(&j);
}

static void closing_waits_for_submitted_calls(void** state) {
    (void)state;
    npuenc_ctx* own = open_device(2);
    npuenc_model* loaded = load(own);
    npuenc_run* runs[2] = {create_run(own), create_run(own)};
    job jobs[2] = {job_of(10), job_of(5)};
    for (int i = 0; i < 2; i++)
        expect_ok(submit(loaded, &jobs[i], runs[i]));
    npuenc_close(own);
    for (int i = 0; i < 2; i++) {
        expect_ok(npuenc_run_wait(runs[i], 0));
        expect_states(&jobs[i]);
        expect_ok(submit(loaded, &jobs[i], runs[i])); /* the handles live on */
        npuenc_run_free(runs[i]);
        expect_states(&jobs[i]);
        free_job(&jobs[i]);
    }
    npuenc_model_free(loaded);
}

static void closing_waits_for_direct_calls(void** state) {
    (void)state;
    npuenc_ctx* own = open_device(1);
    npuenc_model* loaded = load(own);
    npuenc_run* watched = create_run(own);
    job j = job_of(60);
    direct_call call = {.model = loaded, .job = &j, .run = watched};
    pthread_t thread;
    pthread_create(&thread, NULL, call_directly, &call);
    await_progress(watched);
    npuenc_close(own);
    const int32_t status = npuenc_run_wait(watched, 0);
    pthread_join(thread, NULL);
    expect_ok(status);
    expect_ok(call.status);
    expect_states(&j);
    free_job(&j);
    npuenc_run_free(watched);
    npuenc_model_free(loaded);
}

static void a_model_may_go_before_its_call(void** state) {
    (void)state;
    npuenc_ctx* own = open_device(2);
    npuenc_model* loaded = load(own);
    npuenc_run* watched = create_run(own);
    job j = job_of(20);
    expect_ok(submit(loaded, &j, watched));
    npuenc_model_free(loaded);
    expect_ok(npuenc_run_wait(watched, -1));
    expect_states(&j);
    expect_ok(matmul(own, watched));
    npuenc_close(own);
    npuenc_run_free(watched);
    free_job(&j);
}

/* Context, model, weight and run in each of the 24 orders, with a call in flight. */
static void handles_go_in_any_order(void** state) {
    (void)state;
    for (int order = 0; order < 256; order++) {
        const int steps[4] = {order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6 & 3};
        unsigned all = 0;
        for (int i = 0; i < 4; i++)
            all |= 1u << steps[i];
        if (all != 15)
            continue;
        npuenc_ctx* own = open_device(2);
        npuenc_model* loaded = load(own);
        npuenc_weight* weight = create_weight(own);
        npuenc_run* watched = create_run(own);
        job j = job_of(1);
        expect_ok(submit(loaded, &j, watched));
        bool is_closed = false;
        for (int i = 0; i < 4; i++) {
            switch (steps[i]) {
            case 0:
                npuenc_close(own);
                is_closed = true;
                break;
            case 1:
                npuenc_model_free(loaded);
                break;
            case 2:
                expect_ok(linear(weight, NULL));
                npuenc_weight_free(weight);
                break;
            default:
                npuenc_run_free(watched);
            }
            if (!is_closed)
                expect_ok(matmul(own, NULL));
        }
        free_job(&j);
    }
}

/* ---- The log ---- */

typedef struct log_record {
    pthread_t thread;
    atomic_uint n, n_elsewhere;
} log_record;

static void record_message(void* user, int32_t level, const char* message) {
    log_record* record = user;
    (void)level, (void)message;
    atomic_fetch_add(&record->n, 1);
    if (!pthread_equal(record->thread, pthread_self()))
        atomic_fetch_add(&record->n_elsewhere, 1);
}

static void messages_of_submitted_calls_come_with_wait(void** state) {
    (void)state;
    log_record record = {.thread = pthread_self()};
    const npuenc_open_options options = {.struct_size = sizeof options,
                                         .device_type = device_under_test(),
                                         .n_threads = 2,
                                         .log_level = NPUENC_LOG_DEBUG,
                                         .log_fn = record_message,
                                         .log_user = &record};
    npuenc_ctx* own;
    expect_ok(npuenc_open(&options, &own));
    npuenc_model* loaded = load(own);
    npuenc_run* watched = create_run(own);
    job j = job_of(1);
    unsigned before = record.n;
    expect_ok(encode(loaded, &j, watched));
    const unsigned n_direct = record.n - before;
    assert_true(n_direct > 0); /* else the rest would say nothing */
    before = record.n;
    expect_ok(submit(loaded, &j, watched));
    uint32_t done = 0, total = 1;
    while (done < total) {
        sleep_ns(100000);
        expect_ok(npuenc_run_progress(watched, &done, &total));
        total += total == 0;
    }
    assert_int_equal(record.n, before);
    expect_ok(npuenc_run_wait(watched, -1));
    assert_int_equal(record.n - before, n_direct);
    expect_ok(npuenc_run_wait(watched, -1));
    assert_int_equal(record.n - before, n_direct); /* once */
    npuenc_run_free(watched);
    npuenc_model_free(loaded);
    npuenc_close(own);
    assert_int_equal(record.n_elsewhere, 0);
    free_job(&j);
}

/* A failure's detail is told to the thread that waits, not to npuenc's own. */
static void details_come_with_wait(void** state) {
    (void)state;
    job j = job_of(endless);
    expect_ok(submit(model, &j, run));
    npuenc_run_cancel(run);
    expect(NPUENC_E_CANCELED, npuenc_run_wait(run, -1));
    char detail[200], other[200];
    npuenc_last_error(detail, sizeof detail);
    expect_invalid(npuenc_open(NULL, NULL));
    npuenc_last_error(other, sizeof other);
    assert_string_not_equal(detail, other);
    expect(NPUENC_E_CANCELED, npuenc_run_wait(run, 0));
    npuenc_last_error(other, sizeof other);
    assert_string_equal(detail, other);
    free_job(&j);
}

static int set_up(void** state) {
    (void)state;
    ctx = open_device(2);
    small = whisper_create(small_shape, 1);
    model = load(ctx);
    run = create_run(ctx);
    return 0;
}

static int tear_down(void** state) {
    (void)state;
    npuenc_run_free(run);
    npuenc_model_free(model);
    whisper_free(small);
    npuenc_close(ctx);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_need_their_arguments),
        cmocka_unit_test(a_fresh_run_knows_nothing),
        cmocka_unit_test(operators_are_watched),
        cmocka_unit_test(refused_calls_do_not_touch_a_run),
        cmocka_unit_test(encoding_is_watched),
        cmocka_unit_test(contexts_add_up_their_runs),
        cmocka_unit_test(a_run_in_flight_is_busy),
        cmocka_unit_test(runs_are_of_one_context),
        cmocka_unit_test(waits_end_at_their_deadline),
        cmocka_unit_test(a_cancelled_call_ends_within_one_operator),
        cmocka_unit_test(a_direct_call_is_cancelled_from_another_thread),
        cmocka_unit_test(a_signal_handler_may_cancel),
        cmocka_unit_test(progress_never_falls),
        cmocka_unit_test(submitted_calls_keep_their_order),
        cmocka_unit_test(a_queued_call_can_be_cancelled),
        cmocka_unit_test(freeing_a_run_waits_for_its_call),
        cmocka_unit_test(closing_waits_for_submitted_calls),
        cmocka_unit_test(closing_waits_for_direct_calls),
        cmocka_unit_test(a_model_may_go_before_its_call),
        cmocka_unit_test(handles_go_in_any_order),
        cmocka_unit_test(messages_of_submitted_calls_come_with_wait),
        cmocka_unit_test(details_come_with_wait),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
