// SPDX-License-Identifier: MIT
#include "audio/pcm.hpp"

namespace npuenc {

void pcm_from_s16(const int16_t* samples, size_t n, float* pcm) {
    for (size_t i = 0; i < n; ++i)
        pcm[i] = static_cast<float>(samples[i]) * 0x1p-15f;
}

} // namespace npuenc
