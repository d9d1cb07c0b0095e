/* SPDX-License-Identifier: MIT
 *
 * npuenc_dl.h - npuenc for programs that load it at run time and do without it where it is not:
 * a pointer for every function of npuenc.h, all in this file, nothing to link but dlopen.
 *
 *     npuenc_dl npuenc;
 *     if (npuenc_dl_load(&npuenc, NULL) == NPUENC_OK)
 *         status = npuenc.npuenc_open(NULL, &ctx);
 *     else
 *         puts(npuenc.error);
 *
 * Written by tools/abi-baseline from npuenc.h. It is no part of the ABI: it is compiled into the
 * program, and asks the library for the functions that the npuenc.h beside it has.
 */
#ifndef NPUENC_NPUENC_DL_H
#define NPUENC_NPUENC_DL_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "npuenc.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NPUENC_DL_LIBRARY "libnpuenc.so.1"

typedef struct npuenc_dl {
    void* library;   /* of dlopen; NULL: not loaded, as are all functions then */
    char error[256]; /* what failed, in words; empty after success */
    uint32_t (*npuenc_version)(void);
    const char* (*npuenc_version_string)(void);
    const char* (*npuenc_status_string)(int32_t status);
    size_t (*npuenc_last_error)(char* buf, size_t cap);
    int32_t (*npuenc_device_count)(uint32_t* count);
    int32_t (*npuenc_device_get)(uint32_t i, npuenc_device_info* info);
    int32_t (*npuenc_open)(const npuenc_open_options* options, npuenc_ctx** out);
    void (*npuenc_close)(npuenc_ctx* ctx);
    int32_t (*npuenc_ctx_get_info)(const npuenc_ctx* ctx, npuenc_ctx_info* info);
    size_t (*npuenc_ctx_reason)(const npuenc_ctx* ctx, char* buf, size_t cap);
    int32_t (*npuenc_ctx_stats)(const npuenc_ctx* ctx, npuenc_stats* stats);
    int32_t (*npuenc_matmul)(npuenc_ctx* ctx, const npuenc_matmul_desc* desc, const void* a,
                             size_t a_bytes, const void* b, size_t b_bytes, void* c, size_t c_bytes,
                             npuenc_run* run);
    int32_t (*npuenc_weight_create)(npuenc_ctx* ctx, const npuenc_weight_desc* desc,
                                    const void* data, size_t data_bytes, const void* scales,
                                    size_t scales_bytes, const void* bias, size_t bias_bytes,
                                    npuenc_weight** out);
    void (*npuenc_weight_free)(npuenc_weight* weight);
    int32_t (*npuenc_linear)(npuenc_weight* weight, const npuenc_linear_desc* desc, const void* x,
                             size_t x_bytes, void* y, size_t y_bytes, npuenc_run* run);
    int32_t (*npuenc_attention)(npuenc_ctx* ctx, const npuenc_attention_desc* desc, const void* q,
                                size_t q_bytes, const void* k, size_t k_bytes, const void* v,
                                size_t v_bytes, const void* mask, size_t mask_bytes, void* out,
                                size_t out_bytes, npuenc_run* run);
    int32_t (*npuenc_mel_size)(const npuenc_mel_desc* desc, size_t* bytes);
    int32_t (*npuenc_mel)(npuenc_ctx* ctx, const npuenc_mel_desc* desc, const void* pcm,
                          size_t pcm_bytes, void* out, size_t out_bytes, npuenc_run* run);
    int32_t (*npuenc_model_load)(npuenc_ctx* ctx, const char* path,
                                 const npuenc_model_options* options, npuenc_model** out);
    int32_t (*npuenc_model_load_memory)(npuenc_ctx* ctx, const void* data, size_t data_bytes,
                                        const npuenc_model_options* options, npuenc_model** out);
    int32_t (*npuenc_model_get_info)(const npuenc_model* model, npuenc_model_info* info);
    void (*npuenc_model_free)(npuenc_model* model);
    int32_t (*npuenc_encode_size)(const npuenc_model* model, const npuenc_encode_desc* desc,
                                  size_t* bytes);
    int32_t (*npuenc_encode)(npuenc_model* model, const npuenc_encode_desc* desc, const void* in,
                             size_t in_bytes, const uint32_t* lengths, size_t n_lengths, void* out,
                             size_t out_bytes, npuenc_run* run);
    int32_t (*npuenc_encode_submit)(npuenc_model* model, const npuenc_encode_desc* desc,
                                    const void* in, size_t in_bytes, const uint32_t* lengths,
                                    size_t n_lengths, void* out, size_t out_bytes, npuenc_run* run);
    int32_t (*npuenc_run_create)(npuenc_ctx* ctx, npuenc_run** out);
    int32_t (*npuenc_run_wait)(npuenc_run* run, int64_t timeout_ns);
    void (*npuenc_run_cancel)(npuenc_run* run);
    int32_t (*npuenc_run_progress)(const npuenc_run* run, uint32_t* done, uint32_t* total);
    int32_t (*npuenc_run_stats)(const npuenc_run* run, npuenc_stats* stats);
    int32_t (*npuenc_run_op_count)(const npuenc_run* run, uint32_t* count);
    int32_t (*npuenc_run_op_get)(const npuenc_run* run, uint32_t i, npuenc_op_info* info);
    void (*npuenc_run_free)(npuenc_run* run);
} npuenc_dl;

