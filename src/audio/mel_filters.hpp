// SPDX-License-Identifier: MIT
// The triangular filters that gather the bins of a power spectrum into mel bands.
#pragma once

#include <cstdint>
#include <vector>

namespace npuenc {

constexpr uint32_t sample_rate = 16000;

// The weights of consecutive bins; those of all others are zero.
struct MelFilter {
    uint32_t first_bin;
    std::vector<double> weights;
};

// As librosa.filters.mel(sr=16000, n_fft=400, n_mels=n_mels) defines them, before its rounding to
// float: Slaney's mel scale from 0 to 8000 Hz, every filter's area 1.
std::vector<MelFilter> mel_filters(uint32_t n_mels);

} // namespace npuenc
