/* SPDX-License-Identifier: MIT
 *
 * libnpuenc.so in a process that lacks what others have, or has what they lack. Each scene takes a
 * process of its own, since what is done to it cannot be undone:
 *
 *     abi-surroundings LIBRARY SCENE
 */
#include <dlfcn.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "plugin.h"

enum { skipped = 77 }; /* to Meson */

static char path[PATH_MAX], self[PATH_MAX];

static long faults(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

static double milliseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

static void* load(void) {
    const long faults_before = faults();
    const double began = milliseconds();
    void* library = open_library(path, RTLD_NOW | RTLD_LOCAL);
    printf("dlopen: %.1f ms, %ld pages touched\n", milliseconds() - began,
           faults() - faults_before);
    return library;
}

/* With the defaults it looks for devices, physical cores and the number of threads. */
static void use_with_defaults(void* library) {
    npuenc_ctx* ctx = NULL;
    assert_int_equal(FUNCTION(library, npuenc_open)(NULL, &ctx), NPUENC_OK);
    npuenc_ctx_info info = {.struct_size = sizeof info};
    assert_int_equal(FUNCTION(library, npuenc_ctx_get_info)(ctx, &info), NPUENC_OK);
    assert_true(info.n_threads > 0);
    FUNCTION(library, npuenc_close)(ctx);
}

static void load_and_use(void) {
    void* library = load();
    use(library);
    use_with_defaults(library);
    assert_int_equal(dlclose(library), 0);
}

static const char* skipped_for; /* NULL: the scene could be played */

static void skip_for(const char* reason) {
    skipped_for = reason;
    skip();
}

/* ---- Scenes ---- */

static void without_environment(void** state) {
    (void)state;
    clearenv(); /* HOME with it */
    load_and_use();
}

static void bound_now(void** state) {
    (void)state;
    assert_non_null(getenv("LD_BIND_NOW")); /* which the loader reads when a process begins */
    load_and_use();
}

/* Loaded by a path that is no longer right when the library is used. */
static void in_another_directory(void** state) {
    (void)state;
    char directory[PATH_MAX];
    strcpy(directory, path);
    char* name = strrchr(directory, '/');
    assert_non_null(name);
    *name++ = '\0';
    assert_int_equal(chdir(directory), 0);
    snprintf(path, sizeof path, "./%s", name);
    void* library = load();
    assert_int_equal(chdir("/"), 0);
    use(library);
    use_with_defaults(library);
}

/* As in a sandbox: nothing of the machine can be read. */
static void without_proc_and_sys(void** state) {
    (void)state;
    if (is_instrumented)
        skip_for("sanitizers need /proc");
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        skip_for("this process may not have mounts of its own");
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/proc", "tmpfs", 0, NULL) != 0 ||
        mount("none", "/sys", "tmpfs", 0, NULL) != 0)
        skip_for("/proc and /sys cannot be hidden here");
    assert_int_equal(access("/proc/self", F_OK), -1);
    assert_int_equal(access("/sys/devices", F_OK), -1);
    load_and_use();
}

static const char nonsense[] = "nonsense"; /* no value of NPUENC_ISA */

static void already_raised(void** state) {
    (void)state;
    if (getauxval(AT_SECURE) == 0)
        skip_for("set-group-ID has no effect here");
    assert_string_equal(getenv("NPUENC_ISA"), nonsense); /* it is there, and ignored */
    load_and_use();
}

/* Another group of this user's, any if it is root; its own where there is none. */
static gid_t other_group(void) {
    gid_t groups[64];
    const int n = getgroups(64, groups);
    for (int i = 0; i < n; i++)
        if (groups[i] != getgid())
            return groups[i];
    return geteuid() == 0 ? getgid() + 1 : getgid();
}

/* The scene above, in a copy of this program that has another group by its set-group-ID bit. */
static void with_raised_privileges(void** state) {
    (void)state;
    char directory[] = "/tmp/npuenc-privileges-XXXXXX", copy[sizeof directory + 16];
    assert_non_null(mkdtemp(directory));
    snprintf(copy, sizeof copy, "%s/surroundings", directory);
    copy_file(self, copy, 0755);
    const gid_t group = other_group();
    pid_t child = -1;
    if (group != getgid() && chown(copy, (uid_t)-1, group) == 0 && chmod(copy, 02755) == 0)
        child = fork();
    if (child == 0) {
        setenv("NPUENC_ISA", nonsense, 1);
        execl(copy, copy, path, "already_raised", (char*)NULL);
        _exit(skipped);
    }
    int status = -1;
    if (child > 0)
        assert_int_equal(waitpid(child, &status, 0), child);
    unlink(copy);
    rmdir(directory);
    if (child < 0)
        skip_for("this user has no second group for a set-group-ID program");
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == skipped)
        skip_for("a set-group-ID program in /tmp cannot be run, or has no more rights");
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char** argv) {
    if (argc != 3 || !realpath(argv[1], path) || !realpath(argv[0], self))
        return EXIT_FAILURE;
    const struct CMUnitTest scenes[] = {
        cmocka_unit_test(without_environment),    cmocka_unit_test(bound_now),
        cmocka_unit_test(in_another_directory),   cmocka_unit_test(without_proc_and_sys),
        cmocka_unit_test(with_raised_privileges), cmocka_unit_test(already_raised),
    };
    for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
        if (strcmp(argv[2], scenes[i].name) != 0)
            continue;
        const struct CMUnitTest scene[] = {scenes[i]};
        const int n_failed = cmocka_run_group_tests(scene, NULL, NULL);
        if (skipped_for)
            printf("%s\n", skipped_for);
        return skipped_for ? skipped : n_failed;
    }
    return EXIT_FAILURE;
}
