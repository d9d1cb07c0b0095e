/* SPDX-License-Identifier: MIT
 *
 * npuenc_encode and npuenc_encode_submit against an encoder in double precision, the equalities
 * that the header promises, and every way to call them wrongly: with models of every precision that
 * the device has.
 */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"
#include "whisper.h"

static int32_t precision; /* of all models */
static npuenc_ctx* ctx;
static whisper* small;
static npuenc_model* model;

enum { samples_per_state = 320, frames_per_state = 2 };

static npuenc_model* load(npuenc_ctx* with, const whisper* made) {
    const npuenc_model_options options = {.struct_size = sizeof options, .precision = precision};
    npuenc_model* loaded = NULL;
    expect_ok(npuenc_model_load_memory(with, made->file, made->file_bytes, &options, &loaded));
    return loaded;
}

/* ---- Input ---- */

static float* sound(size_t n, uint64_t seed) {
    random_source source = {seed};
    float* pcm = malloc(n * sizeof *pcm);
    for (size_t i = 0; i < n; i++)
        pcm[i] =
            0.3f * sinf(0.02f * (float)i * (1 + 1e-5f * (float)i)) + 0.05f * random_real(&source);
    return pcm;
}

/* In the range of log-mels. */
static float* random_mel(size_t n, uint64_t seed) {
    random_source source = {seed};
    float* mel = random_elements(&source, NPUENC_F32, n);
    for (size_t i = 0; i < n; i++)
        mel[i] = 0.3f + 0.9f * mel[i];
    return mel;
}

/* ---- A call: what it needs, and its result in memory of just that size ---- */

typedef struct call {
    npuenc_encode_desc desc;
    const void* in;
    size_t in_bytes;
    const uint32_t* lengths;
    size_t n_lengths;
} call;

static call call_of(npuenc_encode_desc desc, const void* in, size_t in_bytes) {
    desc.struct_size = sizeof desc;
    return (call){.desc = desc, .in = in, .in_bytes = in_bytes};
}

static size_t size_of(const npuenc_model* with, const call* c) {
    size_t bytes = 0;
    expect_ok(npuenc_encode_size(with, &c->desc, &bytes));
    return bytes;
}

static void* encode(npuenc_model* with, call c) {
    const size_t bytes = size_of(with, &c);
    void* out = filled(bytes);
    expect_ok(
        npuenc_encode(with, &c.desc, c.in, c.in_bytes, c.lengths, c.n_lengths, out, bytes, NULL));
    return out;
}

static void expect_same_states(npuenc_model* a, call of_a, npuenc_model* b, call of_b) {
    void *x = encode(a, of_a), *y = encode(b, of_b);
    assert_int_equal(size_of(a, &of_a), size_of(b, &of_b));
    assert_memory_equal(x, y, size_of(a, &of_a));
    free(x), free(y);
}

/* ---- Against the definition ---- */

/* Sums of k products err by so much of the terms' norm, errors being of random sign:
 *   F32   about sqrt(k) u, k <= 512 here: 1.4e-6
 *   BF16  both operands by 2^-8 / sqrt(6), the deviation of what rounding takes: 2.3e-3
 *   INT8  both operands by a step / sqrt(12), a step being 1 / 127 of the row's largest magnitude,
 *         which is 4 deviations of its values where it is much: 1.3e-2
 * Between mel and state there are 4 + 6 such sums a layer, which add up as random errors do, and
 * none amplifies what is before it by more than 2, but for the first norm: the residual stream is
 * about 0.03 there, so that its 1 / deviation of 30 meets errors relative to 0.03. GELU
 * adds 3.3e-7. So 4 times that is typical, 5e-6 for F32, and 10 times the typical not to be seen in
 * 20,000 states, which have a deviation of about 1. */
static double tolerance(void) {
    const double of_sum[] = {1.4e-6, 2.3e-3, 1.3e-2};
    return of_sum[precision - NPUENC_PRECISION_F32] * 4 * 10;
}

