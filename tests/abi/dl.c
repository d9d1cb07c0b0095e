/* SPDX-License-Identifier: MIT
 *
 * npuenc_dl.h: a library that has everything, one that lacks a function, and none at all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <npuenc/npuenc_dl.h>

static const char* whole;   /* the library */
static const char* without; /* the same, but for npuenc_mel */

static bool is_empty(const npuenc_dl* dl) {
    const npuenc_dl empty = {0};
    return !dl->library && memcmp(&dl->npuenc_version, &empty.npuenc_version,
                                  sizeof *dl - offsetof(npuenc_dl, npuenc_version)) == 0;
}

static npuenc_dl rubbish(void) {
    npuenc_dl dl;
    memset(&dl, 0xa5, sizeof dl);
    return dl;
}

static void loads_every_function(void** state) {
    (void)state;
    npuenc_dl dl = rubbish();
    assert_int_equal(npuenc_dl_load(&dl, whole), NPUENC_OK);
    assert_string_equal(dl.error, "");
    void* functions[(sizeof dl - offsetof(npuenc_dl, npuenc_version)) / sizeof(void*)];
    memcpy(functions, &dl.npuenc_version, sizeof functions);
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        Dl_info found;
        assert_int_not_equal(dladdr(functions[i], &found), 0);
        assert_ptr_equal(functions[i], found.dli_saddr);
    }
    npuenc_dl_unload(&dl);
    assert_true(is_empty(&dl));
    npuenc_dl_unload(&dl);
}

static void computes(void** state) {
    (void)state;
    npuenc_dl dl = rubbish();
    assert_int_equal(npuenc_dl_load(&dl, whole), NPUENC_OK);
    npuenc_ctx* ctx;
    const npuenc_open_options options = {
        .struct_size = sizeof options, .device_type = NPUENC_DEVICE_CPU, .n_threads = 2};
    assert_int_equal(dl.npuenc_open(&options, &ctx), NPUENC_OK);
    const float a[4] = {1, 2, 3, 4};
    float c[4] = {0};
    npuenc_matmul_desc desc = {.struct_size = sizeof desc, .m = 2, .n = 2, .k = 2};
    desc.a_type = desc.b_type = desc.c_type = NPUENC_F32;
    assert_int_equal(dl.npuenc_matmul(ctx, &desc, a, sizeof a, a, sizeof a, c, sizeof c, NULL),
                     NPUENC_OK);
    assert_true(c[0] == 7 && c[1] == 10 && c[2] == 15 && c[3] == 22);
    dl.npuenc_close(ctx);
    npuenc_dl_unload(&dl);
}

static void names_the_function_that_is_not_there(void** state) {
    (void)state;
    npuenc_dl dl = rubbish();
    assert_int_equal(npuenc_dl_load(&dl, without), NPUENC_E_UNSUPPORTED);
    assert_non_null(strstr(dl.error, without));
    assert_non_null(strstr(dl.error, "has no npuenc_mel"));
    assert_true(is_empty(&dl));
}

static void says_why_there_is_no_library(void** state) {
    (void)state;
    npuenc_dl dl = rubbish();
    assert_int_equal(npuenc_dl_load(&dl, "/no/such/libnpuenc.so"), NPUENC_E_NOT_FOUND);
    assert_non_null(strstr(dl.error, "/no/such/libnpuenc.so"));
    assert_true(is_empty(&dl));
    assert_int_equal(npuenc_dl_load(&dl, "/dev/null"), NPUENC_E_NOT_FOUND);
    assert_string_not_equal(dl.error, "");
    assert_true(is_empty(&dl));
}

/* Meson lets the system find the library that was built. */
static void finds_the_library_by_its_soname(void** state) {
    (void)state;
    npuenc_dl dl = rubbish();
    assert_int_equal(npuenc_dl_load(&dl, NULL), NPUENC_OK);
    assert_int_equal(dl.npuenc_version(),
                     NPUENC_VERSION_MAJOR << 16 | NPUENC_VERSION_MINOR << 8 | NPUENC_VERSION_PATCH);
    npuenc_dl_unload(&dl);
}

int main(int argc, char** argv) {
    if (argc != 3)
        return 2;
    whole = argv[1];
    without = argv[2];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_every_function),
        cmocka_unit_test(computes),
        cmocka_unit_test(names_the_function_that_is_not_there),
        cmocka_unit_test(says_why_there_is_no_library),
        cmocka_unit_test(finds_the_library_by_its_soname),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
