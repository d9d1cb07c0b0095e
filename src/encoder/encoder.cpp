// SPDX-License-Identifier: MIT
#include "encoder/encoder.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "audio/pcm.hpp"

namespace npuenc {
namespace {

// The least value of a log-mel: Whisper clamps log10 of the power to 8 below its maximum and,
// before that, the power to 1e-10; then it takes (x + 4) / 4.
float mel_floor(float maximum) {
    return std::max(maximum - 2.0f, -1.5f);
}

size_t element_size(npuenc_dtype type) {
    return type == NPUENC_F32 ? 4 : 2;
}

uint64_t product(size_t rows, const Weight& weight) {
    return uint64_t{rows} * weight.n_in() * weight.n_out();
}

Linear dense(size_t rows, const Weight& weight) {
    return {.x_type = NPUENC_F32,
            .y_type = NPUENC_F32,
            .rows = rows,
            .ldx = weight.n_in(),
            .ldy = weight.n_out()};
}

} // namespace

// The activations of one window. `wide` holds, one after another, what is alive at one time only.
struct Encoder::Workspace {
    std::vector<float> pcm;
    std::vector<float> mel;    // [n_mels][n_frames]
    std::vector<float> frames; // [1 + n_frames + 1][n_mels], zeros before and after
    std::vector<float> x;      // [n_ctx][n_state], the residual stream
    std::vector<float> h;      // [n_ctx][n_state], normalised
    std::vector<float> wide;   // [1 + n_frames + 1][n_state], [n_ctx][3 n_state] or [n_ctx][n_mlp]

    void fit(const HyperParameters& dims, uint32_t n_ctx, bool from_pcm) {
        const size_t n_frames = size_t{n_ctx} * frames_per_state;
        const size_t n_state = dims.n_state;
        if (from_pcm)
            pcm.resize(n_frames * hop_length);
        mel.resize(dims.n_mels * n_frames);
        frames.resize((n_frames + 2) * dims.n_mels);
        x.resize(n_ctx * n_state);
        h.resize(n_ctx * n_state);
        wide.resize(std::max((n_frames + 2) * n_state, n_ctx * size_t{dims.n_mlp()}));
    }
};

// A workspace for as long as a call needs it.
class Encoder::Lease {
  public:
    explicit Lease(const Encoder& encoder) : encoder_(encoder) {
        const std::lock_guard lock(encoder_.idle_mutex_);
        if (encoder_.idle_.empty()) {
            // Room for all that will come back: giving back must not fail.
            encoder_.idle_.reserve(encoder_.idle_.capacity() + 1);
            work_ = std::make_unique<Workspace>();
        } else {
            work_ = std::move(encoder_.idle_.back());
            encoder_.idle_.pop_back();
        }
    }

    ~Lease() {
        const std::lock_guard lock(encoder_.idle_mutex_);
        encoder_.idle_.push_back(std::move(work_));
    }

    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    Workspace& operator*() { return *work_; }