static void check_states(whisper_shape shape, uint32_t n_ctx) {
    whisper* made = whisper_create(shape, 7);
    npuenc_model* loaded = load(ctx, made);
    const uint32_t n = n_ctx ? n_ctx : shape.n_ctx;
    const size_t n_mel = (size_t)shape.n_mels * n * frames_per_state;
    float* mel = random_mel(n_mel, 3);
    const call c = call_of((npuenc_encode_desc){.input = NPUENC_INPUT_MEL_F32, .n_ctx = n_ctx}, mel,
                           n_mel * sizeof *mel);
    float* states = encode(loaded, c);
    double* expected = malloc((size_t)n * shape.n_state * sizeof *expected);
    whisper_encode(made, mel, n, expected);
    double worst = 0;
    for (size_t i = 0; i < (size_t)n * shape.n_state; i++)
        if (!(fabs(states[i] - expected[i]) <= worst)) /* NaN too */
            worst = fabs(states[i] - expected[i]);
    print_message("%u bands, %u states of %u, %u layers: off by %.2g\n", shape.n_mels, n,
                  shape.n_state, shape.n_layer, worst);
    assert_true(worst <= tolerance());
    free(expected), free(states), free(mel);
    npuenc_model_free(loaded);
    whisper_free(made);
}

static void states_are_those_of_the_definition(void** state) {
    (void)state;
    check_states(small_shape, 0);
    check_states(small_shape, 1);
    check_states(small_shape, 33);
    check_states((whisper_shape){128, 7, 64, 1, 1}, 0);
    check_states((whisper_shape){80, 19, 192, 3, 3}, 0);
}

/* The audio path is npuenc_mel (whose values mel.c checks) before the same encoder. */
static void pcm_is_encoded_through_its_mel(void** state) {
    (void)state;
    const uint32_t n_ctx[] = {0, 1, 20};
    for (size_t i = 0; i < COUNT(n_ctx); i++) {
        const uint32_t n = n_ctx[i] ? n_ctx[i] : small_shape.n_ctx;
        float* pcm = sound(n * samples_per_state, i);
        const npuenc_mel_desc desc = {.struct_size = sizeof desc, .n_frames = n * 2};
        const size_t mel_bytes = 80 * n * 2 * sizeof(float);
        float* mel = malloc(mel_bytes);
        const size_t pcm_bytes = n * samples_per_state * sizeof *pcm;
        expect_ok(npuenc_mel(ctx, &desc, pcm, pcm_bytes, mel, mel_bytes, NULL));
        expect_same_states(
            model, call_of((npuenc_encode_desc){.n_ctx = n_ctx[i]}, pcm, pcm_bytes), model,
            call_of((npuenc_encode_desc){.n_ctx = n_ctx[i], .input = NPUENC_INPUT_MEL_F32}, mel,
                    mel_bytes));
        free(pcm), free(mel);
    }
}

/* ---- Equalities ---- */

static void s16_is_f32_times_32768(void** state) {
    (void)state;
    enum { n = 50 * samples_per_state };
    random_source source = {4};
    int16_t* narrow = malloc(n * sizeof *narrow);
    float* wide = malloc(n * sizeof *wide);
    for (size_t i = 0; i < n; i++) {
        narrow[i] = (int16_t)((int)random_below(&source, 65536) - 32768);
        wide[i] = (float)narrow[i] / 32768;
    }
    const npuenc_encode_desc desc = {.input = NPUENC_INPUT_PCM_S16};
    expect_same_states(model, call_of(desc, narrow, n * sizeof *narrow), model,
                       call_of((npuenc_encode_desc){0}, wide, n * sizeof *wide));
    free(narrow), free(wide);
}

