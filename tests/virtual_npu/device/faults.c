/* SPDX-License-Identifier: MIT
 *
 * Every fault of an NPU in every call: the status that the header gives it and a line of words,
 * nothing left behind or printed, no wrong number, and the next call, or the next context, works.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handles.h"

/* ---- Faults while a context is opened ---- */

static void expect_words(const char* part) {
    char detail[512];
    npuenc_last_error(detail, sizeof detail);
    if (!strstr(detail, part))
        fail_msg("no word of \"%s\" in: %s", part, detail);
}

static const struct opening {
    const char* fault;
    int32_t status;
    const char* words; /* that the detail has */
} openings[] = {
    {"open", NPUENC_E_UNSUPPORTED, "render"},
    {"memlock", NPUENC_E_UNSUPPORTED, "memlock"},
    {"heap", NPUENC_E_NOMEM, "memory"},
    {"memory", NPUENC_E_NOMEM, "memory"},
    {"context", NPUENC_E_BUSY, "context"},
    {"config", NPUENC_E_UNSUPPORTED, "firmware"},
    {"submit", NPUENC_E_DEVICE, ""},
    {"error", NPUENC_E_DEVICE, ""},
    {"timeout", NPUENC_E_TIMEOUT, ""},
    {"reset", NPUENC_E_DEVICE, ""},
    {"wrong-data", NPUENC_E_DEVICE, "self-test"},
    {"no-driver", NPUENC_E_UNSUPPORTED, "driver"},
    {"node-missing", NPUENC_E_UNSUPPORTED, "/dev/accel"},
};

static void opening_fails_in_words(void** state) {
    (void)state;
    for (size_t i = 0; i < COUNT(openings); i++) {
        print_message("%s\n", openings[i].fault);
        npuenc_ctx* ctx = (npuenc_ctx*)&ctx;
        set_faults(openings[i].fault);
        expect(openings[i].status, open_type(NPUENC_DEVICE_NPU, &ctx));
        expect_words(openings[i].words);
        assert_null(ctx);
        set_faults("");
        expect_nothing_alive();
        npuenc_close(open_device(1));
        expect_nothing_alive();
    }
}

/* ---- Faults in calls of an open context ---- */

/* A call that submits nothing to the array is not concerned. */
enum { ok = NPUENC_OK, device = NPUENC_E_DEVICE };

static const struct fault {
    const char* name;
    int32_t status[n_calls];
} faults[] = {
    {"submit:1", {device, device, device, ok, device, device}},
    {"error:1", {device, device, device, ok, device, device}},
    {"reset:1", {device, device, device, ok, device, device}},
    {"timeout:1",
     {NPUENC_E_TIMEOUT, NPUENC_E_TIMEOUT, NPUENC_E_TIMEOUT, ok, NPUENC_E_TIMEOUT,
      NPUENC_E_TIMEOUT}},
    {"submit", {device, device, device, ok, device, device}},
    {"error", {device, device, device, ok, device, device}},
    {"timeout",
     {NPUENC_E_TIMEOUT, NPUENC_E_TIMEOUT, NPUENC_E_TIMEOUT, ok, NPUENC_E_TIMEOUT,
      NPUENC_E_TIMEOUT}},
};

static int32_t ctx_status(const handles* of) {
    npuenc_ctx_info info = {.struct_size = sizeof info};
    expect_ok(npuenc_ctx_get_info(of->ctx, &info));
    return info.status;
}

static void calls_fail_and_the_context_goes_on(void** state) {
    handles* const expected = *state;
    for (size_t f = 0; f < COUNT(faults); f++)
        for (size_t c = 0; c < n_calls; c++) {
            print_message("%s in %s\n", faults[f].name, calls[c].name);
            handles* h = make_handles(1);
            expect_ok(calls[c].make(h)); /* so that its buffers are there */
            set_faults(faults[f].name);
            expect(faults[f].status[c], calls[c].make(h));
            set_faults("");
            assert_int_equal(ctx_status(h), NPUENC_OK);
            expect_ok(make_calls(h));
            expect_same_results(h, expected);
            free_handles(h);
            expect_nothing_alive();
        }
}

