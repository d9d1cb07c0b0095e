/* SPDX-License-Identifier: MIT
 *
 * A small Whisper and its encoder in double precision, from the definition: openai/whisper,
 * whisper/model.py and whisper/audio.py. Nothing here is fast or shared with npuenc.
 */
#include "whisper.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

const whisper_shape small_shape = {
    .n_mels = 80, .n_ctx = 50, .n_state = 128, .n_head = 2, .n_layer = 2};

/* ---- The file ---- */

enum { per_layer = 15 };

/* What a tensor is filled with: values around `mean`, `spread` to either side. */
typedef struct tensor {
    char name[96];
    uint32_t rank, dims[3];
    float mean, spread;
    size_t offset; /* in floats */
} tensor;

typedef struct tensor_list {
    tensor tensors[3 * 2 + 1 + 8 * per_layer];
    size_t n, n_floats;
} tensor_list;

static void add(tensor_list* list, const char* name, uint32_t d0, uint32_t d1, uint32_t d2,
                float mean, float spread) {
    tensor* t = &list->tensors[list->n++];
    snprintf(t->name, sizeof t->name, "model.encoder.%s", name);
    t->dims[0] = d0, t->dims[1] = d1, t->dims[2] = d2;
    t->rank = d2 ? 3 : d1 ? 2 : 1;
    t->mean = mean, t->spread = spread;
    t->offset = list->n_floats;
    list->n_floats += (size_t)d0 * (d1 ? d1 : 1) * (d2 ? d2 : 1);
}

/* With this spread, products have the variance of their inputs times gain^2. */
static float spread_for(float gain, uint32_t n_in) {
    return gain * sqrtf(3.0f / (float)n_in);
}

/* The convolutions end small, so that the 1e-5 in the first norms matters as it can in Whisper. */
static tensor_list list_tensors(whisper_shape shape) {
    const uint32_t n = shape.n_state;
    tensor_list list = {.n = 0};
    add(&list, "conv1.weight", n, shape.n_mels, 3, 0, spread_for(1, 3 * shape.n_mels));
    add(&list, "conv1.bias", n, 0, 0, 0, 0.1f);
    add(&list, "conv2.weight", n, n, 3, 0, spread_for(0.05f, 3 * n));
    add(&list, "conv2.bias", n, 0, 0, 0, 0.01f);
    add(&list, "embed_positions.weight", shape.n_ctx, n, 0, 0, 0.02f);
    for (uint32_t layer = 0; layer < shape.n_layer; layer++) {
        const struct {
            const char* name;
            uint32_t d0, d1;
            float mean, spread;
        } parts[per_layer] = {
            {"self_attn_layer_norm.weight", n, 0, 1, 0.3f},
            {"self_attn_layer_norm.bias", n, 0, 0, 0.1f},
            {"self_attn.q_proj.weight", n, n, 0, spread_for(1.5f, n)},
            {"self_attn.q_proj.bias", n, 0, 0, 0.1f},
            {"self_attn.k_proj.weight", n, n, 0, spread_for(1.5f, n)},
            {"self_attn.v_proj.weight", n, n, 0, spread_for(1, n)},
            {"self_attn.v_proj.bias", n, 0, 0, 0.1f},
            {"self_attn.out_proj.weight", n, n, 0, spread_for(0.1f, n)},
            {"self_attn.out_proj.bias", n, 0, 0, 0.01f},
            {"final_layer_norm.weight", n, 0, 1, 0.3f},
            {"final_layer_norm.bias", n, 0, 0, 0.1f},
            {"fc1.weight", 4 * n, n, 0, spread_for(1, n)},
            {"fc1.bias", 4 * n, 0, 0, 0.1f},
            {"fc2.weight", n, 4 * n, 0, spread_for(0.1f, 4 * n)},
            {"fc2.bias", n, 0, 0, 0.01f},
        };
        for (size_t i = 0; i < per_layer; i++) {
            char name[64];
            snprintf(name, sizeof name, "layers.%u.%s", layer, parts[i].name);
            add(&list, name, parts[i].d0, parts[i].d1, 0, parts[i].mean, parts[i].spread);
        }
    }
    add(&list, "layer_norm.weight", n, 0, 0, 1, 0.3f);
    add(&list, "layer_norm.bias", n, 0, 0, 0, 0.1f);
    return list;
}

static char* describe(const tensor_list* list) {
    char* text = NULL;
    size_t bytes;
    FILE* out = open_memstream(&text, &bytes);
    for (size_t i = 0; i < list->n; i++) {
        const tensor* t = &list->tensors[i];
        const size_t end = i + 1 < list->n ? t[1].offset : list->n_floats;
        fprintf(out, "%c\"%s\":{\"dtype\":\"F32\",\"shape\":[%u", i ? ',' : '{', t->name,
                t->dims[0]);
        for (uint32_t d = 1; d < t->rank; d++)
            fprintf(out, ",%u", t->dims[d]);
        fprintf(out, "],\"data_offsets\":[%zu,%zu]}", t->offset * 4, end * 4);
    }
    fprintf(out, "}%*s", (int)(8 - (size_t)(ftell(out) + 1) % 8), ""); /* the data are aligned */
    fclose(out);
    return text;
}

