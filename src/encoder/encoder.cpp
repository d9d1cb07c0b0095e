// SPDX-License-Identifier: MIT
#include "encoder/encoder.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "aligned_buffer.hpp"
#include "audio/pcm.hpp"

namespace npuenc {
namespace {

// The least value of a log-mel: Whisper clamps log10 of the power to 8 below its maximum and,
// before that, the power to 1e-10; then it takes (x + 4) / 4.
float mel_floor(float maximum) {
    return std::max(maximum - 2.0f, -1.5f);
}

// The most that row_length adds.
constexpr size_t row_gap = 2 * cache_line / sizeof(uint16_t);

// Elements from row to row of n elements that a device reads: an odd number of cache lines for the
// CPU, whose products read them where they are.
size_t row_length(size_t n, npuenc_dtype type, const Device& reader) {
    if (reader.type() != NPUENC_DEVICE_CPU)
        return n;
    const size_t in_line = cache_line / element_size(type);
    return (ceil_div(n, in_line) | 1) * in_line;
}

uint64_t product(size_t rows, const Weight& weight) {
    return uint64_t{rows} * weight.n_in() * weight.n_out();
}

Linear dense(size_t rows, const Weight& weight, npuenc_dtype x_type, npuenc_dtype y_type) {
    return {.x_type = x_type,
            .y_type = y_type,
            .rows = rows,
            .ldx = weight.n_in(),
            .ldy = weight.n_out()};
}

// What goes from one operator to the next; the residual stream is always f32.
npuenc_dtype activations_of(npuenc_precision precision) {
    const bool wide = precision == NPUENC_PRECISION_F32 || precision == NPUENC_PRECISION_BF16X2;
    return wide ? NPUENC_F32 : NPUENC_BF16;
}

// From rows of the residual stream, normalised, into a branch.
Linear into_branch(size_t rows, const Weight& weight, const Norm& norm, npuenc_dtype type) {
    Linear shape = dense(rows, weight, NPUENC_F32, type);
    shape.norm = {norm.weight.data(), norm.bias.data()};
    return shape;
}

// From a branch, whose rows are ldx elements apart, back: it is added to these rows of the residual
// stream.
Linear out_of_branch(size_t rows, const Weight& weight, npuenc_dtype type, size_t ldx,
                     const float* stream) {
    Linear shape = dense(rows, weight, type, NPUENC_F32);
    shape.ldx = ldx;
    shape.addend = stream;
    shape.ld_addend = weight.n_out();
    return shape;
}

} // namespace

// The activations of one window. `h` and `wide` are f32 or bf16 from operator to operator; `wide`
// holds, one after another, what is alive at one time only.
struct Encoder::Workspace {
    AlignedBuffer pcm;
    AlignedBuffer mel;    // [n_mels][n_frames]
    AlignedBuffer frames; // [1 + n_frames + 1][n_mels], zeros before and after
    AlignedBuffer x;      // [n_ctx][n_state], the residual stream
    AlignedBuffer h;      // [n_ctx][n_state] with gaps, what attention found
    AlignedBuffer wide;   // [1 + n_frames + 1][n_state], [n_ctx][3 n_state] or [mlp_rows][n_mlp]

    void fit(const HyperParameters& dims, uint32_t n_ctx, uint32_t mlp_rows, bool from_pcm,
             size_t activation) {
        const size_t n_frames = size_t{n_ctx} * frames_per_state;
        const size_t n_state = dims.n_state;
        if (from_pcm)
            pcm.reserve(n_frames * hop_length * sizeof(float));
        mel.reserve(dims.n_mels * n_frames * sizeof(float));
        frames.reserve((n_frames + 2) * dims.n_mels * sizeof(float));
        x.reserve(n_ctx * n_state * sizeof(float));
        h.reserve(n_ctx * (n_state + row_gap) * activation);
        const size_t widest = std::max({(n_frames + 2) * n_state, size_t{n_ctx} * 3 * n_state,
                                        mlp_rows * (dims.n_mlp() + row_gap)});
        wide.reserve(widest * activation);
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
    : dims_(file.hyper_parameters()), plan_(make_plan(options, dims_, device)),
      weights_(load_weights(file, plan_)), spectrogram_(dims_.n_mels) {}

Encoder::~Encoder() = default;

void Encoder::encode(const Batch& batch, Run& run) const {
    Lease lease(*this);
    (*lease).fit(dims_, batch.n_ctx, mlp_rows(batch.n_ctx), batch.input != NPUENC_INPUT_MEL_F32,
                 activation_size());
    run.set_total(static_cast<uint32_t>(batch.size * steps_per_item()));
    for (size_t item = 0; item < batch.size; ++item) {
        run.start_window();
        encode_item(batch, item, *lease, run);
    }
}

void Encoder::encode_item(const Batch& batch, size_t item, Workspace& work, Run& run) const {
    load_audio(batch, item, work, run);
    convolve(batch.n_ctx, work, run);
    for (uint32_t layer = 0; layer < dims_.n_layer; ++layer) {
        attend(layer, batch.n_ctx, work, run);
        run_mlp(layer, batch.n_ctx, work, run);
    }
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
            pcm_from_s16(samples, length, work.pcm.as<float>());
            pcm = work.pcm.as<float>();
        } else {
            pcm = static_cast<const float*>(batch.in) + item * batch.n_per_item;
        }
        spectrogram_.compute(pcm, length, n_frames, work.mel.as<float>(),
                             plan_.elementwise->parallel());
    };

