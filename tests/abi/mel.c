/* SPDX-License-Identifier: MIT
 *
 * npuenc_mel against the definition in double precision, and every way to call it wrongly.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "whisper.h"

enum { hop = 160 };

static npuenc_mel_desc desc_of(int32_t input, uint32_t n_mels, uint32_t n_frames) {
    return (npuenc_mel_desc){.struct_size = sizeof(npuenc_mel_desc),
                             .input = input,
                             .n_mels = n_mels,
                             .n_frames = n_frames};
}

/* A chirp with noise and pauses. */
static float* sound(size_t n) {
    random_source source = {n};
    float* pcm = malloc(n * sizeof *pcm);
    for (size_t i = 0; i < n; i++) {
        const double t = (double)i / 16000;
        const double tone = sin(6.283 * (200 + 3000 * t) * t);
        pcm[i] = (i / 3000 % 3 == 2) ? 0 : (float)(0.4 * tone) + 0.01f * random_real(&source);
    }
    return pcm;
}

static float* mel_of(npuenc_ctx* with, npuenc_mel_desc desc, const void* pcm, size_t bytes) {
    size_t out_bytes = 0;
    expect_ok(npuenc_mel_size(&desc, &out_bytes));
    float* mel = filled(out_bytes);
    expect_ok(npuenc_mel(with, &desc, pcm, bytes, mel, out_bytes, NULL));
    return mel;
}

static void check(const float* pcm, size_t n, uint32_t n_mels, uint32_t n_frames) {
    float* mel = mel_of(ctx, desc_of(0, n_mels, n_frames), pcm, n * sizeof *pcm);
    const size_t n_values = (size_t)n_mels * n_frames;
    double* expected = malloc(n_values * sizeof *expected);
    whisper_mel(pcm, n, n_mels, n_frames, expected);
    for (size_t i = 0; i < n_values; i++)
        if (!(fabs(mel[i] - expected[i]) <= 1e-4)) /* the header's promise */
            fail_msg("%zu samples, band %zu of %u, frame %zu of %u: %.9g, expected %.9g", n,
                     i / n_frames, n_mels, i % n_frames, n_frames, mel[i], expected[i]);
    free(expected);
    free(mel);
}

static void sizes_are_those_of_the_result(void** state) {
    (void)state;
    const uint32_t sizes[][4] = {
        {0, 0, 80, 3000}, {128, 0, 128, 3000}, {80, 7, 80, 7}, {128, 131072, 128, 131072}};
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (int32_t input = 0; input < 2; input++) {
            const npuenc_mel_desc desc = desc_of(input, sizes[i][0], sizes[i][1]);
            size_t bytes = 0;
            expect_ok(npuenc_mel_size(&desc, &bytes));
            assert_int_equal(bytes, (size_t)sizes[i][2] * sizes[i][3] * sizeof(float));
        }
}

static void values_are_those_of_the_definition(void** state) {
    (void)state;
    float* pcm = sound(200 * hop);
    const uint32_t n_frames[] = {2, 3, 8, 9, 31, 100, 200};
    for (size_t i = 0; i < COUNT(n_frames); i++)
        for (uint32_t n_mels = 80; n_mels <= 128; n_mels += 48)
            check(pcm, (size_t)n_frames[i] * hop, n_mels, n_frames[i]);
    free(pcm);
}

static void short_sounds_are_continued_with_zeros(void** state) {
    (void)state;
    enum { n_frames = 40 };
    float* pcm = sound(n_frames * hop);
    const size_t lengths[] = {0,
                              1,
                              2,
                              199,
                              200,
                              201,
                              399,
                              400,
                              401,
                              1000,
                              3199,
                              3200,
                              3201,
                              40 * hop - 201,
                              40 * hop - 200,
                              40 * hop - 1};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        float* exact = malloc(lengths[i] * sizeof *exact);
        memcpy(exact, pcm, lengths[i] * sizeof *exact);
        check(exact, lengths[i], 80, n_frames);

        float* padded = calloc(n_frames * hop, sizeof *padded);
        memcpy(padded, pcm, lengths[i] * sizeof *padded);
        const npuenc_mel_desc desc = desc_of(0, 80, n_frames);
        float* a = mel_of(ctx, desc, exact, lengths[i] * sizeof *exact);
        float* b = mel_of(ctx, desc, padded, n_frames * hop * sizeof *padded);
        assert_memory_equal(a, b, 80 * n_frames * sizeof *a);
        free(a), free(b), free(exact), free(padded);
    }
    free(pcm);
}