static void narrow_states_are_rounded_f32(void** state) {
    (void)state;
    enum { n = 50 * 128 };
    float* pcm = sound(9000, 5);
    float* wide = encode(model, call_of((npuenc_encode_desc){0}, pcm, 36000));
    float* explicit_f32 =
        encode(model, call_of((npuenc_encode_desc){.output_type = NPUENC_F32}, pcm, 36000));
    assert_memory_equal(wide, explicit_f32, n * sizeof *wide);
    uint16_t* bf16 =
        encode(model, call_of((npuenc_encode_desc){.output_type = NPUENC_BF16}, pcm, 36000));
    uint16_t* f16 =
        encode(model, call_of((npuenc_encode_desc){.output_type = NPUENC_F16}, pcm, 36000));
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(bf16[i], bf16_of(wide[i]));
        assert_int_equal(f16[i], f16_of(wide[i]));
    }
    free(wide), free(explicit_f32), free(bf16), free(f16), free(pcm);
}

static void short_pcm_is_continued_with_zeros(void** state) {
    (void)state;
    enum { window = 50 * samples_per_state };
    float* pcm = sound(window, 6);
    const uint32_t lengths[] = {0, 1, 159, 201, 7777, window - 200, window - 1, window};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        float* padded = calloc(window, sizeof *padded);
        memcpy(padded, pcm, lengths[i] * sizeof *padded);
        const call whole = call_of((npuenc_encode_desc){0}, padded, window * sizeof *padded);
        /* By the input's size, by n_per_item, and by a length; what is after it is not looked at.
         */
        call c =
            call_of((npuenc_encode_desc){0}, lengths[i] ? pcm : NULL, lengths[i] * sizeof *pcm);
        expect_same_states(model, c, model, whole);
        c = call_of((npuenc_encode_desc){.n_per_item = lengths[i]}, pcm,
                    (lengths[i] ? lengths[i] : window) * sizeof *pcm);
        if (lengths[i])
            expect_same_states(model, c, model, whole);
        float* noisy = malloc(window * sizeof *noisy);
        for (size_t j = 0; j < window; j++)
            noisy[j] = j < lengths[i] ? pcm[j] : NAN;
        c = call_of((npuenc_encode_desc){0}, noisy, window * sizeof *noisy);
        c.lengths = &lengths[i], c.n_lengths = 1;
        expect_same_states(model, c, model, whole);
        free(noisy), free(padded);
    }
    free(pcm);
}

/* The floor is the maximum less 2, at least -1.5. */
static void short_mel_is_continued_with_its_floor(void** state) {
    (void)state;
    enum { window = 100, n_mels = 80 };
    const float offsets[] = {0, -3, 5};
    for (size_t o = 0; o < COUNT(offsets); o++) {
        float* mel = random_mel(n_mels * window, 8);
        for (size_t i = 0; i < n_mels * window; i++)
            mel[i] += offsets[o];
        const uint32_t lengths[] = {0, 1, 37, window - 1, window};
        for (size_t i = 0; i < COUNT(lengths); i++) {
            const uint32_t n = lengths[i];
            float* padded = malloc(n_mels * window * sizeof *padded);
            float *exact = malloc((size_t)n_mels * n * sizeof *exact), maximum = -INFINITY;
            for (size_t band = 0; band < n_mels; band++)
                for (size_t t = 0; t < n; t++) {
                    exact[band * n + t] = mel[band * window + t];
                    maximum = fmaxf(maximum, mel[band * window + t]);
                }
            for (size_t band = 0; band < n_mels; band++)
                for (size_t t = 0; t < window; t++)
                    padded[band * window + t] =
                        t < n ? mel[band * window + t] : fmaxf(maximum - 2, -1.5f);
            const npuenc_encode_desc desc = {.input = NPUENC_INPUT_MEL_F32};
            const call whole = call_of(desc, padded, n_mels * window * sizeof *padded);
            expect_same_states(model, call_of(desc, exact, (size_t)n_mels * n * sizeof *exact),
                               model, whole);
            float* noisy = malloc(n_mels * window * sizeof *noisy);
            for (size_t j = 0; j < n_mels * window; j++)
                noisy[j] = j % window < n ? mel[j] : NAN;
            call c = call_of(desc, noisy, n_mels * window * sizeof *noisy);
            c.lengths = &n, c.n_lengths = 1;
            expect_same_states(model, c, model, whole);
            free(noisy), free(padded), free(exact);
        }
        free(mel);
    }
}

