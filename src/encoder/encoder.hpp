// SPDX-License-Identifier: MIT
// The Whisper encoder (Radford et al. 2022, figure 1; openai/whisper, whisper/model.py).
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "audio/mel.hpp"
#include "device/run.hpp"
#include "encoder/encoder_weights.hpp"
#include "encoder/plan.hpp"

namespace npuenc {

// A batch of audio, checked: lengths fit the window, values are finite, buffers are large enough.
struct Batch {
    npuenc_input input;
    npuenc_dtype output_type;
    size_t size;       // items
    size_t n_per_item; // samples or frames from one item to the next
    const void* in;
    const uint32_t* lengths; // valid samples or frames of each; null: n_per_item
    uint32_t n_ctx;          // states of each window
    void* out;               // [size][n_ctx][n_state]
};

// Mel frames for each state: the second convolution has a stride of 2.
constexpr uint32_t frames_per_state = 2;

class Encoder {
  public:
    // Everything of the file that is needed is read here.
    Encoder(const ModelFile& file, const PlanOptions& options, Device& device);
    ~Encoder();

    const HyperParameters& hyper_parameters() const { return dims_; }
    const Plan& plan() const { return plan_; }
    const EncoderWeights& weights() const { return weights_; }

    // From several threads at once, too. Throws Error E_CANCELED, and whatever the devices throw.
    void encode(const Batch& batch, Run& run) const;

  private:
    struct Workspace;
    class Lease;

    void encode_item(const Batch& batch, size_t item, Workspace& work, Run& run) const;
    void load_audio(const Batch& batch, size_t item, Workspace& work, Run& run) const;
    void convolve(uint32_t n_ctx, Workspace& work, Run& run) const;
    void attend(uint32_t index, uint32_t n_ctx, Workspace& work, Run& run) const;
    void run_mlp(uint32_t index, uint32_t n_ctx, Workspace& work, Run& run) const;
    void write_states(const Batch& batch, size_t item, Workspace& work, Run& run) const;
    size_t activation_size() const;
    uint32_t mlp_rows(uint32_t n_ctx) const;
    uint32_t steps_per_item() const;

    const HyperParameters dims_;
    const Plan plan_;
    const EncoderWeights weights_;
    const MelSpectrogram spectrogram_;

    // Workspaces that no call is using, kept so that a steady encode allocates nothing.
    mutable std::mutex idle_mutex_;
    mutable std::vector<std::unique_ptr<Workspace>> idle_;
};

} // namespace npuenc
