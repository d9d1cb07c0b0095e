/* SPDX-License-Identifier: MIT
 *
 * A small model of Whisper's shape with made-up weights, as a safetensors file in memory, and the
 * encoder computed from the definition in double precision.
 */
#ifndef NPUENC_TESTS_ABI_WHISPER_H
#define NPUENC_TESTS_ABI_WHISPER_H

#include <stddef.h>
#include <stdint.h>

typedef struct whisper_shape {
    uint32_t n_mels, n_ctx, n_state, n_head, n_layer;
} whisper_shape;

typedef struct whisper {
    whisper_shape shape;
    uint64_t n_parameters;
    void* file; /* safetensors, float32, tensors named as by Hugging Face */
    size_t file_bytes;
    float* weights; /* inside the file */
} whisper;

/* Two heads, two layers, and a window of one second. */
extern const whisper_shape small_shape;

whisper* whisper_create(whisper_shape shape, uint64_t seed);
void whisper_free(whisper* model);

/* mel[n_mels][2 * n_ctx] to states[n_ctx][n_state]. */
void whisper_encode(const whisper* model, const float* mel, uint32_t n_ctx, double* states);

/* pcm, continued with zeros, to mel[n_mels][n_frames]. */
void whisper_mel(const float* pcm, size_t n_samples, uint32_t n_mels, uint32_t n_frames,
                 double* mel);

/* The multiply-adds of one window's products. */
uint64_t whisper_macs(whisper_shape shape, uint32_t n_ctx);

#endif
