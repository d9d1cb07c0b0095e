// SPDX-License-Identifier: MIT
// Another sample rate for a recording, through libsoxr.
#pragma once

#include <soxr.h>

#include <memory>
#include <vector>

#include "audio_file.hpp"

namespace npuenc {

class Resampler {
  public:
    // Keeps a reference to the file.
    Resampler(AudioFile& file, double to_rate);

    // Writes the next samples; fewer than `count` at the end only.
    size_t read(float* out, size_t count);

  private:
    void refill();

    AudioFile& file_;
    std::unique_ptr<soxr, void (*)(soxr_t)> soxr_;
    std::vector<float> input_;
    size_t begin_ = 0, end_ = 0; // what of the input has not been taken
    bool at_end_ = false;
};

} // namespace npuenc