/* States of an item do not depend on the batch, its place there, or the number of threads. */
static void items_are_independent(void** state) {
    (void)state;
    enum { batch = 5, n_per_item = 12000, n_states = 50 * 128 };
    float* pcm = sound(batch * n_per_item, 9);
    const uint32_t lengths[batch] = {n_per_item, 100, 0, 11999, 5000};
    float* alone[batch];
    for (size_t i = 0; i < batch; i++) {
        call c = call_of((npuenc_encode_desc){0}, pcm + i * n_per_item, n_per_item * sizeof *pcm);
        c.lengths = &lengths[i], c.n_lengths = 1;
        alone[i] = encode(model, c);
    }
    for (uint32_t n_threads = 1; n_threads <= 4; n_threads++) {
        npuenc_ctx* threaded = open_device(n_threads);
        npuenc_model* loaded = load(threaded, small);
        for (uint32_t given = 0; given <= n_per_item; given += n_per_item) {
            call c = call_of((npuenc_encode_desc){.batch = batch, .n_per_item = given}, pcm,
                             batch * n_per_item * sizeof *pcm);
            c.lengths = lengths, c.n_lengths = batch;
            float* together = encode(loaded, c);
            for (size_t i = 0; i < batch; i++)
                assert_memory_equal(together + i * n_states, alone[i], n_states * sizeof(float));
            free(together);
        }
        npuenc_model_free(loaded);
        npuenc_close(threaded);
    }
    for (size_t i = 0; i < batch; i++)
        free(alone[i]);
    free(pcm);
}

static void mel_items_are_independent(void** state) {
    (void)state;
    enum { batch = 3, n_per_item = 41, n_mels = 80, n_states = 30 * 128 };
    float* mel = random_mel(batch * n_mels * n_per_item, 11);
    const uint32_t lengths[batch] = {3, 41, 20};
    call c =
        call_of((npuenc_encode_desc){.input = NPUENC_INPUT_MEL_F32, .batch = batch, .n_ctx = 30},
                mel, batch * n_mels * n_per_item * sizeof *mel);
    c.lengths = lengths, c.n_lengths = batch;
    float* together = encode(model, c);
    for (size_t i = 0; i < batch; i++) {
        c.desc.batch = 0;
        c.in = mel + i * n_mels * n_per_item;
        c.in_bytes = n_mels * n_per_item * sizeof *mel;
        c.lengths = &lengths[i], c.n_lengths = 1;
        float* alone = encode(model, c);
        assert_memory_equal(together + i * n_states, alone, n_states * sizeof *alone);
        free(alone);
    }
    free(together), free(mel);
}

static void submitted_is_direct(void** state) {
    (void)state;
    float* pcm = sound(3 * 4000, 10);
    uint32_t lengths[3] = {4000, 1, 77};
    call c = call_of((npuenc_encode_desc){.batch = 3, .output_type = NPUENC_F16}, pcm,
                     3 * 4000 * sizeof *pcm);
    c.lengths = lengths, c.n_lengths = 3;
    void* direct = encode(model, c);
    npuenc_run* run;
    expect_ok(npuenc_run_create(ctx, &run));
    const size_t bytes = size_of(model, &c);
    void* submitted = filled(bytes);
    npuenc_encode_desc* desc = malloc(sizeof *desc);
    *desc = c.desc;
    expect_ok(
        npuenc_encode_submit(model, desc, pcm, c.in_bytes, lengths, 3, submitted, bytes, run));
    memset(desc, 0xff, sizeof *desc); /* desc and lengths have been copied */
    free(desc);
    memset(lengths, 0xff, sizeof lengths);
    expect_ok(npuenc_run_wait(run, -1));
    assert_memory_equal(direct, submitted, bytes);
    npuenc_run_free(run);
    free(direct), free(submitted), free(pcm);
}

