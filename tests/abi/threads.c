/* SPDX-License-Identifier: MIT
 *
 * One context, one model and one weight in the hands of several threads at once, and several
 * contexts in one process. What is right is that every thread gets what one alone gets, and that
 * ThreadSanitizer, under which this is to be run, has nothing to say.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"
#include "whisper.h"

enum { n_threads = 4, rounds = 4, n = 24 };

static whisper* small;
static uint16_t numbers[n * n]; /* bf16 */
static float pcm[3200];

/* What a thread shares with the others, and what it computes with it. */
typedef struct shared {
    npuenc_ctx* ctx;
    npuenc_model* model;
    npuenc_weight* weight;
} shared;

typedef struct results {
    float matmul[n * n], linear[n * n], mel[80 * 20], direct[10 * 128], submitted[2][10 * 128];
    uint16_t attention[n * n];
} results;

static shared make(uint32_t pool) {
    shared s = {.ctx = open_device(pool)};
    expect_ok(npuenc_model_load_memory(s.ctx, small->file, small->file_bytes, NULL, &s.model));
    const npuenc_weight_desc desc = {
        .struct_size = sizeof desc, .type = NPUENC_BF16, .n_out = n, .n_in = n};
    expect_ok(
        npuenc_weight_create(s.ctx, &desc, numbers, sizeof numbers, NULL, 0, NULL, 0, &s.weight));
    return s;
}

static void unmake(shared* s) {
    npuenc_weight_free(s->weight);
    npuenc_model_free(s->model);
    npuenc_close(s->ctx);
}

/* Everything once. Called on threads of which cmocka knows nothing, so it returns a status. */
static int32_t compute(const shared* s, results* r) {
    int32_t status;
    npuenc_run* run = NULL;
#define try(call)                                                                                  \
    do {                                                                                           \
        if ((status = (call)) != NPUENC_OK)                                                        \
            goto end;                                                                              \
    } while (0)
    try(npuenc_run_create(s->ctx, &run));
    const npuenc_matmul_desc matmul = {.struct_size = sizeof matmul,
                                       .a_type = NPUENC_BF16,
                                       .b_type = NPUENC_BF16,
                                       .c_type = NPUENC_F32,
                                       .m = n,
                                       .n = n,
                                       .k = n};
    const size_t bytes = sizeof numbers;
    try(npuenc_matmul(s->ctx, &matmul, numbers, bytes, numbers, bytes, r->matmul, sizeof r->matmul,
                      run));
    const npuenc_attention_desc attention = {.struct_size = sizeof attention,
                                             .type = NPUENC_BF16,
                                             .n_head = 2,
                                             .head_dim = n / 2,
                                             .q_len = n,
                                             .kv_len = n};
    try(npuenc_attention(s->ctx, &attention, numbers, bytes, numbers, bytes, numbers, bytes, NULL,
                         0, r->attention, bytes, NULL));
    const npuenc_linear_desc linear = {
        .struct_size = sizeof linear, .x_type = NPUENC_BF16, .y_type = NPUENC_F32, .rows = n};
    try(npuenc_linear(s->weight, &linear, numbers, bytes, r->linear, sizeof r->linear, run));
    const npuenc_mel_desc mel = {.struct_size = sizeof mel, .n_frames = 20};
    try(npuenc_mel(s->ctx, &mel, pcm, sizeof pcm, r->mel, sizeof r->mel, NULL));
    const npuenc_encode_desc encode = {.struct_size = sizeof encode, .n_ctx = 10};
    try(npuenc_encode_submit(s->model, &encode, pcm, sizeof pcm, NULL, 0, r->submitted[0],
                             sizeof r->submitted[0], run));
    try(npuenc_encode(s->model, &encode, pcm, sizeof pcm, NULL, 0, r->direct, sizeof r->direct,
                      NULL));
    try(npuenc_run_wait(run, -1));
    try(npuenc_encode_submit(s->model, &encode, pcm, sizeof pcm, NULL, 0, r->submitted[1],
                             sizeof r->submitted[1], run));
    npuenc_ctx_info info = {.struct_size = sizeof info};
    try(npuenc_ctx_get_info(s->ctx, &info));
    npuenc_stats stats = {.struct_size = sizeof stats};
    try(npuenc_ctx_stats(s->ctx, &stats));
    npuenc_ctx_reason(s->ctx, NULL, 0);
#undef try
end:
    npuenc_run_free(run);
    return status;
}