  private:
    const Encoder& encoder_;
    std::unique_ptr<Workspace> work_;
};

Encoder::Encoder(const ModelFile& file, const PlanOptions& options, Device& device)
    : dims_(file.hyper_parameters()), plan_(make_plan(options, device)),
      weights_(load_weights(file, plan_)), spectrogram_(dims_.n_mels) {}

Encoder::~Encoder() = default;

void Encoder::encode(const Batch& batch, Run& run) const {
    Lease lease(*this);
    (*lease).fit(dims_, batch.n_ctx, batch.input != NPUENC_INPUT_MEL_F32);
    run.set_total(static_cast<uint32_t>(batch.size * steps_per_item()));
    for (size_t item = 0; item < batch.size; ++item) {
        run.start_window();
        encode_item(batch, item, *lease, run);
    }
}

void Encoder::encode_item(const Batch& batch, size_t item, Workspace& work, Run& run) const {
    load_audio(batch, item, work, run);
    convolve(batch.n_ctx, work, run);
    for (uint32_t layer = 0; layer < dims_.n_layer; ++layer)
        run_layer(layer, batch.n_ctx, work, run);
    write_states(batch, item, work, run);
}

// Ends with work.frames: the mel of the window, one row for each frame.
void Encoder::load_audio(const Batch& batch, size_t item, Workspace& work, Run& run) const {
    const uint32_t n_frames = batch.n_ctx * frames_per_state;
    const size_t n_mels = dims_.n_mels;
    const size_t length = batch.lengths ? batch.lengths[item] : batch.n_per_item;

    const auto from_pcm = [&] {
        const float* pcm;
        if (batch.input == NPUENC_INPUT_PCM_S16) {
            const auto* samples = static_cast<const int16_t*>(batch.in) + item * batch.n_per_item;
            pcm_from_s16(samples, length, work.pcm.data());
            pcm = work.pcm.data();
        } else {
            pcm = static_cast<const float*>(batch.in) + item * batch.n_per_item;
        }
        spectrogram_.compute(pcm, length, n_frames, work.mel.data(), plan_.elementwise->parallel());
    };

    const auto from_mel = [&] {
        const float* mel = static_cast<const float*>(batch.in) + item * n_mels * batch.n_per_item;
        float maximum = -std::numeric_limits<float>::infinity();
        for (size_t band = 0; band < n_mels; ++band)
            for (size_t t = 0; t < length; ++t)
                maximum = std::max(maximum, mel[band * batch.n_per_item + t]);
        for (size_t band = 0; band < n_mels; ++band) {
            float* row = work.mel.data() + band * n_frames;
            std::copy_n(mel + band * batch.n_per_item, length, row);
            std::fill(row + length, row + n_frames, mel_floor(maximum));
        }
    };

    const Clock::time_point start = Clock::now();
    run.operate({"mel", -1, NPUENC_DEVICE_CPU, NPUENC_PRECISION_F32, 0}, [&] {
        if (batch.input == NPUENC_INPUT_MEL_F32)
            from_mel();
        else
            from_pcm();
        std::fill_n(work.frames.begin(), n_mels, 0.0f);
        float* row = work.frames.data() + n_mels;
        for (size_t t = 0; t < n_frames; ++t, row += n_mels)
            for (size_t band = 0; band < n_mels; ++band)
                row[band] = work.mel[band * n_frames + t];
        std::fill_n(row, n_mels, 0.0f);
    });
    run.stats_in_work().mel_ns += nanoseconds_since(start);
}

// Rows of three frames overlap, so a convolution is a product whose rows begin `stride` frames
// apart: nothing is copied.
void Encoder::convolve(uint32_t n_ctx, Workspace& work, Run& run) const {
    const size_t n_frames = size_t{n_ctx} * frames_per_state;
    const size_t n_state = dims_.n_state;
    const npuenc_device_type device = plan_.conv->type();
    float* padded = work.wide.data(); // one row of zeros, then the result of the first convolution

    run.operate({"conv1", -1, device, plan_.precision, product(n_frames, *weights_.conv1)}, [&] {
        Linear shape = dense(n_frames, *weights_.conv1);
        shape.ldx = dims_.n_mels;
        shape.gelu = true;
        std::fill_n(padded, n_state, 0.0f);
        plan_.conv->linear(*weights_.conv1, shape, work.frames.data(), padded + n_state);
    });
    run.operate({"conv2", -1, device, plan_.precision, product(n_ctx, *weights_.conv2)}, [&] {
        Linear shape = dense(n_ctx, *weights_.conv2);
        shape.ldx = frames_per_state * n_state;
        shape.gelu = true;
        shape.addend = weights_.positions.data();
        shape.ld_addend = n_state;
        plan_.conv->linear(*weights_.conv2, shape, padded, work.x.data());
    });
}

void Encoder::run_layer(uint32_t index, uint32_t n_ctx, Workspace& work, Run& run) const {
    const Layer& layer = weights_.layers[index];
    const size_t n_state = dims_.n_state;
    float* x = work.x.data();
    float* h = work.h.data();
    float* wide = work.wide.data();

    const auto operate = [&](const char* name, const Device* device, npuenc_precision precision,
                             uint64_t macs, auto&& body) {
        run.operate({name, static_cast<int32_t>(index), device->type(), precision, macs}, body);
    };
    const auto norm = [&](const char* name, const Norm& parameters) {
        operate(name, plan_.elementwise, NPUENC_PRECISION_F32, 0, [&] {
            plan_.elementwise->layer_norm(n_ctx, n_state, x, parameters.weight.data(),
                                          parameters.bias.data(), h);
        });
    };
    const auto linear = [&](const char* name, const Weight& weight, const float* in, float* out,
                            bool gelu, const float* addend) {
        operate(name, plan_.linear, plan_.precision, product(n_ctx, weight), [&] {
            Linear shape = dense(n_ctx, weight);
            shape.gelu = gelu;
            shape.addend = addend;
            shape.ld_addend = weight.n_out();
            plan_.linear->linear(weight, shape, in, out);
        });
    };
    const auto attention = [&](const float* qkv, float* out) {
        Attention shape{};
        shape.type = NPUENC_F32;
        shape.batch = 1;
        shape.n_head = dims_.n_head;
        shape.head_dim = dims_.head_dim();
        shape.q_len = shape.kv_len = n_ctx;
        shape.ldq = shape.ldk = shape.ldv = 3 * n_state;
        shape.ldo = n_state;
        shape.scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
        shape.mask = NPUENC_MASK_NONE;
        const uint64_t macs = 2 * uint64_t{n_ctx} * n_ctx * n_state;
        operate("attention", plan_.attention, NPUENC_PRECISION_F32, macs, [&] {
            plan_.attention->attention(shape, qkv, qkv + n_state, qkv + 2 * n_state, out);
        });
    };

    norm("attention norm", layer.attention_norm);
    linear("qkv", *layer.qkv, h, wide, false, nullptr);
    attention(wide, h);
    linear("attention out", *layer.attention_out, h, x, false, x);

    norm("mlp norm", layer.mlp_norm);
    linear("mlp up", *layer.mlp_up, h, wide, true, nullptr);
    linear("mlp down", *layer.mlp_down, wide, x, false, x);
}

void Encoder::write_states(const Batch& batch, size_t item, Workspace& work, Run& run) const {
    const size_t n = size_t{batch.n_ctx} * dims_.n_state;
    auto* out = static_cast<unsigned char*>(batch.out) + item * n * element_size(batch.output_type);
    const Operation operation = {"final norm", -1, plan_.elementwise->type(), NPUENC_PRECISION_F32,
                                 0};
    run.operate(operation, [&] {
        const bool direct = batch.output_type == NPUENC_F32;
        float* states = direct ? reinterpret_cast<float*>(out) : work.h.data();
        plan_.elementwise->layer_norm(batch.n_ctx, dims_.n_state, work.x.data(),
                                      weights_.final_norm.weight.data(),
                                      weights_.final_norm.bias.data(), states);
        if (!direct)
            plan_.elementwise->convert(batch.output_type, n, states, out);
    });
}

// One for each operate() above.
uint32_t Encoder::steps_per_item() const {
    return 4 + 7 * dims_.n_layer;
}

} // namespace npuenc
