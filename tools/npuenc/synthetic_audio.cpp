// SPDX-License-Identifier: MIT
#include "synthetic_audio.hpp"

#include <cmath>
#include <numbers>

#include "pseudo_random.hpp"

namespace npuenc {

std::vector<float> synthetic_window() {
    PseudoRandom random(1);
    std::vector<float> pcm(window_samples);
    for (size_t i = 0; i < pcm.size(); ++i) {
        const double part = static_cast<double>(i) / static_cast<double>(pcm.size());
        const double seconds = static_cast<double>(i) / sample_rate;
        const double phase = 2 * std::numbers::pi * (100 + 6900 * part / 2) * seconds;
        pcm[i] = static_cast<float>(0.3 * std::sin(phase)) + 0.05f * random.uniform();
    }
    return pcm;
}

} // namespace npuenc
