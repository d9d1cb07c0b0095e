/* SPDX-License-Identifier: MIT
 *
 * struct_size: every struct of every function, as callers of other versions pass it.
 */
#include <stdlib.h>
#include <string.h>

#include "support.h"
#include "whisper.h"

/* The sizes of version 1.0 where pointers have 64 bits. Only a later version may add to them. */
#if UINTPTR_MAX == UINT64_MAX
#define SIZE_IS(type, size) _Static_assert(sizeof(type) == (size), #type)
SIZE_IS(npuenc_open_options, 40);
SIZE_IS(npuenc_device_info, 608);
SIZE_IS(npuenc_ctx_info, 120);
SIZE_IS(npuenc_matmul_desc, 96);
SIZE_IS(npuenc_weight_desc, 32);
SIZE_IS(npuenc_linear_desc, 32);
SIZE_IS(npuenc_attention_desc, 88);
SIZE_IS(npuenc_model_options, 24);
SIZE_IS(npuenc_model_info, 176);
SIZE_IS(npuenc_mel_desc, 16);
SIZE_IS(npuenc_encode_desc, 24);
SIZE_IS(npuenc_stats, 120);
SIZE_IS(npuenc_op_info, 72);
#endif

static npuenc_ctx* ctx;
static npuenc_weight* weight;
static npuenc_model* model;
static npuenc_run* run;
static whisper* small;

static float numbers[640]; /* zeros: the input of everything */
static float* results;
enum { results_bytes = 65536 };

/* ---- Input structs: how to use one ---- */

static int32_t use_open(const void* options) {
    npuenc_ctx* opened;
    const int32_t status = npuenc_open(options, &opened);
    assert_int_equal(status == NPUENC_OK, opened != NULL);
    npuenc_close(opened);
    return status;
}

static int32_t use_matmul(const void* desc) {
    return npuenc_matmul(ctx, desc, numbers, 4, numbers, 4, results, 4, NULL);
}

static int32_t use_weight_create(const void* desc) {
    npuenc_weight* created;
    const int32_t status = npuenc_weight_create(ctx, desc, numbers, 4, NULL, 0, NULL, 0, &created);
    assert_int_equal(status == NPUENC_OK, created != NULL);
    npuenc_weight_free(created);
    return status;
}

static int32_t use_linear(const void* desc) {
    return npuenc_linear(weight, desc, numbers, 4, results, 4, NULL);
}

static int32_t use_attention(const void* desc) {
    return npuenc_attention(ctx, desc, numbers, 4, numbers, 4, numbers, 4, NULL, 0, results, 4,
                            NULL);
}

static int32_t use_mel_size(const void* desc) {
    size_t bytes;
    return npuenc_mel_size(desc, &bytes);
}

static int32_t use_mel(const void* desc) {
    return npuenc_mel(ctx, desc, numbers, 4, results, results_bytes, NULL);
}

static int32_t use_model_load_memory(const void* options) {
    npuenc_model* loaded;
    const int32_t status =
        npuenc_model_load_memory(ctx, small->file, small->file_bytes, options, &loaded);
    assert_int_equal(status == NPUENC_OK, loaded != NULL);
    npuenc_model_free(loaded);
    return status;
}

/* Options are looked at before the file, which is not there. */
static int32_t use_model_load(const void* options) {
    npuenc_model* loaded = (npuenc_model*)&loaded;
    const int32_t status = npuenc_model_load(ctx, "/no/such/file", options, &loaded);
    assert_null(loaded);
    return status == NPUENC_E_NOT_FOUND ? NPUENC_OK : status;
}

static int32_t use_encode_size(const void* desc) {
    size_t bytes;
    return npuenc_encode_size(model, desc, &bytes);
}

static int32_t use_encode(const void* desc) {
    return npuenc_encode(model, desc, numbers, 4, NULL, 0, results, results_bytes, NULL);
}

static int32_t use_encode_submit(const void* desc) {
    const int32_t status =
        npuenc_encode_submit(model, desc, numbers, 4, NULL, 0, results, results_bytes, run);
    if (status == NPUENC_OK)
        expect_ok(npuenc_run_wait(run, -1));
    return status;
}

static npuenc_open_options open_options = {.n_threads = 1}; /* of the device under test */
static const npuenc_matmul_desc matmul_desc = {
    .a_type = NPUENC_BF16, .b_type = NPUENC_BF16, .c_type = NPUENC_F32, .m = 1, .n = 1, .k = 1};
