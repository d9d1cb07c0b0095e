/* SPDX-License-Identifier: MIT
 *
 * Preloaded in front of libnpuenc, this spoils the last number of every result, so that
 * `npuenc selftest` has something to find. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>

#include <npuenc/npuenc.h>

/* The next definition of a function, libnpuenc's. ISO C has no cast from an object's pointer to a
 * function's, hence the copy. */
static void find(const char* name, void* function_pointer) {
    void* const symbol = dlsym(RTLD_NEXT, name);
    memcpy(function_pointer, &symbol, sizeof symbol);
}

/* Of any type: the high bits of its last byte, in little-endian order, weigh most. */
static int32_t spoil(int32_t status, void* data, size_t bytes) {
    if (status == NPUENC_OK)
        ((unsigned char*)data)[bytes - 1] ^= 0x40;
    return status;
}

int32_t npuenc_matmul(npuenc_ctx* ctx, const npuenc_matmul_desc* desc, const void* a,
                      size_t a_bytes, const void* b, size_t b_bytes, void* c, size_t c_bytes,
                      npuenc_run* run) {
    int32_t (*right)(npuenc_ctx*, const npuenc_matmul_desc*, const void*, size_t, const void*,
                     size_t, void*, size_t, npuenc_run*);
    find("npuenc_matmul", &right);
    return spoil(right(ctx, desc, a, a_bytes, b, b_bytes, c, c_bytes, run), c, c_bytes);
}

int32_t npuenc_linear(npuenc_weight* weight, const npuenc_linear_desc* desc, const void* x,
                      size_t x_bytes, void* y, size_t y_bytes, npuenc_run* run) {
    int32_t (*right)(npuenc_weight*, const npuenc_linear_desc*, const void*, size_t, void*, size_t,
                     npuenc_run*);
    find("npuenc_linear", &right);
    return spoil(right(weight, desc, x, x_bytes, y, y_bytes, run), y, y_bytes);
}

int32_t npuenc_attention(npuenc_ctx* ctx, const npuenc_attention_desc* desc, const void* q,
                         size_t q_bytes, const void* k, size_t k_bytes, const void* v,
                         size_t v_bytes, const void* mask, size_t mask_bytes, void* out,
                         size_t out_bytes, npuenc_run* run) {
    int32_t (*right)(npuenc_ctx*, const npuenc_attention_desc*, const void*, size_t, const void*,
                     size_t, const void*, size_t, const void*, size_t, void*, size_t, npuenc_run*);
    find("npuenc_attention", &right);
    return spoil(
        right(ctx, desc, q, q_bytes, k, k_bytes, v, v_bytes, mask, mask_bytes, out, out_bytes, run),
        out, out_bytes);
}

int32_t npuenc_mel(npuenc_ctx* ctx, const npuenc_mel_desc* desc, const void* pcm, size_t pcm_bytes,
                   void* out, size_t out_bytes, npuenc_run* run) {
    int32_t (*right)(npuenc_ctx*, const npuenc_mel_desc*, const void*, size_t, void*, size_t,
                     npuenc_run*);
    find("npuenc_mel", &right);
    return spoil(right(ctx, desc, pcm, pcm_bytes, out, out_bytes, run), out, out_bytes);
}