static void silence_is_minus_three_halves(void** state) {
    (void)state;
    float* mel = mel_of(ctx, desc_of(0, 80, 10), NULL, 0);
    for (size_t i = 0; i < 800; i++)
        assert_true(fabsf(mel[i] + 1.5f) <= 1e-4f);
    free(mel);
    const float one = 0x1p-40f; /* all but silence */
    check(&one, 1, 80, 10);
}

static void loud_and_odd_sounds(void** state) {
    (void)state;
    float* pcm = sound(20 * hop);
    for (size_t i = 0; i < 20 * hop; i++)
        pcm[i] *= 1e6f; /* nothing says that it ends at 1 */
    check(pcm, 20 * hop, 80, 20);
    memset(pcm, 0, 20 * hop * sizeof *pcm);
    pcm[0] = 1;
    check(pcm, 20 * hop, 128, 20);
    for (size_t i = 0; i < 20 * hop; i++)
        pcm[i] = 0.5f;
    check(pcm, 20 * hop, 80, 20);
    free(pcm);
}

static void s16_is_f32_times_32768(void** state) {
    (void)state;
    enum { n_frames = 30, n = n_frames * hop - 77 };
    random_source source = {1};
    int16_t* narrow = malloc(n * sizeof *narrow);
    float* wide = malloc(n * sizeof *wide);
    for (size_t i = 0; i < n; i++) {
        narrow[i] = (int16_t)((int)random_below(&source, 65536) - 32768);
        wide[i] = (float)narrow[i] / 32768;
    }
    float* a = mel_of(ctx, desc_of(NPUENC_INPUT_PCM_S16, 80, n_frames), narrow, n * 2);
    float* b = mel_of(ctx, desc_of(NPUENC_INPUT_PCM_F32, 80, n_frames), wide, n * 4);
    assert_memory_equal(a, b, 80 * n_frames * sizeof *a);
    free(a), free(b), free(narrow), free(wide);
}

static void threads_do_not_change_results(void** state) {
    (void)state;
    float* pcm = sound(333 * hop);
    const npuenc_mel_desc desc = desc_of(0, 128, 333);
    float* one = mel_of(ctx, desc, pcm, 333 * hop * sizeof *pcm);
    for (uint32_t n = 2; n <= 4; n++) {
        npuenc_ctx* threaded = open_device(n);
        float* many = mel_of(threaded, desc, pcm, 333 * hop * sizeof *pcm);
        assert_memory_equal(one, many, 128 * 333 * sizeof *one);
        free(many);
        npuenc_close(threaded);
    }
    free(one), free(pcm);
}

/* ---- Wrong arguments ---- */

static void descriptions_must_be_in_range(void** state) {
    (void)state;
    const npuenc_mel_desc wrong[] = {
        desc_of(-1, 80, 10),        desc_of(NPUENC_INPUT_MEL_F32, 80, 10),
        desc_of(3, 80, 10),         desc_of(INT32_MIN, 80, 10),
        desc_of(INT32_MAX, 80, 10), desc_of(0, 1, 10),
        desc_of(0, 79, 10),         desc_of(0, 81, 10),
        desc_of(0, 127, 10),        desc_of(0, 256, 10),
        desc_of(0, UINT32_MAX, 10), desc_of(0, 80, 1),
        desc_of(0, 80, 131073),     desc_of(0, 80, UINT32_MAX),
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        size_t bytes = 77;
        expect_invalid(npuenc_mel_size(&wrong[i], &bytes));
        assert_int_equal(bytes, 77);
        float pcm[160] = {0}, *out = filled(800 * sizeof *out);
        expect_invalid(npuenc_mel(ctx, &wrong[i], pcm, sizeof pcm, out, 800 * sizeof *out, NULL));
        assert_true(is_filled(out, 800 * sizeof *out));
        free(out);
    }
    const npuenc_mel_desc desc = desc_of(0, 80, 10);
    expect_invalid(npuenc_mel_size(&desc, NULL));
}

