// SPDX-License-Identifier: MIT
#include "recording.hpp"

#include <algorithm>
#include <cmath>

#include "failure.hpp"
#include "library.hpp"

namespace npuenc {

Recording::Recording(const std::string& path) : file_(path) {
    if (file_.rate() != sample_rate)
        resampler_.emplace(file_, sample_rate);
}

std::vector<float> Recording::next_window(size_t length) {
    std::vector<float> window(length);
    window.resize(resampler_ ? resampler_->read(window.data(), length)
                             : file_.read_mono(window.data(), length));
    n_samples_ += window.size();
    if (n_samples_ == 0)
        fail(exit_failed, "%s: there is no sound in it, not a single sample", file_.name().c_str());
    return window;
}

double Recording::seconds() const {
    return static_cast<double>(n_samples_) / sample_rate;
}

uint64_t Recording::expected_windows(size_t length) const {
    const double samples = static_cast<double>(file_.n_frames()) / file_.rate() * sample_rate;
    return std::max<uint64_t>(
        1, static_cast<uint64_t>(std::ceil(samples / static_cast<double>(length))));
}

} // namespace npuenc