typedef struct worker {
    pthread_t thread;
    const shared* shared;
    const results* expected;
    uint32_t pool;
    int32_t status;
    bool differs;
} worker;

static void* compute_repeatedly(void* argument) {
    worker* w = argument;
    results* r = malloc(sizeof *r);
    for (int i = 0; i < rounds && w->status == NPUENC_OK; i++) {
        memset(r, 0, sizeof *r);
        w->status = compute(w->shared, r);
        w->differs |= memcmp(r, w->expected, sizeof *r) != 0;
    }
    free(r);
    return NULL;
}

static void run_workers(worker* workers, size_t count, void* (*body)(void*)) {
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, body, &workers[i]), 0);
    for (size_t i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    for (size_t i = 0; i < count; i++) {
        expect_ok(workers[i].status);
        assert_false(workers[i].differs);
    }
}

static results* expected_results(void) {
    results* r = calloc(1, sizeof *r);
    shared alone = make(1);
    expect_ok(compute(&alone, r));
    unmake(&alone);
    return r;
}

static void threads_share_a_context(void** state) {
    (void)state;
    results* expected = expected_results();
    for (uint32_t pool = 1; pool <= 3; pool++) {
        shared s = make(pool);
        worker workers[n_threads] = {0};
        for (size_t i = 0; i < n_threads; i++)
            workers[i].shared = &s, workers[i].expected = expected;
        run_workers(workers, n_threads, compute_repeatedly);

        npuenc_stats stats = {.struct_size = sizeof stats};
        expect_ok(npuenc_ctx_stats(s.ctx, &stats));
        assert_int_equal(stats.n_calls, n_threads * rounds * 7);
        unmake(&s);
    }
    free(expected);
}

static void contexts_share_a_process(void** state) {
    (void)state;
    results* expected = expected_results();
    shared s[2] = {make(2), make(3)};
    worker workers[n_threads] = {0};
    for (size_t i = 0; i < n_threads; i++)
        workers[i].shared = &s[i % 2], workers[i].expected = expected;
    run_workers(workers, n_threads, compute_repeatedly);
    unmake(&s[0]);
    unmake(&s[1]);
    free(expected);
}

/* Opening, loading and closing on every thread at once. */
static void* live_alone(void* argument) {
    worker* w = argument;
    const npuenc_open_options options = {
        .struct_size = sizeof options, .device_type = device_under_test(), .n_threads = w->pool};
    results* r = calloc(1, sizeof *r);
    for (int i = 0; i < rounds && w->status == NPUENC_OK; i++) {
        shared s = {0};
        const npuenc_weight_desc desc = {
            .struct_size = sizeof desc, .type = NPUENC_BF16, .n_out = n, .n_in = n};
        uint32_t count;
        npuenc_device_info info = {.struct_size = sizeof info};
        memset(r, 0, sizeof *r);
        if ((w->status = npuenc_device_count(&count)) == NPUENC_OK &&
            (w->status = npuenc_device_get(0, &info)) == NPUENC_OK &&
            (w->status = npuenc_open(&options, &s.ctx)) == NPUENC_OK &&
            (w->status = npuenc_model_load_memory(s.ctx, small->file, small->file_bytes, NULL,
                                                  &s.model)) == NPUENC_OK &&
            (w->status = npuenc_weight_create(s.ctx, &desc, numbers, sizeof numbers, NULL, 0, NULL,
                                              0, &s.weight)) == NPUENC_OK)
            w->status = compute(&s, r);
        w->differs |= memcmp(r, w->expected, sizeof *r) != 0;
        unmake(&s);
    }
    free(r);
    return NULL;
}

static void contexts_come_and_go_at_once(void** state) {
    (void)state;
    results* expected = expected_results();
    worker workers[n_threads] = {0};
    for (uint32_t i = 0; i < n_threads; i++)
        workers[i].pool = i % 2 + 1, workers[i].expected = expected;
    run_workers(workers, n_threads, live_alone);
    free(expected);
}

/* One run, which one thread uses and others watch, wait for and at last cancel. */
typedef struct watcher {
    pthread_t thread;
    npuenc_run* run;
    atomic_bool* stop;
    bool wrong;
} watcher;

