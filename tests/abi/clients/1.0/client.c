/* SPDX-License-Identifier: MIT
 *
 * A program of the time of npuenc 1.0, compiled with that version's header, beside it, and run with
 * the library of now: every function and every struct, used as that header says. It is not changed
 * when the library is.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <npuenc/npuenc.h>

#include "whisper.h" /* a small model's file, made up */

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail(__LINE__, #condition);                                                            \
    } while (0)

#define CHECK_OK(call) CHECK((call) == NPUENC_OK)

static void fail(int line, const char* condition) {
    char detail[256];
    npuenc_last_error(detail, sizeof detail);
    fprintf(stderr, "line %d: not so: %s; last error: %s\n", line, condition, detail);
    exit(1);
}

static int messages;

static void count_message(void* user, int32_t level, const char* message) {
    ++*(int*)user;
    CHECK(level >= NPUENC_LOG_ERROR && level <= NPUENC_LOG_DEBUG && message[0] != '\0');
}

static void check_library(void) {
    CHECK(npuenc_version() >= 0x000900);
    CHECK(strchr(npuenc_version_string(), '.'));
    CHECK(strlen(npuenc_status_string(NPUENC_E_BUFFER)) > 0);
}

static void check_devices(void) {
    uint32_t count = 0;
    npuenc_device_info info = {.struct_size = sizeof info};
    CHECK_OK(npuenc_device_count(&count));
    CHECK(count >= 1);
    CHECK_OK(npuenc_device_get(0, &info));
    CHECK(info.struct_size == sizeof info && info.device_type == NPUENC_DEVICE_CPU);
    CHECK(info.status == NPUENC_OK && info.name[0] != '\0' && info.n_cores >= 1);
    CHECK(npuenc_device_get(count, &info) == NPUENC_E_NOT_FOUND);
}

static npuenc_ctx* open_cpu(void) {
    npuenc_open_options options = {.struct_size = sizeof options};
    npuenc_ctx_info info = {.struct_size = sizeof info};
    npuenc_ctx* ctx = NULL;
    options.device_type = NPUENC_DEVICE_CPU;
    options.n_threads = 2;
    options.log_level = NPUENC_LOG_DEBUG;
    options.log_fn = count_message;
    options.log_user = &messages;
    CHECK_OK(npuenc_open(&options, &ctx));
    CHECK_OK(npuenc_ctx_get_info(ctx, &info));
    CHECK(info.device_type == NPUENC_DEVICE_CPU && info.n_threads == 2 && info.status == NPUENC_OK);
    CHECK(npuenc_ctx_reason(ctx, NULL, 0) < 65536);
    return ctx;
}

static void check_matmul(npuenc_ctx* ctx, npuenc_run* run) {
    const int8_t a[4] = {1, -2, 3, 127}, b[4] = {5, 6, 7, -128};
    int32_t c[4] = {0};
    npuenc_matmul_desc desc = {.struct_size = sizeof desc};
    npuenc_stats stats = {.struct_size = sizeof stats};
    desc.a_type = desc.b_type = NPUENC_S8;
    desc.c_type = NPUENC_S32;
    desc.m = desc.n = desc.k = 2;
    CHECK_OK(npuenc_matmul(ctx, &desc, a, sizeof a, b, sizeof b, c, sizeof c, run));
    CHECK(c[0] == -9 && c[1] == 262 && c[2] == 904 && c[3] == -16238);
    CHECK_OK(npuenc_run_stats(run, &stats));
    CHECK(stats.n_calls == 1 && stats.macs == 8);

    desc.flags = NPUENC_MATMUL_B_TRANSPOSED;
    CHECK_OK(npuenc_matmul(ctx, &desc, a, sizeof a, b, sizeof b, c, sizeof c, NULL));
    CHECK(c[0] == -7 && c[1] == 263 && c[2] == 777 && c[3] == -16235);
    CHECK(npuenc_matmul(ctx, &desc, a, sizeof a, b, sizeof b, c, 15, NULL) == NPUENC_E_BUFFER);
    CHECK(npuenc_last_error(NULL, 0) > 0);
    desc.k = 0;
    CHECK_OK(npuenc_matmul(ctx, &desc, NULL, 0, NULL, 0, c, sizeof c, NULL));
    CHECK(c[0] == 0 && c[3] == 0);
}

static void check_linear(npuenc_ctx* ctx) {
    const float w[6] = {1, 2, 3, 4, 5, 6}, bias[2] = {10, 20}, x[3] = {1, 0, -1};
    float y[2] = {0};
    npuenc_weight_desc of_weight = {.struct_size = sizeof of_weight};
    npuenc_linear_desc desc = {.struct_size = sizeof desc};
    npuenc_weight* weight = NULL;
    of_weight.type = NPUENC_F32;
    of_weight.n_out = 2;
    of_weight.n_in = 3;
    CHECK_OK(
        npuenc_weight_create(ctx, &of_weight, w, sizeof w, NULL, 0, bias, sizeof bias, &weight));
    desc.x_type = desc.y_type = NPUENC_F32;
    desc.rows = 1;
    CHECK_OK(npuenc_linear(weight, &desc, x, sizeof x, y, sizeof y, NULL));
    CHECK(y[0] == 8 && y[1] == 18);
    npuenc_weight_free(weight);
}

