// SPDX-License-Identifier: MIT
// Names that depend on content alone.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "kernels/aie2/container/bytes.hpp"

namespace npuenc::aie2 {

using Uuid = std::array<uint8_t, 16>;

// Version 8 of RFC 9562: the first 16 bytes of the content's SHA-256, six bits apart.
Uuid uuid_of(Bytes content);

// "90e83645-1676-d88b-a921-984bfbdadc0b"
std::string text_of(const Uuid& uuid);

} // namespace npuenc::aie2