static void* watch(void* argument) {
    watcher* w = argument;
    while (!*w->stop) {
        uint32_t done = 0, total = 0, count = 0;
        npuenc_stats stats = {.struct_size = sizeof stats};
        npuenc_op_info info = {.struct_size = sizeof info};
        w->wrong |= npuenc_run_progress(w->run, &done, &total) != NPUENC_OK || done > total;
        const int32_t statuses[] = {npuenc_run_stats(w->run, &stats),
                                    npuenc_run_op_count(w->run, &count),
                                    npuenc_run_op_get(w->run, 0, &info)};
        for (size_t i = 0; i < COUNT(statuses); i++)
            w->wrong |= statuses[i] != NPUENC_OK && statuses[i] != NPUENC_E_BUSY &&
                        statuses[i] != NPUENC_E_NOT_FOUND;
        const int32_t status = npuenc_run_wait(w->run, 200000);
        w->wrong |=
            status != NPUENC_OK && status != NPUENC_E_PENDING && status != NPUENC_E_CANCELED;
        float c[4];
        const npuenc_mel_desc desc = {.struct_size = sizeof desc, .n_frames = 2};
        w->wrong |= npuenc_mel(NULL, &desc, NULL, 0, c, sizeof c, w->run) != NPUENC_E_INVALID;
    }
    return NULL;
}

static void a_run_is_watched_from_all_sides(void** state) {
    (void)state;
    shared s = make(2);
    npuenc_run* run;
    expect_ok(npuenc_run_create(s.ctx, &run));
    atomic_bool stop = false;
    watcher watchers[3] = {0};
    for (size_t i = 0; i < COUNT(watchers); i++) {
        watchers[i].run = run, watchers[i].stop = &stop;
        pthread_create(&watchers[i].thread, NULL, watch, &watchers[i]);
    }
    enum { batch = 8 };
    const npuenc_encode_desc desc = {
        .struct_size = sizeof desc, .batch = batch, .n_per_item = 400, .n_ctx = 10};
    float* out = malloc(batch * 10 * 128 * sizeof *out);
    const size_t out_bytes = batch * 10 * 128 * sizeof *out;
    int32_t statuses[4 * rounds];
    for (int i = 0; i < 4 * rounds; i++) {
        if (i & 1) {
            statuses[i] =
                npuenc_encode(s.model, &desc, pcm, sizeof pcm, NULL, 0, out, out_bytes, run);
        } else {
            npuenc_encode_submit(s.model, &desc, pcm, sizeof pcm, NULL, 0, out, out_bytes, run);
            if (i & 2)
                npuenc_run_cancel(run);
            statuses[i] = npuenc_run_wait(run, -1);
        }
    }
    stop = true;
    for (size_t i = 0; i < COUNT(watchers); i++) {
        pthread_join(watchers[i].thread, NULL);
        assert_false(watchers[i].wrong);
    }
    for (int i = 0; i < 4 * rounds; i++)
        assert_true(statuses[i] == NPUENC_OK || ((i & 3) == 2 && statuses[i] == NPUENC_E_CANCELED));
    npuenc_run_free(run);
    free(out);
    unmake(&s);
}

/* Threads that want the same run: one gets it, and the others hear so and come again. */
typedef struct rival {
    pthread_t thread;
    const shared* shared;
    npuenc_run* run;
    unsigned n_ok, n_other;
} rival;

enum { rival_calls = 30 };

static void* contend(void* argument) {
    rival* r = argument;
    static const npuenc_encode_desc desc = {.struct_size = sizeof desc, .n_ctx = 4};
    float out[4 * 128];
    while (r->n_ok < rival_calls && r->n_other == 0) {
        const int32_t status =
            npuenc_encode(r->shared->model, &desc, pcm, 640, NULL, 0, out, sizeof out, r->run);
        if (status == NPUENC_OK)
            r->n_ok++;
        else if (status == NPUENC_E_BUSY)
            sched_yield();
        else
            r->n_other++;
    }
    return NULL;
}

static void rivals_for_a_run(void** state) {
    (void)state;
    shared s = make(1);
    npuenc_run* run;
    expect_ok(npuenc_run_create(s.ctx, &run));
    rival rivals[3] = {0};
    for (size_t i = 0; i < COUNT(rivals); i++) {
        rivals[i].shared = &s, rivals[i].run = run;
        pthread_create(&rivals[i].thread, NULL, contend, &rivals[i]);
    }
    for (size_t i = 0; i < COUNT(rivals); i++) {
        pthread_join(rivals[i].thread, NULL);
        assert_int_equal(rivals[i].n_other, 0);
    }
    npuenc_stats stats = {.struct_size = sizeof stats};
    expect_ok(npuenc_ctx_stats(s.ctx, &stats));
    assert_int_equal(stats.n_calls, COUNT(rivals) * rival_calls);
    npuenc_run_free(run);
    unmake(&s);
}

