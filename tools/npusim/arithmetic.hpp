// SPDX-License-Identifier: MIT
// Arithmetic of the vector unit on plain arrays, apart from any pipeline.
#pragma once

#include <cstdint>

namespace npusim {

// c[i][j] = sum over k of a[i][k] * b[k][j], 4x8 by 8x8. The operands are 8-bit values.
void multiply_4x8x8(const int16_t a[32], const int16_t b[64], int32_t c[32]);

// One lane of the bf16 multiply-accumulate unit: see INSTRUCTIONS.md. False where the model does
// not hold: an infinite or NaN operand.
struct BfloatLanes {
    alignas(64) uint16_t x[8][16]; // product k of lane i is x[k][i] * y[k][i]
    alignas(64) uint16_t y[8][16];
};
// acc: 16 floats as bits, or nullptr for zero. out may be acc.
bool multiply_bfloat(const BfloatLanes& lanes, unsigned products, bool negate_products,
                     const uint32_t* acc, bool negate_acc, uint32_t out[16]);

// Rounding modes as crRnd names them. False from is_rounding if the code is none.
bool is_rounding(uint32_t mode);

// value / 2^shift, rounded. shift: 0 to 63.
__extension__ typedef __int128 Wide;
Wide shift_and_round(Wide value, unsigned shift, uint32_t mode);

// value in `bits` bits: saturation 0 takes the low bits, 1 limits, 3 limits with -max as the least.
int64_t saturate(Wide value, unsigned bits, bool is_signed, uint32_t saturation);

// The upper half of a float, rounded by crRnd: the bit image is shifted, so a carry goes into the
// exponent. NaN stays NaN, see INSTRUCTIONS.md.
uint16_t float_to_bfloat(uint32_t value, uint32_t mode);

} // namespace npusim
