/* SPDX-License-Identifier: MIT
 *
 * libnpuenc.so by dlopen, and a use of it that reaches its threads, its kernels and an exception.
 */
#include "plugin.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

void* open_library(const char* path, int flags) {
    void* library = dlopen(path, flags);
    if (!library)
        fail_msg("%s", dlerror());
    return library;
}

void* function(void* library, const char* name) {
    void* found = dlsym(library, name);
    if (!found)
        fail_msg("%s: %s", name, dlerror());
    return found;
}

void use(void* library) {
    assert_int_equal(FUNCTION(library, npuenc_version)(), header_version);
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

void copy_file(const char* from, const char* to, mode_t mode) {
    const int in = open(from, O_RDONLY | O_CLOEXEC);
    const int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    assert_true(in >= 0 && out >= 0);
    struct stat status;
    assert_int_equal(fstat(in, &status), 0);
    for (off_t left = status.st_size; left > 0;) {
        const ssize_t copied = sendfile(out, in, NULL, (size_t)left);
        assert_true(copied > 0);
        left -= copied;
    }
    assert_int_equal(close(out), 0);
    close(in);
}
