/* SPDX-License-Identifier: MIT
 *
 * Preloaded between the npuenc command and the library, above the virtual NPU: writes for each call
 * what the library says that it cost and what the kernel's stand-in counted meanwhile, as a JSON
 * object a line, to the file that COUNT_CALLS names.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <npuenc/npuenc.h>

#include "tests/virtual_npu/driver/virtual_npu.h"

/* The next definition of a function, libnpuenc's. ISO C has no cast from an object's pointer to a
 * function's, hence the copy. */
static void find(const char* name, void* function_pointer) {
    void* const symbol = dlsym(RTLD_NEXT, name);
    memcpy(function_pointer, &symbol, sizeof symbol);
}

static virtual_npu_counters counters(void) {
    virtual_npu_counters now;
    virtual_npu_read_counters(&now);
    return now;
}

/* That have been loaded: the command has one at a time. */
static unsigned n_models;

/* `shape` tells calls apart that need programs of their own. */
static void note(const char* call, unsigned shape, virtual_npu_counters before,
                 const npuenc_run* run) {
    const virtual_npu_counters after = counters();
    npuenc_stats stats = {0};
    stats.struct_size = sizeof stats;
    if (run && npuenc_run_stats(run, &stats) != NPUENC_OK)
        abort();
    FILE* file = fopen(getenv("COUNT_CALLS"), "a");
    if (!file)
        abort();
    fprintf(file,
            "{\"call\": \"%s\", \"shape\": %u, \"said\": {\"submissions\": %llu, \"syncs\": %llu, "
            "\"bytes\": %llu}, \"counted\": {\"submissions\": %llu, \"syncs\": %llu, \"bytes\": "
            "%llu}}\n",
            call, shape, (unsigned long long)stats.n_submissions, (unsigned long long)stats.n_syncs,
            (unsigned long long)(stats.bytes_to_device + stats.bytes_from_device),
            (unsigned long long)(after.submissions - before.submissions),
            (unsigned long long)(after.syncs_to_device - before.syncs_to_device +
                                 after.syncs_from_device - before.syncs_from_device),
            (unsigned long long)(after.bytes_to_device - before.bytes_to_device +
                                 after.bytes_from_device - before.bytes_from_device));
    fclose(file);
}

int32_t npuenc_open(const npuenc_open_options* options, npuenc_ctx** out) {
    __typeof__(npuenc_open)* next;
    find("npuenc_open", &next);
    const virtual_npu_counters before = counters();
    const int32_t status = next(options, out);
    note("open", 0, before, NULL);
    return status;
}

int32_t npuenc_model_load(npuenc_ctx* ctx, const char* path, const npuenc_model_options* options,
                          npuenc_model** out) {
    __typeof__(npuenc_model_load)* next;
    find("npuenc_model_load", &next);
    const virtual_npu_counters before = counters();
    const int32_t status = next(ctx, path, options, out);
    note("load", ++n_models, before, NULL);
    return status;
}

int32_t npuenc_model_load_memory(npuenc_ctx* ctx, const void* data, size_t data_bytes,
                                 const npuenc_model_options* options, npuenc_model** out) {
    __typeof__(npuenc_model_load_memory)* next;
    find("npuenc_model_load_memory", &next);
    const virtual_npu_counters before = counters();
    const int32_t status = next(ctx, data, data_bytes, options, out);
    note("load", ++n_models, before, NULL);
    return status;
}

int32_t npuenc_matmul(npuenc_ctx* ctx, const npuenc_matmul_desc* desc, const void* a,
                      size_t a_bytes, const void* b, size_t b_bytes, void* c, size_t c_bytes,
                      npuenc_run* run) {
    __typeof__(npuenc_matmul)* next;
    find("npuenc_matmul", &next);
    const virtual_npu_counters before = counters();
    const int32_t status = next(ctx, desc, a, a_bytes, b, b_bytes, c, c_bytes, run);
    note("matmul", desc->m * 8 + (unsigned)desc->c_type, before, run);
    return status;
}

int32_t npuenc_attention(npuenc_ctx* ctx, const npuenc_attention_desc* desc, const void* q,
                         size_t q_bytes, const void* k, size_t k_bytes, const void* v,
                         size_t v_bytes, const void* mask, size_t mask_bytes, void* out,
                         size_t out_bytes, npuenc_run* run) {
    __typeof__(npuenc_attention)* next;
    find("npuenc_attention", &next);
    const virtual_npu_counters before = counters();
    const int32_t status =
        next(ctx, desc, q, q_bytes, k, k_bytes, v, v_bytes, mask, mask_bytes, out, out_bytes, run);
    note("attention", desc->q_len * 8 + (unsigned)desc->type, before, run);
    return status;
}

int32_t npuenc_encode(npuenc_model* model, const npuenc_encode_desc* desc, const void* in,
                      size_t in_bytes, const uint32_t* lengths, size_t n_lengths, void* out,
                      size_t out_bytes, npuenc_run* run) {
    __typeof__(npuenc_encode)* next;
    find("npuenc_encode", &next);
    const virtual_npu_counters before = counters();
    const int32_t status = next(model, desc, in, in_bytes, lengths, n_lengths, out, out_bytes, run);
    note("encode", n_models, before, run);
    return status;
}
