/* SPDX-License-Identifier: MIT
 *
 * Processes that share an NPU, and one that is killed while it uses it. The first one of all never
 * opens it, as a child of one that has could not.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "handles.h"

/* In a child an assertion could only jump into the parent's copy of cmocka. */
static void leave(handles* of, const char* what) {
    char detail[512] = "";
    npuenc_last_error(detail, sizeof detail);
    if (what)
        fprintf(stderr, "process %d: %s; last detail: %s\n", (int)getpid(), what, detail);
    if (of)
        free_handles(of);
    exit(what ? 1 : 0); /* through the exit handlers: the leak report is one of them */
}

static handles* open_all(void) {
    npuenc_ctx* ctx;
    if (open_type(NPUENC_DEVICE_NPU, &ctx) != NPUENC_OK)
        leave(NULL, "could not open the NPU");
    npuenc_close(ctx);
    return make_handles(1);
}

/* The same results at every turn, whoever else is there. */
static void work(void) {
    handles* of = open_all();
    handles* first = malloc(sizeof *first);
    for (int i = 0; i < 20; i++) {
        if (make_calls(of) != NPUENC_OK)
            leave(of, "a call failed");
        if (i == 0)
            *first = *of;
        if (!has_same_results(of, first))
            leave(of, "the results have changed");
    }
    free(first);
    leave(of, NULL);
}

static pid_t start(void (*body)(void)) {
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(300);
        body();
    }
    return child;
}

static void expect_success(pid_t child) {
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void three_processes_at_once(void** state) {
    (void)state;
    pid_t children[3];
    for (size_t i = 0; i < COUNT(children); i++)
        children[i] = start(work);
    for (size_t i = 0; i < COUNT(children); i++)
        expect_success(children[i]);
}

static int told[2]; /* a pipe to the parent */

static void work_until_killed(void) {
    handles* of = open_all();
    for (int i = 0;; i++) {
        if (make_calls(of) != NPUENC_OK)
            leave(of, "a call failed");
        if (i == 1 && write(told[1], "x", 1) != 1)
            leave(of, "nobody listens");
    }
}

/* That it works; none comes from one that has failed. */
static void await_word(void) {
    char byte;
    close(told[1]);
    assert_int_equal(read(told[0], &byte, 1), 1);
    close(told[0]);
}

/* At some instruction of a call; then at some other. */
static void killed_processes_leave_the_npu_to_others(void** state) {
    (void)state;
    for (int i = 0; i < 8; i++) { /* more than there are hardware contexts */
        assert_int_equal(pipe(told), 0);
        const pid_t victim = start(work_until_killed);
        await_word();
        usleep((useconds_t)(i * 700));
        kill(victim, SIGKILL);
        int status = 0;
        assert_int_equal(waitpid(victim, &status, 0), victim);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        expect_success(start(work));
    }
    virtual_npu_alive alive;
    virtual_npu_read_alive(&alive);
    assert_int_equal(alive.contexts_of_all, 0);
}

static void one_is_killed_among_others(void** state) {
    (void)state;
    assert_int_equal(pipe(told), 0);
    const pid_t victim = start(work_until_killed), others[2] = {start(work), start(work)};
    await_word();
    kill(victim, SIGKILL);
    assert_int_equal(waitpid(victim, NULL, 0), victim);
    for (size_t i = 0; i < COUNT(others); i++)
        expect_success(others[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_processes_at_once),
        cmocka_unit_test(killed_processes_leave_the_npu_to_others),
        cmocka_unit_test(one_is_killed_among_others),
    };
    return cmocka_run_group_tests(tests, set_up_handles, tear_down_handles);
}
