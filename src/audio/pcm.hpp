// SPDX-License-Identifier: MIT
// Samples as they are recorded, as the numbers that everything else works on.
#pragma once

#include <cstddef>
#include <cstdint>

namespace npuenc {

// pcm = samples / 32768, exactly.
void pcm_from_s16(const int16_t* samples, size_t n, float* pcm);

} // namespace npuenc
