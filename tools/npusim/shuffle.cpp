// SPDX-License-Identifier: MIT
// The permutations of VSHUFFLE.
#include "tools/npusim/shuffle.hpp"

#include <cstring>

namespace npusim {

namespace {

// A mode transposes matrices of `rows` x `columns` elements that lie one behind the other; of a
// matrix of 128 bytes one half is taken. T16_1x2_flip is the one that does something else.
struct Transposition {
    uint16_t bits;
    uint8_t rows, columns;
    bool upper_half;
};

// By the numbers of aiev2_enums.h (Xilinx/llvm-aie, Apache-2.0 WITH LLVM-exception).
constexpr Transposition transpositions[] = {
    {8, 64, 2, false},  {8, 64, 2, true},   {16, 32, 2, false}, {16, 32, 2, true},
    {32, 16, 2, false}, {32, 16, 2, true},  {64, 8, 2, false},  {64, 8, 2, true},
    {128, 4, 2, false}, {128, 4, 2, true},  {256, 2, 2, false}, {256, 2, 2, true},
    {128, 2, 4, false}, {128, 2, 4, true},  {64, 2, 8, false},  {64, 2, 8, true},
    {32, 2, 16, false}, {32, 2, 16, true},  {16, 2, 32, false}, {16, 2, 32, true},
    {8, 2, 64, false},  {8, 2, 64, true},   {512, 1, 2, false}, {512, 1, 2, true},
    {16, 16, 4, false}, {16, 16, 4, true},  {16, 4, 16, false}, {16, 4, 16, true},
    {16, 8, 4, false},  {16, 4, 8, false},  {32, 8, 4, false},  {32, 8, 4, true},
    {32, 4, 8, false},  {32, 4, 8, true},   {32, 4, 4, false},  {8, 8, 8, false},
    {8, 16, 4, false},  {8, 4, 16, false},  {16, 1, 2, false},  {16, 4, 4, false},
    {16, 4, 2, false},  {16, 2, 4, false},  {16, 8, 2, false},  {16, 2, 8, false},
    {16, 16, 2, false}, {16, 2, 16, false}, {8, 8, 4, false},   {8, 4, 8, false},
};
constexpr uint32_t flip = 38;

} // namespace

bool shuffle(uint32_t mode, const uint8_t first[64], const uint8_t second[64], uint8_t to[64]) {
    mode %= 64;
    if (mode >= sizeof transpositions / sizeof transpositions[0])
        return false;
    uint8_t from[128];
    std::memcpy(from, first, 64);
    std::memcpy(from + 64, second, 64);
    const Transposition& t = transpositions[mode];
    unsigned size = t.bits / 8u;
    unsigned elements = t.rows * unsigned{t.columns};
    for (unsigned i = 0; i < 64 / size; i++) {
        unsigned at = i + (t.upper_half ? 64 / size : 0);
        unsigned matrix = at / elements, column = at % elements / t.rows, row = at % t.rows;
        unsigned source = matrix * elements + row * t.columns + column;
        if (mode == flip)
            source = i ^ 1;
        std::memcpy(to + i * size, from + source * size, size);
    }
    return true;
}

} // namespace npusim