static void buffers_must_fit(void** state) {
    (void)state;
    enum { n_frames = 3, bytes = 80 * n_frames * 4, most = n_frames * hop };
    for (int32_t input = 0; input < 2; input++) {
        const npuenc_mel_desc desc = desc_of(input, 0, n_frames);
        const size_t size = input == NPUENC_INPUT_PCM_S16 ? 2 : 4;
        char *pcm = calloc(most + 2, size), *out = filled(bytes + 4);
        const struct {
            npuenc_ctx* ctx;
            const void* pcm;
            size_t pcm_bytes;
            void* out;
            size_t out_bytes;
            int32_t status;
        } wrong[] = {
            {NULL, pcm, most * size, out, bytes, NPUENC_E_INVALID},
            {ctx, NULL, most * size, out, bytes, NPUENC_E_INVALID},
            {ctx, pcm, most * size, NULL, bytes, NPUENC_E_INVALID},
            {ctx, pcm, most * size, NULL, 0, NPUENC_E_INVALID},
            {ctx, pcm, most * size, out, bytes - 1, NPUENC_E_BUFFER},
            {ctx, pcm, most * size, out, 0, NPUENC_E_BUFFER},
            {ctx, pcm, (most + 1) * size, out, bytes, NPUENC_E_INVALID}, /* too long */
            {ctx, pcm, most * size - 1, out, bytes, NPUENC_E_INVALID},   /* no whole samples */
            {ctx, pcm, 1, out, bytes, NPUENC_E_INVALID},
            {ctx, pcm, SIZE_MAX / 4 * 4, out, bytes, NPUENC_E_INVALID},
            {ctx, pcm + 1, most * size, out, bytes, NPUENC_E_INVALID},
            {ctx, pcm, most * size, out + 1, bytes, NPUENC_E_INVALID},
            {ctx, pcm, most * size, out + 2, bytes, NPUENC_E_INVALID},
            {ctx, out, bytes, out, bytes, NPUENC_E_INVALID}, /* overlaps */
            {ctx, out + bytes - 4, 4, out, bytes, NPUENC_E_INVALID},
        };
        for (size_t i = 0; i < COUNT(wrong); i++) {
            expect(wrong[i].status,
                   npuenc_mel(wrong[i].ctx, &desc, wrong[i].pcm, wrong[i].pcm_bytes, wrong[i].out,
                              wrong[i].out_bytes, NULL));
            assert_true(is_filled(out, bytes + 4));
        }
        expect_ok(npuenc_mel(ctx, &desc, pcm, most * size, out, bytes + 4, NULL));
        assert_true(is_filled(out + bytes, 4));
        free(pcm), free(out);
    }
}

static void values_must_be_finite(void** state) {
    (void)state;
    enum { n_frames = 20, n = n_frames * hop };
    const npuenc_mel_desc desc = desc_of(0, 80, n_frames);
    const float wrong[] = {NAN, INFINITY, -INFINITY};
    const size_t places[] = {0, 1, 399, n / 2, n - 1};
    float *pcm = calloc(n, sizeof *pcm), *out = filled(80 * n_frames * sizeof *out);
    for (size_t i = 0; i < COUNT(wrong); i++)
        for (size_t p = 0; p < COUNT(places); p++) {
            pcm[places[p]] = wrong[i];
            expect_invalid(npuenc_mel(ctx, &desc, pcm, n * sizeof *pcm, out,
                                      80 * n_frames * sizeof *out, NULL));
            assert_true(is_filled(out, 80 * n_frames * sizeof *out));
            pcm[places[p]] = 0;
        }
    free(pcm), free(out);
}

int main(void) {
    if (!has_forced_isa())
        return skipped;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_those_of_the_result),
        cmocka_unit_test(values_are_those_of_the_definition),
        cmocka_unit_test(short_sounds_are_continued_with_zeros),
        cmocka_unit_test(silence_is_minus_three_halves),
        cmocka_unit_test(loud_and_odd_sounds),
        cmocka_unit_test(s16_is_f32_times_32768),
        cmocka_unit_test(threads_do_not_change_results),
        cmocka_unit_test(descriptions_must_be_in_range),
        cmocka_unit_test(buffers_must_fit),
        cmocka_unit_test(values_must_be_finite),
    };
    return cmocka_run_group_tests(tests, open_ctx, close_ctx);
}
