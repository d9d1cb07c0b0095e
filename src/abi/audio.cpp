// SPDX-License-Identifier: MIT
#include "abi/audio.hpp"

#include <cmath>
#include <cstdint>
#include <cstring>

#include "abi/boundary.hpp"

namespace npuenc {

namespace {

// Adding 1 to an exponent of ones, which is that of an infinity or a NaN, sets the sign. There is
// no branch, so compilers vectorise it.
bool all_finite(const float* values, size_t n) {
    constexpr uint32_t exponent = 0x7f800000, one = 0x00800000, sign = 0x80000000;
    uint32_t any = 0;
    for (size_t i = 0; i < n; ++i) {
        uint32_t bits;
        std::memcpy(&bits, values + i, sizeof bits);
        any |= (bits & exponent) + one;
    }
    return !(any & sign);
}

} // namespace

npuenc_input checked_input(int32_t input) {
    if (input < NPUENC_INPUT_PCM_F32 || input > NPUENC_INPUT_MEL_F32)
        fail(NPUENC_E_INVALID, "desc.input %d is not an npuenc_input", input);
    return static_cast<npuenc_input>(input);
}

size_t sample_size(npuenc_input input) {
    return input == NPUENC_INPUT_PCM_S16 ? sizeof(int16_t) : sizeof(float);
}

void check_finite(const float* values, size_t n, const char* name) {
    if (all_finite(values, n))
        return;
    for (size_t i = 0; i < n; ++i)
        if (!std::isfinite(values[i]))
            fail(NPUENC_E_INVALID, "%s is not finite at %zu", name, i);
}

} // namespace npuenc
