// SPDX-License-Identifier: MIT
#include "abi/audio.hpp"

#include <cmath>

#include "abi/boundary.hpp"

namespace npuenc {

npuenc_input checked_input(int32_t input) {
    if (input < NPUENC_INPUT_PCM_F32 || input > NPUENC_INPUT_MEL_F32)
        fail(NPUENC_E_INVALID, "desc.input %d is not an npuenc_input", input);
    return static_cast<npuenc_input>(input);
}

size_t sample_size(npuenc_input input) {
    return input == NPUENC_INPUT_PCM_S16 ? sizeof(int16_t) : sizeof(float);
}

void check_finite(const float* values, size_t n, const char* name) {
    for (size_t i = 0; i < n; ++i)
        if (!std::isfinite(values[i]))
            fail(NPUENC_E_INVALID, "%s is not finite at %zu", name, i);
}

} // namespace npuenc
