/* SPDX-License-Identifier: MIT
 *
 * What npuenc says of its work with the NPU is what the driver below has seen. Wants XRT's driver
 * synchronisation, as a plain synchronisation is no system call.
 */
#include "handles.h"

static handles* of;

/* Of a call that is made for the second time: XRT synchronises every buffer when it makes it, those
 * of instruction streams too. */
static void check_counts(int32_t (*make)(handles*), const char* name) {
    npuenc_stats before = {.struct_size = sizeof before}, after = before;
    expect_ok(make(of));
    expect_ok(npuenc_ctx_stats(of->ctx, &before));
    virtual_npu_reset_counters();
    expect_ok(make(of));
    expect_ok(npuenc_ctx_stats(of->ctx, &after));
    virtual_npu_counters seen;
    virtual_npu_read_counters(&seen);
    const uint64_t submissions = after.n_submissions - before.n_submissions;
    const uint64_t syncs = after.n_syncs - before.n_syncs;
    print_message("%s: %llu submissions, %llu synchronisations\n", name,
                  (unsigned long long)submissions, (unsigned long long)syncs);
    assert_true(submissions > 0 && syncs > 0);
    assert_int_equal(seen.submissions, submissions);
    assert_int_equal(seen.syncs_to_device + seen.syncs_from_device, syncs);
    assert_int_equal(seen.bytes_to_device, after.bytes_to_device - before.bytes_to_device);
    assert_int_equal(seen.bytes_from_device, after.bytes_from_device - before.bytes_from_device);
}

static void statistics_are_what_the_driver_saw(void** state) {
    (void)state;
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < n_calls; i++)
            if (i != call_of_load) /* which submits nothing */
                check_counts(calls[i].make, calls[i].name);
}

static int32_t multiply_512(handles* with) {
    enum { n = 512 };
    static int8_t a[n * n];
    static int32_t c[n * n];
    return multiply_by_itself(with->ctx, n, a, c);
}

/* Tile by tile it would be 32,768 submissions and 65,536 synchronisations. */
static void a_product_of_512_is_one_submission(void** state) {
    (void)state;
    check_counts(multiply_512, "matmul of 512 cubed");
    virtual_npu_counters seen;
    virtual_npu_read_counters(&seen);
    assert_int_equal(seen.submissions, 1);
    assert_int_equal(seen.syncs_to_device, 1);
    assert_int_equal(seen.syncs_from_device, 1);
}

static int set_up(void** state) {
    set_up_handles(state);
    of = make_handles(1);
    return 0;
}

static int tear_down(void** state) {
    free_handles(of);
    return tear_down_handles(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics_are_what_the_driver_saw),
        cmocka_unit_test(a_product_of_512_is_one_submission),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