static void path_is_memory(void** state) {
    (void)state;
    char path[] = "/tmp/npuenc-encode-XXXXXX";
    const int file = mkstemp(path);
    assert_int_equal(write(file, small->file, small->file_bytes), small->file_bytes);
    close(file);
    const npuenc_model_options options = {.struct_size = sizeof options, .precision = precision};
    npuenc_model* from_path = NULL;
    expect_ok(npuenc_model_load(ctx, path, &options, &from_path));
    unlink(path);
    float* pcm = sound(16000, 10);
    const call c = call_of((npuenc_encode_desc){0}, pcm, 16000 * sizeof *pcm);
    expect_same_states(from_path, c, model, c);
    npuenc_model_free(from_path);
    free(pcm);
}

static void nothing_of_the_file_is_kept(void** state) {
    (void)state;
    whisper* made = whisper_create(small_shape, 1);
    npuenc_model* loaded = load(ctx, made);
    float* pcm = sound(16000, 10);
    const call c = call_of((npuenc_encode_desc){0}, pcm, 16000 * sizeof *pcm);
    memset(made->file, 0xff, made->file_bytes);
    whisper_free(made);
    expect_same_states(loaded, c, model, c);
    npuenc_model_free(loaded);
    free(pcm);
}

static void sizes_are_those_of_the_result(void** state) {
    (void)state;
    const struct {
        npuenc_encode_desc desc;
        size_t bytes;
    } sizes[] = {
        {{.batch = 0}, 50 * 128 * 4},
        {{.batch = 7}, 7 * 50 * 128 * 4},
        {{.n_ctx = 1, .output_type = NPUENC_BF16}, 128 * 2},
        {{.n_ctx = 50, .output_type = NPUENC_F16, .batch = 2}, 2 * 50 * 128 * 2},
        {{.batch = 65536, .input = NPUENC_INPUT_MEL_F32}, (size_t)65536 * 50 * 128 * 4},
        {{.n_per_item = UINT32_MAX}, 50 * 128 * 4},
    };
    for (size_t i = 0; i < COUNT(sizes); i++) {
        const call c = call_of(sizes[i].desc, NULL, 0);
        assert_int_equal(size_of(model, &c), sizes[i].bytes);
    }
}

/* ---- Wrong arguments, of all three functions ---- */

static void expect_refused(int32_t status, npuenc_model* with, const call* c, void* out,
                           size_t out_bytes) {
    npuenc_run* run;
    expect_ok(npuenc_run_create(ctx, &run));
    expect(status, npuenc_encode(with, &c->desc, c->in, c->in_bytes, c->lengths, c->n_lengths, out,
                                 out_bytes, NULL));
    expect(status, npuenc_encode(with, &c->desc, c->in, c->in_bytes, c->lengths, c->n_lengths, out,
                                 out_bytes, run));
    expect(status, npuenc_encode_submit(with, &c->desc, c->in, c->in_bytes, c->lengths,
                                        c->n_lengths, out, out_bytes, run));
    uint32_t done = 1, total = 1;
    expect_ok(npuenc_run_progress(run, &done, &total));
    assert_int_equal(done, 0);
    assert_int_equal(total, 0);
    npuenc_run_free(run);
}

static void descriptions_must_be_in_range(void** state) {
    (void)state;
    const npuenc_encode_desc wrong[] = {
        {.input = -1},
        {.input = 3},
        {.input = INT32_MIN},
        {.input = INT32_MAX},
        {.output_type = -1},
        {.output_type = NPUENC_S8},
        {.output_type = NPUENC_S32},
        {.output_type = 6},
        {.output_type = INT32_MIN},
        {.batch = 65537},
        {.batch = UINT32_MAX},
        {.n_ctx = 51},
        {.n_ctx = UINT32_MAX},
    };
    float *pcm = sound(160, 1), *out = filled(25600);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        const call c = call_of(wrong[i], pcm, 640);
        size_t bytes = 77;
        expect_invalid(npuenc_encode_size(model, &c.desc, &bytes));
        assert_int_equal(bytes, 77);
        expect_refused(NPUENC_E_INVALID, model, &c, out, 25600);
        assert_true(is_filled(out, 25600));
    }
    const call c = call_of((npuenc_encode_desc){0}, pcm, 640);
    size_t bytes = 77;
    expect_invalid(npuenc_encode_size(NULL, &c.desc, &bytes));
    expect_invalid(npuenc_encode_size(model, &c.desc, NULL));
    assert_int_equal(bytes, 77);
    expect_refused(NPUENC_E_INVALID, NULL, &c, out, 25600);
    assert_true(is_filled(out, 25600));
    free(pcm), free(out);
}