whisper* whisper_create(whisper_shape shape, uint64_t seed) {
    const tensor_list list = list_tensors(shape);
    char* header = describe(&list);
    const uint64_t header_bytes = strlen(header);

    whisper* model = malloc(sizeof *model);
    model->shape = shape;
    model->n_parameters = list.n_floats;
    model->file_bytes = 8 + header_bytes + list.n_floats * sizeof(float);
    model->file = malloc(model->file_bytes);
    memcpy(model->file, &header_bytes, 8);
    memcpy((char*)model->file + 8, header, header_bytes);
    free(header);

    model->weights = (float*)(void*)((char*)model->file + 8 + header_bytes);
    random_source source = {seed};
    for (size_t i = 0; i < list.n; i++) {
        const tensor* t = &list.tensors[i];
        const size_t end = i + 1 < list.n ? t[1].offset : list.n_floats;
        for (size_t j = t->offset; j < end; j++)
            model->weights[j] = t->mean + t->spread * random_real(&source);
    }
    return model;
}

void whisper_free(whisper* model) {
    free(model->file);
    free(model);
}

/* ---- The encoder ---- */

static double* reals(size_t n) {
    return calloc(n, sizeof(double));
}

static double gelu(double x) {
    return x * 0.5 * (1 + erf(x / sqrt(2)));
}

/* in[n_in][length] to out[n_out][length / stride], with a kernel of 3 and zeros at both ends. */
static void convolve(const float* weight, const float* bias, size_t n_out, size_t n_in,
                     size_t length, size_t stride, const double* in, double* out) {
    for (size_t o = 0; o < n_out; o++)
        for (size_t t = 0; t < length; t += stride) {
            double sum = bias[o];
            for (size_t tap = 0; tap < 3; tap++)
                if (t + tap >= 1 && t + tap - 1 < length)
                    for (size_t i = 0; i < n_in; i++)
                        sum += weight[(o * n_in + i) * 3 + tap] * in[i * length + t + tap - 1];
            out[o * (length / stride) + t / stride] = gelu(sum);
        }
}

static void normalise(const float* weight, const float* bias, size_t rows, size_t n,
                      const double* x, double* y) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        double mean = 0, variance = 0;
        for (size_t i = 0; i < n; i++)
            mean += x[i] / (double)n;
        for (size_t i = 0; i < n; i++)
            variance += (x[i] - mean) * (x[i] - mean) / (double)n;
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - mean) / sqrt(variance + 1e-5) * weight[i] + bias[i];
    }
}

/* y = x W^T + bias, or y += that. */
static void project(const float* weight, const float* bias, size_t rows, size_t n_in, size_t n_out,
                    const double* x, bool accumulate, double* y) {
    for (size_t r = 0; r < rows; r++)
        for (size_t o = 0; o < n_out; o++) {
            double sum = bias ? bias[o] : 0;
            for (size_t i = 0; i < n_in; i++)
                sum += weight[o * n_in + i] * x[r * n_in + i];
            y[r * n_out + o] = (accumulate ? y[r * n_out + o] : 0) + sum;
        }
}

static void attend(size_t n, size_t n_state, size_t n_head, const double* q, const double* k,
                   const double* v, double* out) {
    const size_t dim = n_state / n_head;
    double* p = reals(n);
    for (size_t head = 0; head < n_head; head++)
        for (size_t i = 0; i < n; i++) {
            double sum = 0;
            for (size_t j = 0; j < n; j++) {
                double score = 0;
                for (size_t d = head * dim; d < (head + 1) * dim; d++)
                    score += q[i * n_state + d] * k[j * n_state + d];
                sum += p[j] = exp(score / sqrt((double)dim));
            }
            for (size_t d = head * dim; d < (head + 1) * dim; d++) {
                double value = 0;
                for (size_t j = 0; j < n; j++)
                    value += p[j] / sum * v[j * n_state + d];
                out[i * n_state + d] = value;
            }
        }
    free(p);
}