/* Whether a call needs memory depends on what is there from before: it fails for want of it, or has
 * the right results. */
static void calls_without_memory(void** state) {
    handles* const expected = *state;
    handles* h = make_handles(1);
    for (size_t c = 0; c < n_calls; c++) {
        print_message("%s\n", calls[c].name);
        set_faults("memory");
        const int32_t status = calls[c].make(h);
        set_faults("");
        if (status != NPUENC_OK)
            expect(NPUENC_E_NOMEM, status);
        if (c == call_of_load)
            assert_int_equal(status, NPUENC_E_NOMEM);
        expect_ok(calls[c].make(h));
    }
    expect_same_results(h, expected);
    free_handles(h);
    expect_nothing_alive();
}

/* The device goes: from then on every call says so, and a new context is needed even after it has
 * come back. */
static void a_lost_device_stays_lost(void** state) {
    handles* const expected = *state;
    for (size_t c = 0; c < n_calls; c++) {
        print_message("%s\n", calls[c].name);
        handles* h = make_handles(1);
        set_faults("removed");
        const int32_t status = calls[c].make(h);
        assert_true(status == NPUENC_E_CTX_LOST || c == call_of_load);
        expect(NPUENC_E_CTX_LOST, multiply(h));
        assert_int_equal(ctx_status(h), NPUENC_E_CTX_LOST);
        set_faults("");
        for (size_t next = 0; next < n_calls; next++)
            expect(NPUENC_E_CTX_LOST, calls[next].make(h));
        assert_int_equal(ctx_status(h), NPUENC_E_CTX_LOST);
        free_handles(h);
        expect_nothing_alive();

        h = make_handles(1);
        expect_ok(make_calls(h));
        expect_same_results(h, expected);
        free_handles(h);
        expect_nothing_alive();
    }
}

/* What is queued behind a command that hangs is aborted with it; the context goes on. */
static void what_is_queued_behind_a_hang_fails_too(void** state) {
    handles* const expected = *state;
    handles* h = make_handles(1);
    npuenc_run* runs[3];
    static float states[3][n_states];
    for (size_t i = 0; i < COUNT(runs); i++)
        expect_ok(npuenc_run_create(h->ctx, &runs[i]));
    set_faults("timeout:1");
    for (size_t i = 0; i < COUNT(runs); i++)
        expect_ok(submit_encode(h, states[i], runs[i]));
    int n_timeouts = 0;
    for (size_t i = 0; i < COUNT(runs); i++) {
        const int32_t status = npuenc_run_wait(runs[i], -1);
        assert_true(status == NPUENC_OK || status == NPUENC_E_TIMEOUT || status == NPUENC_E_DEVICE);
        n_timeouts += status == NPUENC_E_TIMEOUT;
        if (status == NPUENC_OK)
            assert_memory_equal(states[i], expected->states, sizeof states[i]);
        npuenc_run_free(runs[i]);
    }
    assert_int_equal(n_timeouts, 1);
    set_faults("");
    expect_ok(encode(h));
    assert_memory_equal(h->states, expected->states, sizeof h->states);
    free_handles(h);
    expect_nothing_alive();
}

/* So that a test that has failed is no other's failure. */
static int repair(void** state) {
    (void)state;
    set_faults("");
    return 0;
}

static int set_up(void** state) {
    set_up_handles(state);
    handles* expected = make_handles(1);
    expect_ok(make_calls(expected));
    close_handles(expected);
    *state = expected;
    expect_nothing_alive();
    return 0;
}

static int tear_down(void** state) {
    free(*state);
    return tear_down_handles(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(opening_fails_in_words, repair),
        cmocka_unit_test_teardown(calls_fail_and_the_context_goes_on, repair),
        cmocka_unit_test_teardown(calls_without_memory, repair),
        cmocka_unit_test_teardown(a_lost_device_stays_lost, repair),
        cmocka_unit_test_teardown(what_is_queued_behind_a_hang_fails_too, repair),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
