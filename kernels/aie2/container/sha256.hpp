// SPDX-License-Identifier: MIT
// SHA-256 (FIPS 180-4), for names that depend on content alone.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/aie2/container/bytes.hpp"

namespace npuenc::aie2 {

std::array<uint8_t, 32> sha256(Bytes message);

} // namespace npuenc::aie2
