/* SPDX-License-Identifier: MIT
 *
 * One of every handle, and a small call of every kind.
 */
#include "handles.h"

#include <stdlib.h>
#include <string.h>

#include "tests/abi/whisper.h"

static int8_t integers[side * side];
static uint16_t numbers[side * side]; /* bf16 */
static float pcm[10 * 320];
static whisper* small;

static const npuenc_model_options model_options = {.struct_size = sizeof model_options,
                                                   .precision = NPUENC_PRECISION_INT8};

int set_up_handles(void** state) {
    (void)state;
    random_source source = {1};
    for (size_t i = 0; i < COUNT(integers); i++) {
        integers[i] = (int8_t)((int)random_below(&source, 256) - 128);
        numbers[i] = bf16_of(random_real(&source));
    }
    for (size_t i = 0; i < COUNT(pcm); i++)
        pcm[i] = 0.3f * random_real(&source);
    small = whisper_create((whisper_shape){80, 10, 128, 2, 2}, 1);
    return 0;
}

int tear_down_handles(void** state) {
    (void)state;
    whisper_free(small);
    return 0;
}

int32_t open_type(int32_t type, npuenc_ctx** ctx) {
    const npuenc_open_options options = {
        .struct_size = sizeof options, .device_type = type, .n_threads = 1};
    return npuenc_open(&options, ctx);
}

handles* make_handles(uint32_t n_threads) {
    handles* made = calloc(1, sizeof *made);
    made->ctx = open_device(n_threads);
    const npuenc_weight_desc desc = {
        .struct_size = sizeof desc, .type = NPUENC_BF16, .n_out = side, .n_in = side};
    expect_ok(npuenc_weight_create(made->ctx, &desc, numbers, sizeof numbers, NULL, 0, NULL, 0,
                                   &made->weight));
    expect_ok(npuenc_model_load_memory(made->ctx, small->file, small->file_bytes, &model_options,
                                       &made->model));
    expect_ok(npuenc_run_create(made->ctx, &made->run));
    return made;
}

void close_handles(handles* of) {
    npuenc_run_free(of->run);
    npuenc_model_free(of->model);
    npuenc_weight_free(of->weight);
    npuenc_close(of->ctx);
}

void free_handles(handles* of) {
    close_handles(of);
    free(of);
}

int32_t multiply_by_itself(npuenc_ctx* ctx, uint32_t n, const int8_t* a, int32_t* c) {
    const npuenc_matmul_desc desc = {.struct_size = sizeof desc,
                                     .a_type = NPUENC_S8,
                                     .b_type = NPUENC_S8,
                                     .c_type = NPUENC_S32,
                                     .m = n,
                                     .n = n,
                                     .k = n};
    const size_t elements = (size_t)n * n;
    return npuenc_matmul(ctx, &desc, a, elements, a, elements, c, elements * sizeof *c, NULL);
}

int32_t multiply(handles* of) {
    return multiply_by_itself(of->ctx, side, integers, of->product);
}

int32_t project(handles* of) {
    const npuenc_linear_desc desc = {
        .struct_size = sizeof desc, .x_type = NPUENC_BF16, .y_type = NPUENC_F32, .rows = side};
    return npuenc_linear(of->weight, &desc, numbers, sizeof numbers, of->projected,
                         sizeof of->projected, NULL);
}

int32_t attend(handles* of) {
    const npuenc_attention_desc desc = {.struct_size = sizeof desc,
                                        .type = NPUENC_BF16,
                                        .n_head = 2,
                                        .head_dim = side / 2,
                                        .q_len = side,
                                        .kv_len = side};
    return npuenc_attention(of->ctx, &desc, numbers, sizeof numbers, numbers, sizeof numbers,
                            numbers, sizeof numbers, NULL, 0, of->attended, sizeof of->attended,
                            NULL);
}

int32_t load_another(handles* of) {
    npuenc_model* loaded;
    const int32_t status =
        npuenc_model_load_memory(of->ctx, small->file, small->file_bytes, &model_options, &loaded);
    npuenc_model_free(loaded);
    return status;
}

static const npuenc_encode_desc encode_desc = {.struct_size = sizeof encode_desc};

int32_t encode(handles* of) {
    return npuenc_encode(of->model, &encode_desc, pcm, sizeof pcm, NULL, 0, of->states,
                         sizeof of->states, NULL);
}

int32_t submit_encode(handles* of, float* states, npuenc_run* run) {
    return npuenc_encode_submit(of->model, &encode_desc, pcm, sizeof pcm, NULL, 0, states,
                                sizeof of->states, run);
}

int32_t encode_submitted(handles* of) {
    const int32_t status = submit_encode(of, of->states, of->run);
    return status == NPUENC_OK ? npuenc_run_wait(of->run, -1) : status;
}

const call calls[n_calls] = {
    {"matmul", multiply},         {"linear", project}, {"attention", attend},
    {"model_load", load_another}, {"encode", encode},  {"submit", encode_submitted},
};

int32_t make_calls(handles* of) {
    int32_t status = NPUENC_OK;
    for (size_t i = 0; i < n_calls && status == NPUENC_OK; i++)
        status = calls[i].make(of);
    return status;
}

enum { results_bytes = sizeof(handles) - offsetof(handles, product) };

static const char* results_of(const handles* of) {
    return (const char*)of + offsetof(handles, product);
}

bool has_same_results(const handles* of, const handles* expected) {
    return memcmp(results_of(of), results_of(expected), results_bytes) == 0;
}

void expect_same_results(const handles* of, const handles* expected) {
    assert_memory_equal(results_of(of), results_of(expected), results_bytes);
}

void set_faults(const char* list) {
    assert_int_equal(virtual_npu_set_faults(list), 0);
}

void expect_nothing_alive(void) {
    virtual_npu_alive alive;
    virtual_npu_read_alive(&alive);
    assert_int_equal(alive.files, 0);
    assert_int_equal(alive.contexts, 0);
    assert_int_equal(alive.buffers, 0);
    assert_int_equal(alive.mappings, 0);
    assert_int_equal(alive.syncobjs, 0);
    assert_int_equal(alive.jobs, 0);
}