    const auto from_mel = [&] {
        const float* mel = static_cast<const float*>(batch.in) + item * n_mels * batch.n_per_item;
        float maximum = -std::numeric_limits<float>::infinity();
        for (size_t band = 0; band < n_mels; ++band)
            for (size_t t = 0; t < length; ++t)
                maximum = std::max(maximum, mel[band * batch.n_per_item + t]);
        for (size_t band = 0; band < n_mels; ++band) {
            float* row = work.mel.as<float>() + band * n_frames;
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
        std::fill_n(work.frames.as<float>(), n_mels, 0.0f);
        float* row = work.frames.as<float>() + n_mels;
        for (size_t t = 0; t < n_frames; ++t, row += n_mels)
            for (size_t band = 0; band < n_mels; ++band)
                row[band] = work.mel.as<float>()[band * n_frames + t];
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
    const npuenc_precision precision = plan_.conv_precision;
    const npuenc_dtype type = activations_of(precision);
    // One row of zeros, then the result of the first convolution.
    auto* padded = work.wide.as<unsigned char>();
    const size_t row_bytes = n_state * element_size(type);

    run.operate({"conv1", -1, device, precision, product(n_frames, *weights_.conv1)}, [&] {
        Linear shape = dense(n_frames, *weights_.conv1, NPUENC_F32, type);
        shape.ldx = dims_.n_mels;
        shape.gelu = true;
        std::fill_n(padded, row_bytes, static_cast<unsigned char>(0));
        plan_.conv->linear(*weights_.conv1, shape, work.frames.data(), padded + row_bytes,
                           run.stats_in_work());
    });
    run.operate({"conv2", -1, device, precision, product(n_ctx, *weights_.conv2)}, [&] {
        Linear shape = dense(n_ctx, *weights_.conv2, type, NPUENC_F32);
        shape.ldx = frames_per_state * n_state;
        shape.gelu = true;
        shape.addend = weights_.positions.data();
        shape.ld_addend = n_state;
        plan_.conv->linear(*weights_.conv2, shape, padded, work.x.data(), run.stats_in_work());
    });
}

void Encoder::attend(uint32_t index, uint32_t n_ctx, Workspace& work, Run& run) const {
    const Layer& layer = weights_.layers[index];
    const auto number = static_cast<int32_t>(index);
    const npuenc_precision precision = plan_.attention_precision(index);
    const npuenc_dtype type = activations_of(precision);
    const size_t n_state = dims_.n_state;
    float* x = work.x.as<float>();

    const auto project = [&](const char* name, const Weight& weight, const Linear& shape,
                             const void* in, void* out) {
        run.operate(
            {name, number, plan_.linear->type(), weight.precision(), product(n_ctx, weight)},
            [&] { plan_.linear->linear(weight, shape, in, out, run.stats_in_work()); });
    };
    project("qkv", *layer.qkv, into_branch(n_ctx, *layer.qkv, layer.attention_norm, type), x,
            work.wide.data());

    Attention shape{};
    shape.type = type;
    shape.precision = plan_.result_precision(index);
    shape.batch = 1;
    shape.n_head = dims_.n_head;
    shape.head_dim = dims_.head_dim();
    shape.q_len = shape.kv_len = n_ctx;
    shape.ldq = shape.ldk = shape.ldv = 3 * n_state;
    shape.ldo = row_length(n_state, type, *plan_.linear);
    shape.scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
    shape.mask = NPUENC_MASK_NONE;
    const uint64_t macs = 2 * uint64_t{n_ctx} * n_ctx * n_state;
    const auto* qkv = work.wide.as<unsigned char>();
    const size_t part = n_state * element_size(type);
    run.operate({"attention", number, plan_.attention->type(), precision, macs}, [&] {
        plan_.attention->attention(shape, qkv, qkv + part, qkv + 2 * part, work.h.data(),
                                   run.stats_in_work());
    });

    project("attention out", *layer.attention_out,
            out_of_branch(n_ctx, *layer.attention_out, type, shape.ldo, x), work.h.data(), x);
}

void Encoder::run_mlp(uint32_t index, uint32_t n_ctx, Workspace& work, Run& run) const {
    const Layer& layer = weights_.layers[index];
    const Weight &up = *layer.mlp_up, &down = *layer.mlp_down;
    const npuenc_dtype type = activations_of(plan_.mlp_precision(index));
    const size_t ld_hidden = row_length(up.n_out(), type, *plan_.linear);
    run.operate({"mlp", static_cast<int32_t>(index), plan_.linear->type(), up.precision(),
                 product(n_ctx, up) + product(n_ctx, down)},
                [&] {
                    if (plan_.runs_mlp_in_one(index)) {
                        float* x = work.x.as<float>();
                        Linear shape = into_branch(n_ctx, up, layer.mlp_norm, NPUENC_F32);
                        shape.ldy = down.n_out();
                        shape.addend = x;
                        shape.ld_addend = down.n_out();
                        plan_.linear->mlp(up, down, shape, x, x, run.stats_in_work());
                        return;
                    }
                    const uint32_t most = mlp_rows(n_ctx);
                    for (uint32_t row = 0; row < n_ctx; row += most) {
                        const size_t rows = std::min(most, n_ctx - row);
                        float* x = work.x.as<float>() + size_t{row} * dims_.n_state;
                        Linear shape = into_branch(rows, up, layer.mlp_norm, type);
                        shape.gelu = true;
                        shape.ldy = ld_hidden;
                        plan_.linear->linear(up, shape, x, work.wide.data(), run.stats_in_work());
                        plan_.linear->linear(down, out_of_branch(rows, down, type, ld_hidden, x),
                                             work.wide.data(), x, run.stats_in_work());
                    }
                });
}

void Encoder::write_states(const Batch& batch, size_t item, Workspace& work, Run& run) const {
    const size_t n = size_t{batch.n_ctx} * dims_.n_state;
    auto* out = static_cast<unsigned char*>(batch.out) + item * n * element_size(batch.output_type);
    const Operation operation = {"final norm", -1, plan_.elementwise->type(), NPUENC_PRECISION_F32,
                                 0};
    run.operate(operation, [&] {
        const bool direct = batch.output_type == NPUENC_F32;
        // The last layer's input is no longer needed.
        float* states = direct ? reinterpret_cast<float*>(out) : work.x.as<float>();
        plan_.elementwise->layer_norm(batch.n_ctx, dims_.n_state, work.x.as<float>(),
                                      weights_.final_norm.weight.data(),
                                      weights_.final_norm.bias.data(), states);
        if (!direct)
            plan_.elementwise->convert(batch.output_type, n, states, out);
    });
}

// Of the widest that any operator writes.
size_t Encoder::activation_size() const {
    return std::max({element_size(activations_of(plan_.precision)),
                     element_size(activations_of(plan_.conv_precision)),
                     element_size(activations_of(plan_.first_attention_precision)),
                     element_size(activations_of(plan_.mlp_precision(0)))});
}

// On the CPU some at a time, so that what is between the two products stays in each thread's L2
// cache; elsewhere all, as each product is a submission.
uint32_t Encoder::mlp_rows(uint32_t n_ctx) const {
    constexpr uint32_t rows_of_thread = 192; // of a base model
    if (plan_.linear->type() != NPUENC_DEVICE_CPU)
        return n_ctx;
    return std::min(n_ctx, rows_of_thread * plan_.linear->parallel().n_threads());
}

// One for each operate() above.
uint32_t Encoder::steps_per_item() const {
    return 4 + 4 * dims_.n_layer;
}

} // namespace npuenc
