// SPDX-License-Identifier: MIT
// Something to hear where there is no recording.
#pragma once

#include <cstddef>
#include <vector>

#include "library.hpp"

namespace npuenc {

constexpr size_t window_samples = size_t{30} * sample_rate;

// 30 s of a chirp from 100 Hz to 7 kHz in white noise.
std::vector<float> synthetic_window();

} // namespace npuenc
