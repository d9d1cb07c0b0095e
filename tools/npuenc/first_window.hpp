// SPDX-License-Identifier: MIT
// The first window of a recording, to be encoded again and again into the same memory.
#pragma once

#include <algorithm>
#include <vector>

#include "library.hpp"

namespace npuenc {

class FirstWindow {
  public:
    // Both must live as long.
    FirstWindow(const Model& model, const std::vector<float>& pcm)
        : model_(model), pcm_(pcm), n_samples_(std::min(model.samples_per_window(), pcm.size())) {
        desc_.struct_size = sizeof desc_;
        desc_.n_per_item = static_cast<uint32_t>(n_samples_);
        size_t bytes = 0;
        check(npuenc_encode_size(model.get(), &desc_, &bytes));
        states_.resize(bytes / sizeof(float));
    }

    void encode(npuenc_run* run) {
        check(npuenc_encode(model_.get(), &desc_, pcm_.data(), n_samples_ * sizeof(float), nullptr,
                            0, states_.data(), states_.size() * sizeof(float), run));
    }

  private:
    const Model& model_;
    const std::vector<float>& pcm_;
    const size_t n_samples_;
    npuenc_encode_desc desc_{};
    std::vector<float> states_;
};

} // namespace npuenc
