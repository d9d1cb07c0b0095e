// SPDX-License-Identifier: MIT
// The triangular filters that gather the bins of a power spectrum into mel bands.
#include "audio/mel_filters.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "audio/power_spectrum.hpp"

namespace npuenc {

namespace {

// Slaney's mel scale (Auditory Toolbox, 1998) is linear below 1000 Hz, which is 15, and has 27
// steps for each factor of 6.4 above.
constexpr double knee_hertz = 1000, knee_mel = 15, hertz_per_mel = knee_hertz / knee_mel;

double mel_of(double hertz) {
    if (hertz < knee_hertz)
        return hertz / hertz_per_mel;
    return knee_mel + 27 * std::log(hertz / knee_hertz) / std::log(6.4);
}

double hertz_of(double mel) {
    if (mel < knee_mel)
        return mel * hertz_per_mel;
    return knee_hertz * std::exp((mel - knee_mel) * std::log(6.4) / 27);
}

} // namespace

std::vector<MelFilter> mel_filters(uint32_t n_mels) {
    const double step = mel_of(sample_rate / 2.0) / (n_mels + 1);
    std::vector<MelFilter> filters;
    filters.reserve(n_mels);
    for (uint32_t band = 0; band < n_mels; ++band) {
        const double low = hertz_of(band * step);
        const double centre = hertz_of((band + 1) * step);
        const double high = hertz_of((band + 2) * step);
        MelFilter filter = {0, {}};
        for (uint32_t bin = 1; bin < n_bins - 1; ++bin) { // the first and the last are corners: 0
            const double hertz = static_cast<double>(bin) * sample_rate / n_fft;
            const double rising = (hertz - low) / (centre - low);
            const double falling = (high - hertz) / (high - centre);
            const double weight = std::min(rising, falling) * 2 / (high - low);
            if (weight <= 0)
                continue;
            if (filter.weights.empty())
                filter.first_bin = bin;
            filter.weights.push_back(weight);
        }
        filters.push_back(std::move(filter));
    }
    return filters;
}

} // namespace npuenc