/* What a context makes at its first use is made by one thread, whoever else wants it. */
typedef struct beginner {
    pthread_t thread;
    npuenc_ctx* ctx;
    pthread_barrier_t* barrier;
    int32_t status;
} beginner;

static void* begin_at_once(void* argument) {
    beginner* b = argument;
    float out[128 * 2];
    pthread_barrier_wait(b->barrier);
    for (uint32_t n_mels = 80; n_mels <= 128 && b->status == NPUENC_OK; n_mels += 48) {
        const npuenc_mel_desc desc = {.struct_size = sizeof desc, .n_mels = n_mels, .n_frames = 2};
        b->status = npuenc_mel(b->ctx, &desc, pcm, 1280, out, sizeof out, NULL);
    }
    return NULL;
}

static void first_calls_at_once(void** state) {
    (void)state;
    for (int round = 0; round < rounds; round++) {
        npuenc_ctx* ctx = open_device(1);
        pthread_barrier_t barrier;
        pthread_barrier_init(&barrier, NULL, n_threads);
        beginner beginners[n_threads] = {0};
        for (size_t i = 0; i < n_threads; i++) {
            beginners[i].ctx = ctx, beginners[i].barrier = &barrier;
            pthread_create(&beginners[i].thread, NULL, begin_at_once, &beginners[i]);
        }
        for (size_t i = 0; i < n_threads; i++) {
            pthread_join(beginners[i].thread, NULL);
            expect_ok(beginners[i].status);
        }
        pthread_barrier_destroy(&barrier);
        npuenc_close(ctx);
    }
}

/* Calls that begin later do not keep npuenc_close waiting: here one or another is always in flight,
 * and they end when it has returned. */
typedef struct linear_caller {
    pthread_t thread;
    npuenc_weight* weight;
    atomic_uint* working;
    atomic_bool* closed;
    int32_t status;
} linear_caller;

static void* work_until_closed(void* argument) {
    linear_caller* w = argument;
    const npuenc_linear_desc desc = {
        .struct_size = sizeof desc, .x_type = NPUENC_BF16, .y_type = NPUENC_F32, .rows = n};
    float y[n * n];
    for (bool first = true; w->status == NPUENC_OK && !atomic_load(w->closed); first = false) {
        w->status = npuenc_linear(w->weight, &desc, numbers, sizeof numbers, y, sizeof y, NULL);
        atomic_fetch_add(w->working, first);
    }
    return NULL;
}

static void a_context_is_closed_while_its_weight_works(void** state) {
    (void)state;
    shared s = make(1);
    atomic_uint working = 0;
    atomic_bool closed = false;
    linear_caller callers[n_threads] = {0};
    for (size_t i = 0; i < n_threads; i++) {
        callers[i] = (linear_caller){.weight = s.weight, .working = &working, .closed = &closed};
        pthread_create(&callers[i].thread, NULL, work_until_closed, &callers[i]);
    }
    while (atomic_load(&working) < n_threads)
        sched_yield();
    npuenc_close(s.ctx);
    atomic_store(&closed, true);
    for (size_t i = 0; i < n_threads; i++) {
        pthread_join(callers[i].thread, NULL);
        expect_ok(callers[i].status);
    }
    s.ctx = NULL;
    unmake(&s);
}

static int set_up(void** state) {
    (void)state;
    random_source source = {1};
    for (size_t i = 0; i < COUNT(numbers); i++)
        numbers[i] = bf16_of(random_real(&source));
    for (size_t i = 0; i < COUNT(pcm); i++)
        pcm[i] = 0.3f * random_real(&source);
    small = whisper_create((whisper_shape){80, 10, 128, 2, 2}, 1);
    return 0;
}

static int tear_down(void** state) {
    (void)state;
    whisper_free(small);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_share_a_context),
        cmocka_unit_test(contexts_share_a_process),
        cmocka_unit_test(contexts_come_and_go_at_once),
        cmocka_unit_test(a_run_is_watched_from_all_sides),
        cmocka_unit_test(rivals_for_a_run),
        cmocka_unit_test(first_calls_at_once),
        cmocka_unit_test(a_context_is_closed_while_its_weight_works),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
