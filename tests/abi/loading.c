/* SPDX-License-Identifier: MIT
 *
 * libnpuenc.so as a plugin or a binding for another language loads it: by dlopen, into a program
 * that is not linked to it. The library's path is the argument.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "plugin.h"

static const char* path;

static void it_loads_in_every_way(void** state) {
    (void)state;
    assert_null(dlsym(RTLD_DEFAULT, "npuenc_version"));
    const int flags[] = {RTLD_NOW | RTLD_LOCAL, RTLD_LAZY | RTLD_LOCAL, RTLD_NOW,
                         RTLD_NOW | (is_instrumented ? 0 : RTLD_DEEPBIND)};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        void* library = open_library(path, flags[i]);
        use(library);
        assert_null(dlsym(RTLD_DEFAULT, "npuenc_version")); /* nothing leaks out */
        assert_int_equal(dlclose(library), 0);
    }
}

static void symbols_have_their_version(void** state) {
    (void)state;
    void* library = open_library(path, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(dlvsym(library, "npuenc_version", "NPUENC_1.0"));
    assert_ptr_equal(dlvsym(library, "npuenc_open", "NPUENC_1.0"), dlsym(library, "npuenc_open"));
    assert_null(dlvsym(library, "npuenc_version", "NPUENC_0.1"));
    assert_null(dlsym(library, "npuenc_no_such_function"));
    dlclose(library);
}

/* Threads of npuenc's and those that used it may outlive a dlclose: the code stays. */
static void it_stays_loaded(void** state) {
    (void)state;
    void* library = open_library(path, RTLD_NOW | RTLD_LOCAL);
    const __typeof__(&npuenc_version) version = FUNCTION(library, npuenc_version);
    const __typeof__(&npuenc_close) close_ctx = FUNCTION(library, npuenc_close);
    npuenc_ctx* ctx = NULL;
    assert_int_equal(FUNCTION(library, npuenc_open)(NULL, &ctx), NPUENC_OK);
    assert_int_equal(dlclose(library), 0);
    assert_int_equal(version(), header_version);
    close_ctx(ctx);

    void* again = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    assert_ptr_equal(again, library);
    use(again);
    dlclose(again);
}

static void* load_use_and_unload(void* argument) {
    (void)argument;
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return (void*)dlerror();
    void *last_error = dlsym(library, "npuenc_last_error"), *open = dlsym(library, "npuenc_open");
    if ((*(__typeof__(&npuenc_open)*)&open)(NULL, NULL) != NPUENC_E_INVALID ||
        (*(__typeof__(&npuenc_last_error)*)&last_error)(NULL, 0) == 0)
        return "wrong answer";
    dlclose(library);
    return NULL;
}

static void threads_come_and_go(void** state) {
    (void)state;
    for (int round = 0; round < 8; round++) {
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
            pthread_create(&threads[i], NULL, load_use_and_unload, NULL);
        for (int i = 0; i < 4; i++) {
            void* wrong;
            pthread_join(threads[i], &wrong);
            if (wrong)
                fail_msg("%s", (char*)wrong);
        }
    }
}

static void* load_and_use(void* library) {
    *(void**)library = open_library(path, RTLD_NOW | RTLD_LOCAL);
    use(*(void**)library);
    return NULL;
}

/* What belongs to the thread that loaded the library goes with it, and nothing else does. */
static void the_thread_that_loaded_it_may_end(void** state) {
    (void)state;
    void* library = NULL;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, load_and_use, &library), 0);
    pthread_join(thread, NULL);
    assert_non_null(library);
    use(library);
    dlclose(library);
}

static size_t entries(const char* directory) {
    DIR* opened = opendir(directory);
    if (!opened)
        fail_msg("%s cannot be read", directory);
    size_t n = 0;
    while (readdir(opened))
        n++;
    closedir(opened);
    return n;
}

/* A thread that was joined may be seen for a moment more. */
static bool threads_come_down_to(size_t n) {
    for (int tries = 0; tries < 1000; tries++) {
        if (entries("/proc/self/task") <= n)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return false;
}

static size_t mappings_of_the_library(void) {
    FILE* maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    char line[4096];
    size_t n = 0;
    while (fgets(line, sizeof line, maps))
        n += strstr(line, "libnpuenc") != NULL;
    fclose(maps);
    return n;
}

static void loading_again_and_again_leaves_nothing(void** state) {
    (void)state;
    enum { warm_up = 12, rounds = 48 };
    const size_t threads = entries("/proc/self/task");
    size_t descriptors = 0, mappings = 0, allocated = 0;
    for (int round = 0; round < rounds; round++) {
        void* library = open_library(path, RTLD_NOW | RTLD_LOCAL);
        use(library);
        assert_int_equal(dlclose(library), 0);
        assert_true(threads_come_down_to(threads));
        if (round == warm_up) {
            descriptors = entries("/proc/self/fd");
            mappings = mappings_of_the_library();
            allocated = mallinfo2().uordblks;
        }
    }
    assert_true(mappings > 0);
    assert_int_equal(entries("/proc/self/fd"), descriptors);
    assert_int_equal(mappings_of_the_library(), mappings);
    /* Blocks differ a little in size by where there was room, but one that is lost each round would
     * show: the smallest has 32 bytes. */
    assert_in_range(mallinfo2().uordblks, 0, allocated + (rounds - 1 - warm_up) * 32 - 1);
}

/* As when two plugins of a program each bring their own. */
static void two_copies_do_not_meet(void** state) {
    (void)state;
    char directory[] = "/tmp/npuenc-loading-XXXXXX", copy[sizeof directory + 16];
    assert_non_null(mkdtemp(directory));
    snprintf(copy, sizeof copy, "%s/libcopy.so", directory);
    copy_file(path, copy, 0700);
    void* first = open_library(path, RTLD_NOW | RTLD_LOCAL);
    void* second = open_library(copy, RTLD_NOW | RTLD_LOCAL);
    unlink(copy);
    rmdir(directory);
    assert_ptr_not_equal(first, second);
    assert_ptr_not_equal(function(first, "npuenc_open"), function(second, "npuenc_open"));

    npuenc_ctx* ctx = NULL; /* whose threads exist while the other copy works */
    assert_int_equal(FUNCTION(first, npuenc_open)(NULL, &ctx), NPUENC_OK);
    assert_int_equal(FUNCTION(first, npuenc_open)(NULL, NULL), NPUENC_E_INVALID);
    assert_int_equal(FUNCTION(second, npuenc_last_error)(NULL, 0), 0);
    use(second);
    use(first);
    dlclose(second);
    npuenc_ctx_info info = {.struct_size = sizeof info};
    assert_int_equal(FUNCTION(first, npuenc_ctx_get_info)(ctx, &info), NPUENC_OK);
    FUNCTION(first, npuenc_close)(ctx);
    dlclose(first);
}

int main(int argc, char** argv) {
    if (argc != 2)
        return EXIT_FAILURE;
    path = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_loads_in_every_way),
        cmocka_unit_test(symbols_have_their_version),
        cmocka_unit_test(it_stays_loaded),
        cmocka_unit_test(threads_come_and_go),
        cmocka_unit_test(the_thread_that_loaded_it_may_end),
        cmocka_unit_test(loading_again_and_again_leaves_nothing),
        cmocka_unit_test(two_copies_do_not_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
