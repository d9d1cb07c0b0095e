// SPDX-License-Identifier: MIT
// Checks of audio that more than one public function needs.
#pragma once

#include <cstddef>

#include <npuenc/npuenc.h>

namespace npuenc {

// E_INVALID when it is no npuenc_input.
npuenc_input checked_input(int32_t input);

size_t sample_size(npuenc_input input);

// E_INVALID where one of n floats is infinite or not a number.
void check_finite(const float* values, size_t n, const char* name);

} // namespace npuenc