static const npuenc_weight_desc weight_desc = {.type = NPUENC_BF16, .n_out = 1, .n_in = 1};
static const npuenc_linear_desc linear_desc = {
    .x_type = NPUENC_F32, .y_type = NPUENC_F32, .rows = 1};
static const npuenc_attention_desc attention_desc = {
    .type = NPUENC_BF16, .n_head = 1, .head_dim = 1, .q_len = 1, .kv_len = 1};
static const npuenc_mel_desc mel_desc = {.n_frames = 2};
static const npuenc_model_options model_options;
static const npuenc_encode_desc encode_desc = {.n_ctx = 1};

static const struct input {
    const char* function;
    const void* valid; /* but for struct_size */
    uint32_t size;
    int32_t (*use)(const void* desc);
} inputs[] = {
    {"npuenc_open", &open_options, sizeof open_options, use_open},
    {"npuenc_matmul", &matmul_desc, sizeof matmul_desc, use_matmul},
    {"npuenc_weight_create", &weight_desc, sizeof weight_desc, use_weight_create},
    {"npuenc_linear", &linear_desc, sizeof linear_desc, use_linear},
    {"npuenc_attention", &attention_desc, sizeof attention_desc, use_attention},
    {"npuenc_mel_size", &mel_desc, sizeof mel_desc, use_mel_size},
    {"npuenc_mel", &mel_desc, sizeof mel_desc, use_mel},
    {"npuenc_model_load", &model_options, sizeof model_options, use_model_load},
    {"npuenc_model_load_memory", &model_options, sizeof model_options, use_model_load_memory},
    {"npuenc_encode_size", &encode_desc, sizeof encode_desc, use_encode_size},
    {"npuenc_encode", &encode_desc, sizeof encode_desc, use_encode},
    {"npuenc_encode_submit", &encode_desc, sizeof encode_desc, use_encode_submit},
};

/* In an allocation of its own size, so that AddressSanitizer sees what is read past it. What the
 * library does not know is `tail`. */
static int32_t use_with_size(const struct input* input, uint32_t size, unsigned char tail) {
    const size_t bytes = size < 4 ? 4 : size;
    unsigned char* desc = malloc(bytes);
    memset(desc, tail, bytes);
    memcpy(desc, input->valid, bytes < input->size ? bytes : input->size);
    memcpy(desc, &size, sizeof size);
    const int32_t status = input->use(desc);
    free(desc);
    return status;
}

static void check_input(const struct input* input) {
    const uint32_t size = input->size;
    expect_ok(use_with_size(input, size, 0));

    /* An older version than 1.0 was never published. */
    const uint32_t smaller[] = {0, 1, 3, 4, size / 2, size - 4, size - 1};
    for (size_t i = 0; i < COUNT(smaller); i++)
        expect_invalid(use_with_size(input, smaller[i], 0));

    /* A newer one that uses nothing new, and one that does. */
    const uint32_t more[] = {1, 4, 8, 100, 100000};
    for (size_t i = 0; i < COUNT(more); i++) {
        expect_ok(use_with_size(input, size + more[i], 0));
        memset(results, 0xa5, results_bytes);
        expect(NPUENC_E_TOO_NEW, use_with_size(input, size + more[i], 1));
        assert_true(is_filled(results, results_bytes));
    }
    for (uint32_t i = 0; i < 24; i++) {
        unsigned char* desc = calloc(1, size + 24);
        memcpy(desc, input->valid, size);
        const uint32_t newer = size + 24;
        memcpy(desc, &newer, sizeof newer);
        desc[size + i] = 0x80;
        expect(NPUENC_E_TOO_NEW, input->use(desc));
        free(desc);
    }
}

static void input_structs(void** state) {
    (void)state;
    for (size_t i = 0; i < COUNT(inputs); i++) {
        print_message("%s\n", inputs[i].function);
        check_input(&inputs[i]);
    }
}

static void input_structs_may_not_be_null(void** state) {
    (void)state;
    for (size_t i = 0; i < COUNT(inputs); i++) {
        const bool is_optional = inputs[i].use == use_open || inputs[i].use == use_model_load ||
                                 inputs[i].use == use_model_load_memory;
        expect(is_optional ? NPUENC_OK : NPUENC_E_INVALID, inputs[i].use(NULL));
    }
}

