// SPDX-License-Identifier: MIT
// The permutations of VSHUFFLE.
#pragma once

#include <cstdint>

namespace npusim {

// False if the mode is not known for certain. `to` is neither of the operands.
bool shuffle(uint32_t mode, const uint8_t first[64], const uint8_t second[64], uint8_t to[64]);

} // namespace npusim
