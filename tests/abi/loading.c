/* SPDX-License-Identifier: MIT
 *
 * libnpuenc.so as a plugin or a binding for another language loads it: by dlopen, into a program
 * that is not linked to it. The library's path is the argument.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#include <cmocka.h>

#include <npuenc/npuenc.h>

static const char* path;

static void* function(void* library, const char* name) {
    void* found = dlsym(library, name);
    if (!found)
        fail_msg("%s: %s", name, dlerror());
    return found;
}

/* ISO C has no conversion from object pointers to functions; POSIX does. */
#define FUNCTION(library, name) (*(__typeof__(&name)*)&(void*){function(library, #name)})

static void* open_library(int flags) {
    void* library = dlopen(path, flags);
    if (!library)
        fail_msg("%s", dlerror());
    return library;
}

static void use(void* library) {
    assert_int_equal(FUNCTION(library, npuenc_version)(), 0x000900);
    npuenc_ctx* ctx = NULL;
    const npuenc_open_options options = {
        .struct_size = sizeof options, .device_type = NPUENC_DEVICE_CPU, .n_threads = 2};
    assert_int_equal(FUNCTION(library, npuenc_open)(&options, &ctx), NPUENC_OK);
    const float a[4] = {1, 2, 3, 4};
    float c[4] = {0};
    npuenc_matmul_desc desc = {.struct_size = sizeof desc, .m = 2, .n = 2, .k = 2};
    desc.a_type = desc.b_type = desc.c_type = NPUENC_F32;
    assert_int_equal(
        FUNCTION(library, npuenc_matmul)(ctx, &desc, a, sizeof a, a, sizeof a, c, sizeof c, NULL),
        NPUENC_OK);
    assert_true(c[0] == 7 && c[1] == 10 && c[2] == 15 && c[3] == 22);
    npuenc_model* model = (npuenc_model*)&model; /* an exception inside, a status outside */
    assert_int_equal(FUNCTION(library, npuenc_model_load_memory)(ctx, "nonsense", 8, NULL, &model),
                     NPUENC_E_BAD_MODEL);
    assert_null(model);
    char detail[200];
    assert_true(FUNCTION(library, npuenc_last_error)(detail, sizeof detail) > 0);
    FUNCTION(library, npuenc_close)(ctx);
}

static void it_loads_in_every_way(void** state) {
    (void)state;
    assert_null(dlsym(RTLD_DEFAULT, "npuenc_version"));
    const int flags[] = {RTLD_NOW | RTLD_LOCAL, RTLD_LAZY | RTLD_LOCAL, RTLD_NOW};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        void* library = open_library(flags[i]);
        use(library);
        assert_null(dlsym(RTLD_DEFAULT, "npuenc_version")); /* nothing leaks out */
        assert_int_equal(dlclose(library), 0);
    }
}

static void symbols_have_their_version(void** state) {
    (void)state;
    void* library = open_library(RTLD_NOW | RTLD_LOCAL);
    assert_non_null(dlvsym(library, "npuenc_version", "NPUENC_0.9"));
    assert_ptr_equal(dlvsym(library, "npuenc_open", "NPUENC_0.9"), dlsym(library, "npuenc_open"));
    assert_null(dlvsym(library, "npuenc_version", "NPUENC_1.0"));
    assert_null(dlsym(library, "npuenc_no_such_function"));
    dlclose(library);
}

/* Threads of npuenc's and those that used it may outlive a dlclose: the code stays. */
static void it_stays_loaded(void** state) {
    (void)state;
    void* library = open_library(RTLD_NOW | RTLD_LOCAL);
    const __typeof__(&npuenc_version) version = FUNCTION(library, npuenc_version);
    const __typeof__(&npuenc_close) close_ctx = FUNCTION(library, npuenc_close);
    npuenc_ctx* ctx = NULL;
    assert_int_equal(FUNCTION(library, npuenc_open)(NULL, &ctx), NPUENC_OK);
    assert_int_equal(dlclose(library), 0);
    assert_int_equal(version(), 0x000900);
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

int main(int argc, char** argv) {
    if (argc != 2)
        return EXIT_FAILURE;
    path = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_loads_in_every_way),
        cmocka_unit_test(symbols_have_their_version),
        cmocka_unit_test(it_stays_loaded),
        cmocka_unit_test(threads_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
