// SPDX-License-Identifier: MIT
// GELU of a sum as the cores compute it (kernels/aie2/gelu_tile.hpp), one operation of the vector
// unit after another.
#pragma once

#include <cstddef>
#include <cstdint>

namespace npuenc {

// Of the element of a core's tile at this row and column. The sum is f32, as bits, the result bf16.
// `operands` are what follows the header of the tile's message. Finite values only.
uint16_t gelu_model(uint32_t sum, size_t row, size_t column, const uint8_t* operands);

} // namespace npuenc
