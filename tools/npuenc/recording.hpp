// SPDX-License-Identifier: MIT
// A recording as npuenc hears it: mono, 16 kHz, window by window.
#pragma once

#include <optional>

#include "audio_file.hpp"
#include "resampler.hpp"

namespace npuenc {

class Recording {
  public:
    explicit Recording(const std::string& path); // as AudioFile

    const AudioFile& file() const { return file_; }

    // The next window: `length` samples, or fewer at the end and none after it. What is 16 kHz
    // already is passed on bit by bit. Failure when there is not a single sample in all.
    std::vector<float> next_window(size_t length);

    double seconds() const; // of what has been read
    // How many windows there will be, by the file's header: for a progress bar.
    uint64_t expected_windows(size_t length) const;

  private:
    AudioFile file_;
    std::optional<Resampler> resampler_;
    uint64_t n_samples_ = 0;
};

} // namespace npuenc