/* Scores 0 and log 3: probabilities a quarter and three. */
static void check_attention(npuenc_ctx* ctx) {
    const float q[2] = {1, 0}, k[4] = {0, 0, logf(3), 5}, v[4] = {4, 8, 8, 16};
    float out[2] = {0};
    npuenc_attention_desc desc = {.struct_size = sizeof desc};
    desc.type = NPUENC_F32;
    desc.n_head = 1;
    desc.head_dim = 2;
    desc.q_len = 1;
    desc.kv_len = 2;
    desc.scale = 1;
    CHECK_OK(npuenc_attention(ctx, &desc, q, sizeof q, k, sizeof k, v, sizeof v, NULL, 0, out,
                              sizeof out, NULL));
    CHECK(fabsf(out[0] - 7) < 1e-4f && fabsf(out[1] - 14) < 1e-4f);
}

/* Silence: log10 of its floor of 1e-10, plus 4, divided by 4. */
static void check_mel(npuenc_ctx* ctx) {
    static float mel[80 * 100];
    npuenc_mel_desc desc = {.struct_size = sizeof desc};
    size_t bytes = 0;
    desc.n_frames = 100;
    CHECK_OK(npuenc_mel_size(&desc, &bytes));
    CHECK(bytes == sizeof mel);
    CHECK_OK(npuenc_mel(ctx, &desc, NULL, 0, mel, sizeof mel, NULL));
    for (size_t i = 0; i < 8000; i++)
        CHECK(fabsf(mel[i] + 1.5f) <= 1e-4f);
}

static void write_file(const char* path, const void* data, size_t bytes) {
    FILE* file = fopen(path, "wb");
    CHECK(file && fwrite(data, 1, bytes, file) == bytes && fclose(file) == 0);
}

/* In f32 without options, whatever the processor. */
static void check_encode(npuenc_ctx* ctx, npuenc_run* run, const char* scratch) {
    whisper* const made = whisper_create(small_shape, 1);
    npuenc_model_options options = {.struct_size = sizeof options};
    npuenc_model_info info = {.struct_size = sizeof info};
    npuenc_encode_desc desc = {.struct_size = sizeof desc};
    npuenc_model *model = NULL, *from_file = NULL, *none = NULL;
    npuenc_op_info op = {.struct_size = sizeof op};
    npuenc_stats stats = {.struct_size = sizeof stats};
    uint32_t done = 0, total = 0, ops = 0;
    size_t bytes = 0;
    options.precision = NPUENC_PRECISION_F32;
    options.linear_device = NPUENC_DEVICE_CPU;
    CHECK_OK(npuenc_model_load_memory(ctx, made->file, made->file_bytes, &options, &model));
    write_file(scratch, made->file, made->file_bytes);
    CHECK_OK(npuenc_model_load(ctx, scratch, NULL, &from_file));
    npuenc_model_free(from_file);
    CHECK(remove(scratch) == 0);
    CHECK(npuenc_model_load(ctx, scratch, NULL, &none) == NPUENC_E_NOT_FOUND && !none);
    CHECK_OK(npuenc_model_get_info(model, &info));
    CHECK(info.n_ctx == small_shape.n_ctx && info.n_state == small_shape.n_state);
    CHECK(info.precision == NPUENC_PRECISION_F32 && strcmp(info.format, "safetensors") == 0);

    static int16_t pcm[16000];
    for (int i = 0; i < 16000; i++)
        pcm[i] = (int16_t)(i * 37 % 2001 - 1000);
    desc.input = NPUENC_INPUT_PCM_S16;
    desc.n_ctx = 50;
    CHECK_OK(npuenc_encode_size(model, &desc, &bytes));
    CHECK(bytes == (size_t)50 * info.n_state * sizeof(float));
    float* const states = malloc(bytes);
    float* const later = malloc(bytes);
    CHECK(states && later);
    CHECK_OK(npuenc_encode(model, &desc, pcm, sizeof pcm, NULL, 0, states, bytes, run));
    for (size_t i = 0; i < bytes / sizeof(float); i++)
        CHECK(isfinite(states[i]));
    CHECK_OK(npuenc_run_progress(run, &done, &total));
    CHECK(total > 0 && done == total);
    CHECK_OK(npuenc_run_op_count(run, &ops));
    CHECK(ops > 0);
    CHECK_OK(npuenc_run_op_get(run, 0, &op));
    CHECK(op.name[0] != '\0' && op.n_calls >= 1 && op.device_type == NPUENC_DEVICE_CPU);
    CHECK_OK(npuenc_ctx_stats(ctx, &stats));
    CHECK(stats.n_calls > 1);

    CHECK_OK(npuenc_encode_submit(model, &desc, pcm, sizeof pcm, NULL, 0, later, bytes, run));
    int32_t status = npuenc_run_wait(run, 0);
    while (status == NPUENC_E_PENDING)
        status = npuenc_run_wait(run, 1000000);
    CHECK_OK(status);
    CHECK(memcmp(states, later, bytes) == 0);
    npuenc_run_cancel(run); /* nothing is in flight */
    free(states);
    free(later);
    npuenc_model_free(model);
    whisper_free(made);
}

int main(int argc, char** argv) {
    npuenc_run* run = NULL;
    CHECK(argc == 2);
    check_library();
    check_devices();
    npuenc_ctx* const ctx = open_cpu();
    CHECK_OK(npuenc_run_create(ctx, &run));
    check_matmul(ctx, run);
    check_linear(ctx);
    check_attention(ctx);
    check_mel(ctx);
    check_encode(ctx, run, argv[1]);
    npuenc_run_free(run);
    npuenc_close(ctx);
    CHECK(messages > 0);
    return 0;
}
