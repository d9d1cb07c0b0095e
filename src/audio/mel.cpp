// SPDX-License-Identifier: MIT
// Log-mel spectrograms as Whisper defines them (openai/whisper, whisper/audio.py).
#include "audio/mel.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>
#include <numbers>

namespace npuenc {

namespace {

constexpr ptrdiff_t padding = n_fft / 2;

// The upper half of a positive double: it orders as the double does, and 20 bits of the fraction
// are enough.
inline int32_t upper_half(double x) {
    return static_cast<int32_t>(std::bit_cast<int64_t>(x) >> 32);
}

constexpr double least_power = 1e-10;

// (log10(power) + 4) / 4, or that of least_power if that is more; power by its upper half.
//
// power = 2^e m with m in [sqrt(1/2), sqrt(2)), and log(m) = 2 (s + s^3/3 + s^5/5 + s^7/7 + ...)
// with s = (m - 1) / (m + 1), |s| < 0.1716: what is left out is below 3e-8. The lower half is below
// 2^-20. Together, with log10(e) / 4, that is 1.1e-7 before rounding to float.
inline float scaled_log(int32_t upper, int32_t least) {
    constexpr int32_t sqrt_half = 0x3fe6a09e; // its upper half
    constexpr auto per_octave = static_cast<float>(std::numbers::ln2 / std::numbers::ln10 / 4);
    constexpr auto per_e = static_cast<float>(2 / std::numbers::ln10 / 4);

    upper = std::max(upper, least);
    const int32_t exponent = (upper - sqrt_half) >> 20;
    const int32_t fraction = upper - exponent * (1 << 20);
    const auto m = std::bit_cast<float>((fraction - (1023 << 20)) * 8 + (127 << 23));
    const float s = (m - 1) / (m + 1);
    const float s2 = s * s;
    const float series = s + s * s2 * (1.0f / 3 + s2 * (1.0f / 5 + s2 * (1.0f / 7)));
    return 1 + (static_cast<float>(exponent) * per_octave + series * per_e);
}

// Where sample i of the padded signal comes from, for any i: numpy's mode "reflect".
size_t reflect(ptrdiff_t i, ptrdiff_t n) {
    const ptrdiff_t period = 2 * (n - 1);
    i = ((i % period) + period) % period;
    return static_cast<size_t>(i < n ? i : period - i);
}

void raise(std::atomic<float>& maximum, float value) {
    float seen = maximum.load(std::memory_order_relaxed);
    while (seen < value && !maximum.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
    }
}

} // namespace

MelSpectrogram::MelSpectrogram(uint32_t n_mels) : n_mels_(n_mels), filters_(mel_filters(n_mels)) {
    assert(n_mels <= max_mels);
}

const float* MelSpectrogram::tile_input(const float* pcm, size_t n_samples, uint32_t n_frames,
                                        size_t frame, float (&buffer)[tile_samples]) {
    const ptrdiff_t begin = static_cast<ptrdiff_t>(frame * hop_length) - padding;
    if (begin >= 0 && static_cast<size_t>(begin) + tile_samples <= n_samples)
        return pcm + begin;
    const ptrdiff_t length = static_cast<ptrdiff_t>(n_frames) * hop_length;
    for (size_t i = 0; i < tile_samples; ++i) {
        const size_t from = reflect(begin + static_cast<ptrdiff_t>(i), length);
        buffer[i] = from < n_samples ? pcm[from] : 0.0f;
    }
    return buffer;
}

void MelSpectrogram::band_powers(const float* samples, Tile& sums) const {
    double power[n_bins][PowerSpectrum::n_frames];
    for (size_t first = 0; first < tile_frames; first += PowerSpectrum::n_frames) {
        spectrum_.compute(samples + first * hop_length, power[0]);
        for (size_t band = 0; band < n_mels_; ++band) {
            const MelFilter& filter = filters_[band];
            const double(*bin)[PowerSpectrum::n_frames] = power + filter.first_bin;
            double sum[PowerSpectrum::n_frames] = {};
            for (const double weight : filter.weights) {
                for (size_t j = 0; j < PowerSpectrum::n_frames; ++j)
                    sum[j] += weight * (*bin)[j];
                ++bin;
            }
            std::copy_n(sum, PowerSpectrum::n_frames, &sums[band][first]);
        }
    }
}

void MelSpectrogram::compute(const float* pcm, size_t n_samples, uint32_t n_frames, float* mel,
                             Parallel& parallel) const {
    assert(n_samples <= static_cast<size_t>(n_frames) * hop_length);

    // Frames from here on see nothing but zeros: the reflection at the end is within the last one.
    const size_t n_sounding = n_samples == 0 ? 0 : (n_samples + padding - 1) / hop_length + 1;
    const int32_t least = upper_half(least_power);
    const float silence = scaled_log(least, least);
    std::atomic<float> maximum = silence; // infinite if any sample is not finite

    parallel.for_each((n_frames + tile_frames - 1) / tile_frames, [&](size_t task, unsigned) {
        const size_t frame = task * tile_frames;
        const size_t n_valid = std::min<size_t>(tile_frames, n_frames - frame);
        if (frame >= n_sounding) {
            for (size_t band = 0; band < n_mels_; ++band)
                std::fill_n(mel + band * n_frames + frame, n_valid, silence);
            return;
        }

        float buffer[tile_samples];
        Tile sums;
        band_powers(tile_input(pcm, n_samples, n_frames, frame, buffer), sums);

        // No frame with such a sample has a finite power anywhere.
        for (size_t j = 0; j < n_valid; ++j) {
            if (!std::isfinite(sums[0][j]))
                raise(maximum, std::numeric_limits<float>::infinity());
        }

        float highest[tile_frames];
        std::fill_n(highest, tile_frames, silence);
        for (size_t band = 0; band < n_mels_; ++band) {
            float row[tile_frames];
            for (size_t j = 0; j < tile_frames; ++j) {
                row[j] = scaled_log(upper_half(sums[band][j]), least);
                highest[j] = std::max(highest[j], row[j]);
            }
            std::copy_n(row, n_valid, mel + band * n_frames + frame);
        }
        raise(maximum, *std::max_element(highest, highest + n_valid));
    });

    const float highest = maximum.load(std::memory_order_relaxed);
    const float lowest = highest - 2;
    constexpr size_t n_bands = 8; // of a task
    parallel.for_each((n_mels_ + n_bands - 1) / n_bands, [&](size_t task, unsigned) {
        float* begin = mel + task * n_bands * n_frames;
        float* end = mel + std::min<size_t>((task + 1) * n_bands, n_mels_) * n_frames;
        if (std::isinf(highest))
            std::fill(begin, end, std::numeric_limits<float>::quiet_NaN());
        else
            std::transform(begin, end, begin, [=](float x) { return std::max(x, lowest); });
    });
}

} // namespace npuenc
