/* SPDX-License-Identifier: MIT
 *
 * Many products, and many threads.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "handles.h"

static size_t resident_bytes(void) {
    FILE* file = fopen("/proc/self/statm", "r");
    unsigned long size, resident;
    assert_int_equal(fscanf(file, "%lu %lu", &size, &resident), 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Sanitizers keep what is freed for a while, so that only the driver's memory counts then. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { is_sanitized = 1, n_products = 1000 };
#else
enum { is_sanitized = 0, n_products = 10000 };
#endif

/* A hundred bytes that each product leaves behind are 900 KB; the allocator's own ups and downs are
 * less. */
static void products_leave_nothing_behind(void** state) {
    (void)state;
    enum { n_first = 500, most = 900000 };
    handles* of = make_handles(1);
    virtual_npu_alive before, after;
    size_t first = 0;
    for (int i = 0; i < n_products; i++) {
        if (i == n_first) {
            first = resident_bytes();
            virtual_npu_read_alive(&before);
        }
        expect_ok(i % 16 ? multiply(of) : project(of)); /* now and then on another overlay */
    }
    const size_t last = resident_bytes();
    virtual_npu_read_alive(&after);
    print_message("%d products: %zu KB, then %zu KB; %llu buffers\n", n_products, first >> 10,
                  last >> 10, (unsigned long long)after.buffers);
    assert_memory_equal(&before, &after, sizeof after);
    assert_true(is_sanitized || last <= first + most);
    free_handles(of);
    expect_nothing_alive();
}

typedef struct worker {
    pthread_t thread;
    const handles* shared;
    const handles* expected;
    int32_t status;
    bool differs;
} worker;

static void* compute(void* argument) {
    worker* w = argument;
    handles* own = malloc(sizeof *own); /* the same handles, results of its own */
    *own = *w->shared;
    w->status = npuenc_run_create(own->ctx, &own->run);
    for (int round = 0; round < 4 && w->status == NPUENC_OK; round++)
        w->status = make_calls(own);
    w->differs = !has_same_results(own, w->expected);
    npuenc_run_free(own->run);
    free(own);
    return NULL;
}

static void eight_threads_share_a_context(void** state) {
    (void)state;
    handles* expected = make_handles(1);
    worker alone = {.shared = expected, .expected = expected};
    expect_ok(make_calls(expected));
    compute(&alone);
    expect_ok(alone.status);
    assert_false(alone.differs);

    handles* shared = make_handles(2);
    worker workers[8];
    for (size_t i = 0; i < COUNT(workers); i++) {
        workers[i] = (worker){.shared = shared, .expected = expected};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, compute, &workers[i]), 0);
    }
    for (size_t i = 0; i < COUNT(workers); i++) {
        pthread_join(workers[i].thread, NULL);
        expect_ok(workers[i].status);
        assert_false(workers[i].differs);
    }
    free_handles(shared);
    free_handles(expected);
    expect_nothing_alive();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_leave_nothing_behind),
        cmocka_unit_test(eight_threads_share_a_context),
    };
    return cmocka_run_group_tests(tests, set_up_handles, tear_down_handles);
}