static void submission_needs_a_run(void** state) {
    (void)state;
    float *pcm = sound(160, 1), *out = filled(25600);
    const call c = call_of((npuenc_encode_desc){0}, pcm, 640);
    expect_invalid(npuenc_encode_submit(model, &c.desc, pcm, 640, NULL, 0, out, 25600, NULL));
    assert_true(is_filled(out, 25600));
    free(pcm), free(out);
}

static void buffers_must_fit(void** state) {
    (void)state;
    enum { batch = 2, n = 300 };
    const struct {
        int32_t input;
        size_t sample, elements;
    } inputs[] = {
        {NPUENC_INPUT_PCM_F32, 4, 1}, {NPUENC_INPUT_PCM_S16, 2, 1}, {NPUENC_INPUT_MEL_F32, 4, 80}};
    const int32_t output_types[] = {NPUENC_F32, NPUENC_BF16, NPUENC_F16};
    for (size_t i = 0; i < COUNT(inputs); i++)
        for (size_t t = 0; t < COUNT(output_types); t++) {
            const size_t n_items = i == 2 ? 30 : n;
            const size_t item = n_items * inputs[i].elements * inputs[i].sample;
            const size_t size = element_bytes(output_types[t]);
            const npuenc_encode_desc sized = {.input = inputs[i].input,
                                              .output_type = output_types[t],
                                              .batch = batch,
                                              .n_per_item = (uint32_t)n_items,
                                              .n_ctx = 40};
            const size_t in_bytes = batch * item, out_bytes = (size_t)batch * 40 * 128 * size;
            char *in = calloc(1, in_bytes + 8), *out = filled(out_bytes + in_bytes);
            call right = call_of(sized, in, in_bytes), c = right;

            c.in = NULL;
            expect_refused(NPUENC_E_INVALID, model, &c, out, out_bytes);
            c.in_bytes = 0;
            expect_refused(NPUENC_E_INVALID, model, &c, out, out_bytes);
            c = right;
            expect_refused(NPUENC_E_INVALID, model, &c, NULL, out_bytes);
            expect_refused(NPUENC_E_INVALID, model, &c, NULL, 0);
            expect_refused(NPUENC_E_BUFFER, model, &c, out, out_bytes - 1);
            expect_refused(NPUENC_E_BUFFER, model, &c, out, 0);
            c.in_bytes = in_bytes - 1;
            expect_refused(NPUENC_E_BUFFER, model, &c, out, out_bytes);
            c.in_bytes = 0;
            expect_refused(NPUENC_E_BUFFER, model, &c, out, out_bytes);
            for (size_t off = 1; off < inputs[i].sample; off++) {
                c = right, c.in = in + off;
                expect_refused(NPUENC_E_INVALID, model, &c, out, out_bytes);
            }
            c = right;
            for (size_t off = 1; off < size; off++)
                expect_refused(NPUENC_E_INVALID, model, &c, out + off, out_bytes);

            /* Without n_per_item, the input must divide. */
            c.desc.n_per_item = 0;
            c.in_bytes = in_bytes - inputs[i].sample;
            expect_refused(NPUENC_E_INVALID, model, &c, out, out_bytes);
            c.in_bytes = in_bytes - 1;
            expect_refused(NPUENC_E_INVALID, model, &c, out, out_bytes);

            /* The result on the input, at either end. */
            assert_true(is_filled(out, out_bytes + in_bytes));
            c = right, c.in = out;
            memset(out, 0, in_bytes);
            expect_refused(NPUENC_E_INVALID, model, &c, out, out_bytes);
            expect_refused(NPUENC_E_INVALID, model, &c, out + in_bytes - 4, out_bytes);
            memset(out, 0xa5, in_bytes);
            c.in = out + out_bytes - 4;
            memset(out + out_bytes - 4, 0, in_bytes);
            expect_refused(NPUENC_E_INVALID, model, &c, out, out_bytes);
            assert_true(is_filled(out, out_bytes - 4));

            expect_ok(
                npuenc_encode(model, &right.desc, in, in_bytes, NULL, 0, out, out_bytes, NULL));
            free(in), free(out);
        }
}