void whisper_encode(const whisper* model, const float* mel, uint32_t n_ctx, double* states) {
    const size_t n = n_ctx, n_state = model->shape.n_state, n_mels = model->shape.n_mels;
    const tensor_list list = list_tensors(model->shape);
    const tensor* next = list.tensors;
#define take() (model->weights + (next++)->offset)

    double *frames = reals(n_mels * 2 * n), *wide = reals(4 * n_state * n);
    double *x = reals(n_state * n), *h = reals(n_state * n);
    for (size_t i = 0; i < n_mels * 2 * n; i++)
        frames[i] = mel[i];
    const float *weight = take(), *bias = take();
    convolve(weight, bias, n_state, n_mels, 2 * n, 1, frames, wide);
    weight = take(), bias = take();
    convolve(weight, bias, n_state, n_state, 2 * n, 2, wide, h);
    const float* positions = take();
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < n_state; i++)
            x[t * n_state + i] = h[i * n + t] + positions[t * n_state + i];

    double *q = reals(n_state * n), *k = reals(n_state * n), *v = reals(n_state * n);
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
        weight = take(), bias = take();
        normalise(weight, bias, n, n_state, x, h);
        weight = take(), bias = take();
        project(weight, bias, n, n_state, n_state, h, false, q);
        weight = take();
        project(weight, NULL, n, n_state, n_state, h, false, k);
        weight = take(), bias = take();
        project(weight, bias, n, n_state, n_state, h, false, v);
        attend(n, n_state, model->shape.n_head, q, k, v, h);
        weight = take(), bias = take();
        project(weight, bias, n, n_state, n_state, h, true, x);

        weight = take(), bias = take();
        normalise(weight, bias, n, n_state, x, h);
        weight = take(), bias = take();
        project(weight, bias, n, n_state, 4 * n_state, h, false, wide);
        for (size_t i = 0; i < 4 * n_state * n; i++)
            wide[i] = gelu(wide[i]);
        weight = take(), bias = take();
        project(weight, bias, n, 4 * n_state, n_state, wide, true, x);
    }
    weight = take(), bias = take();
    normalise(weight, bias, n, n_state, x, states);
#undef take

    double* const all[] = {frames, wide, x, h, q, k, v};
    for (size_t i = 0; i < COUNT(all); i++)
        free(all[i]);
}

uint64_t whisper_macs(whisper_shape shape, uint32_t n_ctx) {
    const uint64_t n = n_ctx, s = shape.n_state;
    const uint64_t convolutions = 2 * n * 3 * shape.n_mels * s + n * 3 * s * s;
    const uint64_t layer = n * 4 * s * s + 2 * n * n * s + n * 8 * s * s;
    return convolutions + shape.n_layer * layer;
}

/* ---- Log-mel ---- */

enum { n_fft = 400, hop = 160, n_bins = n_fft / 2 + 1 };

/* The mel scale of Slaney's Auditory Toolbox, as librosa has it: linear below 1 kHz. */
static double hertz_of_mel(double mel) {
    return mel < 15 ? mel * 200 / 3 : 1000 * exp((mel - 15) * log(6.4) / 27);
}

static double filter(uint32_t n_mels, uint32_t band, uint32_t bin) {
    const double top = 15 + log(8.0) / (log(6.4) / 27); /* 8 kHz */
    double edge[3];
    for (uint32_t i = 0; i < 3; i++)
        edge[i] = hertz_of_mel(top * (band + i) / (n_mels + 1));
    const double hertz = bin * 16000.0 / n_fft;
    const double up = (hertz - edge[0]) / (edge[1] - edge[0]);
    const double down = (edge[2] - hertz) / (edge[2] - edge[1]);
    return fmax(0, fmin(up, down)) * 2 / (edge[2] - edge[0]);
}

void whisper_mel(const float* pcm, size_t n_samples, uint32_t n_mels, uint32_t n_frames,
                 double* mel) {
    const ptrdiff_t length = (ptrdiff_t)n_frames * hop;
    const double turn = 2 * acos(-1) / n_fft;
    double cosine[n_fft], sine[n_fft], power[n_bins];
    for (size_t i = 0; i < n_fft; i++)
        cosine[i] = cos(turn * (double)i), sine[i] = sin(turn * (double)i);
    double* filters = reals((size_t)n_mels * n_bins);
    for (uint32_t band = 0; band < n_mels; band++)
        for (uint32_t bin = 0; bin < n_bins; bin++)
            filters[band * n_bins + bin] = filter(n_mels, band, bin);

    double maximum = -INFINITY;
    for (uint32_t frame = 0; frame < n_frames; frame++) {
        double windowed[n_fft];
        for (ptrdiff_t i = 0; i < n_fft; i++) {
            ptrdiff_t from = (ptrdiff_t)frame * hop + i - n_fft / 2;
            from = from < 0 ? -from : from;
            from = from >= length ? 2 * (length - 1) - from : from;
            const double sample = (size_t)from < n_samples ? pcm[from] : 0;
            windowed[i] = sample * (0.5 - 0.5 * cosine[i]);
        }
        for (size_t bin = 0; bin < n_bins; bin++) {
            double re = 0, im = 0;
            for (size_t i = 0; i < n_fft; i++) {
                re += windowed[i] * cosine[bin * i % n_fft];
                im -= windowed[i] * sine[bin * i % n_fft];
            }
            power[bin] = re * re + im * im;
        }
        for (uint32_t band = 0; band < n_mels; band++) {
            double sum = 0;
            for (size_t bin = 0; bin < n_bins; bin++)
                sum += filters[band * n_bins + bin] * power[bin];
            const double level = log10(fmax(sum, 1e-10));
            mel[(size_t)band * n_frames + frame] = level;
            maximum = fmax(maximum, level);
        }
    }
    for (size_t i = 0; i < (size_t)n_mels * n_frames; i++)
        mel[i] = (fmax(mel[i], maximum - 8) + 4) / 4;
    free(filters);
}