/* ---- Output structs ---- */

static int32_t get_device(void* info) {
    return npuenc_device_get(0, info);
}
static int32_t get_ctx_info(void* info) {
    return npuenc_ctx_get_info(ctx, info);
}
static int32_t get_ctx_stats(void* stats) {
    return npuenc_ctx_stats(ctx, stats);
}
static int32_t get_model_info(void* info) {
    return npuenc_model_get_info(model, info);
}
static int32_t get_run_stats(void* stats) {
    return npuenc_run_stats(run, stats);
}
static int32_t get_op(void* info) {
    return npuenc_run_op_get(run, 0, info);
}

static const struct output {
    const char* function;
    uint32_t size;
    int32_t (*get)(void* out);
} outputs[] = {
    {"npuenc_device_get", sizeof(npuenc_device_info), get_device},
    {"npuenc_ctx_get_info", sizeof(npuenc_ctx_info), get_ctx_info},
    {"npuenc_ctx_stats", sizeof(npuenc_stats), get_ctx_stats},
    {"npuenc_model_get_info", sizeof(npuenc_model_info), get_model_info},
    {"npuenc_run_stats", sizeof(npuenc_stats), get_run_stats},
    {"npuenc_run_op_get", sizeof(npuenc_op_info), get_op},
};

static void check_output(const struct output* output) {
    const uint32_t size = output->size;
    unsigned char* first = malloc(size);
    memset(first, 0, size);
    memcpy(first, &size, sizeof size);
    expect_ok(output->get(first));
    assert_memory_equal(first, &size, sizeof size);

    const uint32_t smaller[] = {0, 1, 3, 4, size / 2, size - 4, size - 1};
    for (size_t i = 0; i < COUNT(smaller); i++) {
        const size_t bytes = smaller[i] < 4 ? 4 : smaller[i];
        unsigned char* out = filled(bytes);
        memcpy(out, &smaller[i], sizeof smaller[i]);
        expect_invalid(output->get(out));
        assert_memory_equal(out, &smaller[i], sizeof smaller[i]);
        assert_true(is_filled(out + 4, bytes - 4));
        free(out);
    }

    const uint32_t more[] = {0, 1, 4, 100, 100000};
    for (size_t i = 0; i < COUNT(more); i++) {
        const uint32_t newer = size + more[i];
        unsigned char* out = filled(newer);
        memcpy(out, &newer, sizeof newer);
        expect_ok(output->get(out));
        assert_memory_equal(out, &newer, sizeof newer);
        assert_memory_equal(out + 4, first + 4, size - 4);
        for (uint32_t j = size; j < newer; j++)
            assert_int_equal(out[j], 0);
        free(out);
    }
    free(first);
    expect_invalid(output->get(NULL));
}

static void output_structs(void** state) {
    (void)state;
    for (size_t i = 0; i < COUNT(outputs); i++) {
        print_message("%s\n", outputs[i].function);
        check_output(&outputs[i]);
    }
}

/* ---- */

static int set_up(void** state) {
    (void)state;
    results = malloc(results_bytes);
    small = whisper_create((whisper_shape){80, 4, 64, 1, 1}, 1);
    open_options.device_type = device_under_test();
    ctx = open_device(1);
    npuenc_weight_desc desc = weight_desc;
    desc.struct_size = sizeof desc;
    expect_ok(npuenc_weight_create(ctx, &desc, numbers, 4, NULL, 0, NULL, 0, &weight));
    expect_ok(npuenc_model_load_memory(ctx, small->file, small->file_bytes, NULL, &model));
    expect_ok(npuenc_run_create(ctx, &run));
    npuenc_matmul_desc product = matmul_desc;
    product.struct_size = sizeof product;
    expect_ok(npuenc_matmul(ctx, &product, numbers, 4, numbers, 4, results, 4, run));
    return 0;
}

static int tear_down(void** state) {
    (void)state;
    npuenc_run_free(run);
    npuenc_model_free(model);
    npuenc_weight_free(weight);
    npuenc_close(ctx);
    whisper_free(small);
    free(results);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_structs), /* first: it reads what set_up did with the run */
        cmocka_unit_test(input_structs),
        cmocka_unit_test(input_structs_may_not_be_null),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