static void lengths_must_fit(void** state) {
    (void)state;
    enum { batch = 3, n_per_item = 400, out_bytes = batch * 128 * 4 };
    float *pcm = sound(batch * n_per_item, 3), *out = filled(out_bytes + 64);
    uint32_t lengths[batch] = {320, 0, 320};
    /* Items as such may be longer than the window of 320 samples, when what is valid is not. */
    call right = call_of((npuenc_encode_desc){.batch = batch, .n_ctx = 1}, pcm,
                         batch * n_per_item * sizeof *pcm);
    expect_refused(NPUENC_E_INVALID, model, &right, out, out_bytes);
    right.lengths = lengths, right.n_lengths = batch;
    free(encode(model, right));

    call c = right;
    const size_t counts[] = {0, 1, batch - 1, batch + 1, SIZE_MAX, SIZE_MAX / 4 + 1 + batch};
    for (size_t i = 0; i < COUNT(counts); i++) {
        c.n_lengths = counts[i];
        expect_refused(NPUENC_E_INVALID, model, &c, out, out_bytes);
        if (counts[i]) {
            c.lengths = NULL;
            expect_refused(NPUENC_E_INVALID, model, &c, out, out_bytes);
            c.lengths = lengths;
        }
    }
    c = right;
    uint32_t* const moved = filled(sizeof lengths + 4);
    memset(moved, 0, sizeof lengths + 4);
    for (size_t off = 1; off < 4; off++) {
        c.lengths = (const uint32_t*)(const void*)((const char*)moved + off);
        expect_refused(NPUENC_E_INVALID, model, &c, out, out_bytes);
    }
    free(moved);
    c = right;
    for (size_t i = 0; i < batch; i++) {
        const uint32_t before = lengths[i];
        const uint32_t wrong[] = {321, n_per_item + 1, UINT32_MAX};
        for (size_t w = 0; w < COUNT(wrong); w++) {
            lengths[i] = wrong[w];
            expect_refused(NPUENC_E_INVALID, model, &c, out, out_bytes);
        }
        lengths[i] = before;
    }
    assert_true(is_filled(out, out_bytes + 64));
    memset(out, 0, 64);
    c.lengths = (const uint32_t*)(const void*)out; /* overlapped by the result */
    expect_refused(NPUENC_E_INVALID, model, &c, out, out_bytes);
    free(pcm), free(out);
}

static void items_longer_than_the_window_are_refused(void** state) {
    (void)state;
    float *out = filled(25600), *in = calloc(32001, sizeof *in);
    const struct {
        npuenc_encode_desc desc;
        size_t bytes;
    } wrong[] = {
        {{.n_ctx = 0}, 16001 * 4},
        {{.n_ctx = 3}, 961 * 4},
        {{.input = NPUENC_INPUT_PCM_S16}, 16001 * 2},
        {{.input = NPUENC_INPUT_MEL_F32}, 101 * 80 * 4},
        {{.input = NPUENC_INPUT_MEL_F32, .n_ctx = 7}, 15 * 80 * 4},
        {{.n_per_item = 16001}, 32001 * 4},
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        const call c = call_of(wrong[i].desc, in, wrong[i].bytes);
        expect_refused(NPUENC_E_INVALID, model, &c, out, 25600);
    }
    assert_true(is_filled(out, 25600));
    free(in), free(out);
}

