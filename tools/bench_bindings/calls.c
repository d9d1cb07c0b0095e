/* SPDX-License-Identifier: MIT
 *
 * calls MODEL: what a call of the library takes in C, which tools/bench-bindings compares other
 * languages with: a line for each, its name and the nanoseconds of the fastest batch.
 */
#define _POSIX_C_SOURCE 199309L
#include <npuenc/npuenc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BATCHES = 50, CALLS = 10000 };

static npuenc_ctx* ctx;
static npuenc_model* model;

static void check(int32_t status) {
    if (status != NPUENC_OK) {
        char detail[256];
        npuenc_last_error(detail, sizeof detail);
        fprintf(stderr, "%s: %s\n", npuenc_status_string(status), detail);
        exit(1);
    }
}

static void bare(void) {
    if (npuenc_version() == 0) {
        exit(1);
    }
}

static void size(void) {
    npuenc_encode_desc desc = {sizeof desc};
    desc.n_per_item = 16000;
    size_t bytes;
    check(npuenc_encode_size(model, &desc, &bytes));
}

static void matmul(void) {
    npuenc_matmul_desc desc = {sizeof desc};
    desc.a_type = desc.b_type = desc.c_type = NPUENC_F32;
    desc.m = desc.n = desc.k = 1;
    float a = 2, b = 3, c;
    check(npuenc_matmul(ctx, &desc, &a, sizeof a, &b, sizeof b, &c, sizeof c, NULL));
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return 1e9 * (double)time.tv_sec + (double)time.tv_nsec;
}

static void measure(const char* name, void (*call)(void)) {
    double best = 0;
    for (int batch = 0; batch < BATCHES; ++batch) {
        double began = now();
        for (int i = 0; i < CALLS; ++i) {
            call();
        }
        double took = (now() - began) / CALLS;
        if (batch == 0 || took < best) {
            best = took;
        }
    }
    printf("%s %.1f\n", name, best);
}

int main(int argc, char** argv) {
    if (argc != 2) {
        fputs("usage: calls MODEL\n", stderr);
        return 2;
    }
    npuenc_open_options options = {sizeof options};
    options.device_type = NPUENC_DEVICE_CPU;
    options.n_threads = 1;
    check(npuenc_open(&options, &ctx));
    check(npuenc_model_load(ctx, argv[1], NULL, &model));
    measure("bare", bare);
    measure("size", size);
    measure("matmul", matmul);
    npuenc_model_free(model);
    npuenc_close(ctx);
    return 0;
}