/* Fills *dl, whatever it held before. path NULL: the library that the system finds under
 * NPUENC_DL_LIBRARY. NPUENC_E_NOT_FOUND: it cannot be loaded. NPUENC_E_UNSUPPORTED: it lacks a
 * function, so is older than npuenc.h or not npuenc. After a failure dl->error says what, and all
 * functions are NULL. Thread-safe for different dl. */
static inline int32_t npuenc_dl_load(npuenc_dl* dl, const char* path) {
    static const struct {
        const char* name;
        size_t member;
    } functions[] = {
        {"npuenc_version", offsetof(npuenc_dl, npuenc_version)},
        {"npuenc_version_string", offsetof(npuenc_dl, npuenc_version_string)},
        {"npuenc_status_string", offsetof(npuenc_dl, npuenc_status_string)},
        {"npuenc_last_error", offsetof(npuenc_dl, npuenc_last_error)},
        {"npuenc_device_count", offsetof(npuenc_dl, npuenc_device_count)},
        {"npuenc_device_get", offsetof(npuenc_dl, npuenc_device_get)},
        {"npuenc_open", offsetof(npuenc_dl, npuenc_open)},
        {"npuenc_close", offsetof(npuenc_dl, npuenc_close)},
        {"npuenc_ctx_get_info", offsetof(npuenc_dl, npuenc_ctx_get_info)},
        {"npuenc_ctx_reason", offsetof(npuenc_dl, npuenc_ctx_reason)},
        {"npuenc_ctx_stats", offsetof(npuenc_dl, npuenc_ctx_stats)},
        {"npuenc_matmul", offsetof(npuenc_dl, npuenc_matmul)},
        {"npuenc_weight_create", offsetof(npuenc_dl, npuenc_weight_create)},
        {"npuenc_weight_free", offsetof(npuenc_dl, npuenc_weight_free)},
        {"npuenc_linear", offsetof(npuenc_dl, npuenc_linear)},
        {"npuenc_attention", offsetof(npuenc_dl, npuenc_attention)},
        {"npuenc_mel_size", offsetof(npuenc_dl, npuenc_mel_size)},
        {"npuenc_mel", offsetof(npuenc_dl, npuenc_mel)},
        {"npuenc_model_load", offsetof(npuenc_dl, npuenc_model_load)},
        {"npuenc_model_load_memory", offsetof(npuenc_dl, npuenc_model_load_memory)},
        {"npuenc_model_get_info", offsetof(npuenc_dl, npuenc_model_get_info)},
        {"npuenc_model_free", offsetof(npuenc_dl, npuenc_model_free)},
        {"npuenc_encode_size", offsetof(npuenc_dl, npuenc_encode_size)},
        {"npuenc_encode", offsetof(npuenc_dl, npuenc_encode)},
        {"npuenc_encode_submit", offsetof(npuenc_dl, npuenc_encode_submit)},
        {"npuenc_run_create", offsetof(npuenc_dl, npuenc_run_create)},
        {"npuenc_run_wait", offsetof(npuenc_dl, npuenc_run_wait)},
        {"npuenc_run_cancel", offsetof(npuenc_dl, npuenc_run_cancel)},
        {"npuenc_run_progress", offsetof(npuenc_dl, npuenc_run_progress)},
        {"npuenc_run_stats", offsetof(npuenc_dl, npuenc_run_stats)},
        {"npuenc_run_op_count", offsetof(npuenc_dl, npuenc_run_op_count)},
        {"npuenc_run_op_get", offsetof(npuenc_dl, npuenc_run_op_get)},
        {"npuenc_run_free", offsetof(npuenc_dl, npuenc_run_free)},
    };
#ifdef __cplusplus
    char* const start = reinterpret_cast<char*>(dl);
#else
    char* const start = (char*)dl;
#endif
    void* library;
    size_t i;
    memset(dl, 0, sizeof *dl);
    library = dlopen(path ? path : NPUENC_DL_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char* why = dlerror();
        snprintf(dl->error, sizeof dl->error, "%s", why ? why : "the library cannot be loaded");
        return NPUENC_E_NOT_FOUND;
    }
    for (i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void* const function = dlsym(library, functions[i].name);
        if (!function) {
            memset(dl, 0, sizeof *dl);
            snprintf(dl->error, sizeof dl->error, "%s has no %s", path ? path : NPUENC_DL_LIBRARY,
                     functions[i].name);
            dlclose(library);
            return NPUENC_E_UNSUPPORTED;
        }
        /* ISO C has no conversion of void* to a function's address; POSIX has them look alike. */
        memcpy(start + functions[i].member, &function, sizeof function);
    }
    dl->library = library;
    return NPUENC_OK;
}

/* All handles must have been freed. Does nothing when nothing is loaded. */
static inline void npuenc_dl_unload(npuenc_dl* dl) {
    if (dl->library)
        dlclose(dl->library);
    memset(dl, 0, sizeof *dl);
}

#ifdef __cplusplus
}
#endif
#endif /* NPUENC_NPUENC_DL_H */