static void large_items_need_large_buffers(void** state) {
    (void)state;
    float *out = filled(25600), in[80] = {0};
    const npuenc_encode_desc wrong[] = {
        {.n_per_item = UINT32_MAX},
        {.n_per_item = UINT32_MAX, .input = NPUENC_INPUT_MEL_F32},
        {.batch = 65536, .n_per_item = UINT32_MAX, .input = NPUENC_INPUT_MEL_F32},
        {.batch = 65536},
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        const call c = call_of(wrong[i], i == 3 ? NULL : in, i == 3 ? 0 : sizeof in);
        expect_refused(NPUENC_E_BUFFER, model, &c, out, 25600);
    }
    assert_true(is_filled(out, 25600));
    free(out);
}

static void values_must_be_finite(void** state) {
    (void)state;
    const float wrong[] = {NAN, INFINITY, -INFINITY};
    const struct {
        npuenc_encode_desc desc;
        size_t n;
    } inputs[] = {
        {{.batch = 2}, 2000},
        {{.batch = 2, .input = NPUENC_INPUT_MEL_F32}, 2 * 80 * 10},
    };
    float* out = filled(2 * 25600);
    for (size_t i = 0; i < COUNT(inputs); i++) {
        float* in = calloc(inputs[i].n, sizeof *in);
        const size_t places[] = {0, 1, inputs[i].n / 2, inputs[i].n - 1};
        const call c = call_of(inputs[i].desc, in, inputs[i].n * sizeof *in);
        for (size_t p = 0; p < COUNT(places); p++)
            for (size_t w = 0; w < COUNT(wrong); w++) {
                in[places[p]] = wrong[w];
                expect_refused(NPUENC_E_INVALID, model, &c, out, 2 * 25600);
                in[places[p]] = 0;
            }
        free(in);
    }
    assert_true(is_filled(out, 2 * 25600));
    free(out);
}

static int set_up(void** state) {
    (void)state;
    ctx = open_device(1);
    small = whisper_create(small_shape, 1);
    model = load(ctx, small);
    return 0;
}

static int tear_down(void** state) {
    (void)state;
    npuenc_model_free(model);
    whisper_free(small);
    npuenc_close(ctx);
    return 0;
}

int main(void) {
    if (!has_forced_isa())
        return skipped;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_are_those_of_the_definition),
        cmocka_unit_test(pcm_is_encoded_through_its_mel),
        cmocka_unit_test(s16_is_f32_times_32768),
        cmocka_unit_test(narrow_states_are_rounded_f32),
        cmocka_unit_test(short_pcm_is_continued_with_zeros),
        cmocka_unit_test(short_mel_is_continued_with_its_floor),
        cmocka_unit_test(items_are_independent),
        cmocka_unit_test(mel_items_are_independent),
        cmocka_unit_test(submitted_is_direct),
        cmocka_unit_test(path_is_memory),
        cmocka_unit_test(nothing_of_the_file_is_kept),
        cmocka_unit_test(sizes_are_those_of_the_result),
        cmocka_unit_test(descriptions_must_be_in_range),
        cmocka_unit_test(submission_needs_a_run),
        cmocka_unit_test(buffers_must_fit),
        cmocka_unit_test(lengths_must_fit),
        cmocka_unit_test(items_longer_than_the_window_are_refused),
        cmocka_unit_test(large_items_need_large_buffers),
        cmocka_unit_test(values_must_be_finite),
    };
    static const char* const names[] = {"f32", "bf16", "int8"};
    int n_failed = 0;
    for (precision = NPUENC_PRECISION_F32; precision <= NPUENC_PRECISION_INT8; precision++)
        if (support_of(precision) == NPUENC_OK)
            n_failed += cmocka_run_group_tests_name(names[precision - NPUENC_PRECISION_F32], tests,
                                                    set_up, tear_down);
    return n_failed > 0;
}
