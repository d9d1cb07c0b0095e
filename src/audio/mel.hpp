// SPDX-License-Identifier: MIT
// Log-mel spectrograms as Whisper defines them (openai/whisper, whisper/audio.py).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "audio/mel_filters.hpp"
#include "audio/power_spectrum.hpp"
#include "device/parallel.hpp"

namespace npuenc {

// The filter bank of one number of bands. Immutable after construction.
class MelSpectrogram {
  public:
    explicit MelSpectrogram(uint32_t n_mels); // 80 or 128

    uint32_t n_mels() const { return n_mels_; }

    // pcm[n_samples] at 16 kHz, in [-1, 1], padded with zeros to n_frames * hop_length samples (it
    // must not be longer), to mel[n_mels][n_frames]. The maximum that sets the floor is taken over
    // all n_frames. The result does not depend on the number of threads.
    //
    // Errs by at most 5e-7 (1 + |value|) for finite samples of any magnitude. A sample that is not
    // finite makes every value NaN, as in the definition, through the maximum. The reflection at
    // both ends is numpy's: in a window of one frame, where there are fewer than the 200 samples it
    // takes, it goes back and forth.
    //
    // Allocates nothing.
    void compute(const float* pcm, size_t n_samples, uint32_t n_frames, float* mel,
                 Parallel& parallel) const;

  private:
    // One task: columns of the result that fill a cache line.
    static constexpr size_t tile_frames = 16;
    static constexpr size_t tile_samples = (tile_frames - 1) * hop_length + n_fft;
    static constexpr size_t max_mels = 128;
    using Tile = double[max_mels][tile_frames];

    // The samples of the tile that begins with `frame`: in pcm if all are there, else in buffer.
    static const float* tile_input(const float* pcm, size_t n_samples, uint32_t n_frames,
                                   size_t frame, float (&buffer)[tile_samples]);
    void band_powers(const float* samples, Tile& sums) const; // samples[tile_samples]

    uint32_t n_mels_;
    PowerSpectrum spectrum_;
    std::vector<MelFilter> filters_;
};

} // namespace npuenc
