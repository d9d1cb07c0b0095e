/* SPDX-License-Identifier: MIT
 *
 * Calls that repeat allocate nothing, and give nothing back, on any thread.
 */
#include "allocator.h"
#include "support.h"
#include "whisper.h"

/* Wide and long enough for two threads to share the work. */
static const whisper_shape shape = {
    .n_mels = 80, .n_ctx = 150, .n_state = 128, .n_head = 2, .n_layer = 2};

enum {
    batch = 2,
    n_samples = 150 * 320,
    n_frames = 300,
    rows = 150,
    width = 200,
    n_values = batch * n_samples, /* of the largest operand, a batch of PCM */
};

static float values[n_values]; /* zeros, whatever they are taken for */
static float results[batch * rows * width];

static npuenc_ctx* ctx;
static npuenc_run* run;
static npuenc_model* models[3];   /* by precision, from F32 on */
static npuenc_weight* weights[3]; /* the same */

/* ---- The calls ---- */

static void encode(npuenc_input input, npuenc_dtype output, npuenc_run* watched) {
    const npuenc_encode_desc desc = {
        .struct_size = sizeof desc, .input = input, .output_type = output, .batch = batch};
    const size_t item = input == NPUENC_INPUT_PCM_S16   ? n_samples * sizeof(int16_t)
                        : input == NPUENC_INPUT_PCM_F32 ? n_samples * sizeof(float)
                                                        : 80 * n_frames * sizeof(float);
    for (size_t i = 0; i < COUNT(models); i++)
        expect_ok(npuenc_encode(models[i], &desc, values, batch * item, NULL, 0, results,
                                sizeof results, watched));
}

static void encode_s16(void) {
    encode(NPUENC_INPUT_PCM_S16, NPUENC_F32, NULL);
}

static void encode_f32_to_bf16(void) {
    encode(NPUENC_INPUT_PCM_F32, NPUENC_BF16, NULL);
}

static void encode_mel(void) {
    encode(NPUENC_INPUT_MEL_F32, NPUENC_F32, NULL);
}

static void encode_watched(void) {
    encode(NPUENC_INPUT_PCM_S16, NPUENC_F32, run);
}

static void mel(void) {
    for (uint32_t n_mels = 80; n_mels <= 128; n_mels += 48) {
        const npuenc_mel_desc desc = {
            .struct_size = sizeof desc, .n_mels = n_mels, .n_frames = n_frames};
        expect_ok(npuenc_mel(ctx, &desc, values, n_samples * sizeof(float), results, sizeof results,
                             NULL));
    }
}

static void matmul(void) {
    static const npuenc_dtype types[][2] = {
        {NPUENC_F32, NPUENC_F32}, {NPUENC_BF16, NPUENC_F32}, {NPUENC_BF16, NPUENC_BF16},
        {NPUENC_S8, NPUENC_S32},  {NPUENC_S8, NPUENC_S8},
    };
    for (size_t i = 0; i < COUNT(types); i++) {
        const npuenc_matmul_desc desc = {.struct_size = sizeof desc,
                                         .a_type = types[i][0],
                                         .b_type = types[i][0],
                                         .c_type = types[i][1],
                                         .m = rows,
                                         .n = width,
                                         .k = width};
        expect_ok(npuenc_matmul(ctx, &desc, values, sizeof values, values, sizeof values, results,
                                sizeof results, NULL));
    }
}

static void linear(void) {
    static const npuenc_dtype types[] = {NPUENC_F32, NPUENC_BF16, NPUENC_F16};
    for (size_t i = 0; i < COUNT(weights) * COUNT(types); i++) {
        const npuenc_linear_desc desc = {.struct_size = sizeof desc,
                                         .x_type = types[i / COUNT(weights)],
                                         .y_type = types[i / COUNT(weights)],
                                         .rows = rows};
        expect_ok(npuenc_linear(weights[i % COUNT(weights)], &desc, values, sizeof values, results,
                                sizeof results, NULL));
    }
}

static void attention(void) {
    static const npuenc_dtype types[] = {NPUENC_F32, NPUENC_BF16, NPUENC_S8};
    for (size_t i = 0; i < COUNT(types); i++) {
        const npuenc_attention_desc desc = {.struct_size = sizeof desc,
                                            .type = types[i],
                                            .batch = batch,
                                            .n_head = 2,
                                            .head_dim = 100,
                                            .q_len = rows,
                                            .kv_len = rows,
                                            .mask = NPUENC_MASK_CAUSAL};
        expect_ok(npuenc_attention(ctx, &desc, values, sizeof values, values, sizeof values, values,
                                   sizeof values, NULL, 0, results, sizeof results, NULL));
    }
}

static const struct {
    const char* name;
    void (*make)(void);
} calls[] = {
    {"encode of s16", encode_s16},
    {"encode of f32 to bf16", encode_f32_to_bf16},
    {"encode of mel", encode_mel},
    {"encode watched by a run", encode_watched},
    {"mel", mel},
    {"matmul", matmul},
    {"linear", linear},
    {"attention", attention},
};

/* ---- What they need ---- */

static void open_with(uint32_t n_threads, const whisper* made) {
    ctx = open_cpu(n_threads);
    expect_ok(npuenc_run_create(ctx, &run));
    for (size_t i = 0; i < COUNT(models); i++) {
        const int32_t precision = NPUENC_PRECISION_F32 + (int32_t)i;
        const npuenc_model_options options = {.struct_size = sizeof options,
                                              .precision = precision};
        expect_ok(
            npuenc_model_load_memory(ctx, made->file, made->file_bytes, &options, &models[i]));
        const npuenc_weight_desc desc = {.struct_size = sizeof desc,
                                         .type = NPUENC_F32,
                                         .precision = precision,
                                         .n_out = width,
                                         .n_in = width};
        expect_ok(
            npuenc_weight_create(ctx, &desc, values, sizeof values, NULL, 0, NULL, 0, &weights[i]));
    }
}

static void close_all(void) {
    for (size_t i = 0; i < COUNT(models); i++) {
        npuenc_model_free(models[i]);
        npuenc_weight_free(weights[i]);
    }
    npuenc_run_free(run);
    npuenc_close(ctx);
}

static void repeated_calls_do_not_allocate(void** state) {
    for (uint32_t n_threads = 1; n_threads <= 2; n_threads++) {
        open_with(n_threads, *state);
        for (int round = 0; round < 6; round++)
            for (size_t i = 0; i < COUNT(calls); i++) {
                const long before = allocator_calls();
                calls[i].make();
                const long count = allocator_calls() - before;
                if (round == 0 && i == 0)
                    assert_true(count > 0); /* they are counted */
                if (round >= 2 && count > 0)
                    fail_msg("%s, threads: %u: %ld calls of the allocator", calls[i].name,
                             n_threads, count);
            }
        close_all();
    }
}

static int set_up(void** state) {
    *state = whisper_create(shape, 1);
    return 0;
}

static int tear_down(void** state) {
    whisper_free(*state);
    return 0;
}

int main(void) {
    if (!has_forced_isa())
        return skipped;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repeated_calls_do_not_allocate),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
