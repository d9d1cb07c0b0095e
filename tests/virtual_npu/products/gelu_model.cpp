// SPDX-License-Identifier: MIT
#include "gelu_model.hpp"

#include <bit>
#include <cmath>
#include <cstring>

#include "bf16_model.hpp"
#include "kernels/aie2/gelu_tile.hpp"

namespace npuenc {
namespace {

constexpr size_t half = 16; // values of a vector of bf16

template <class T>
T lane_of(const uint8_t* vector, size_t lane) {
    T value;
    std::memcpy(&value, vector + lane * sizeof value, sizeof value);
    return value;
}

float value_of(uint16_t bf16) {
    return std::bit_cast<float>(static_cast<uint32_t>(bf16) << 16);
}

// Two products a lane: x with the lower half of a vector, y with the upper one.
uint32_t mac(uint32_t acc, uint16_t x, uint16_t y, const uint8_t* halves, size_t lane) {
    const uint16_t a[8] = {x, y};
    const uint16_t b[8] = {lane_of<uint16_t>(halves, lane), lane_of<uint16_t>(halves, half + lane)};
    return bf16_mac(acc, a, b);
}

uint16_t nearest_bf16(uint32_t f32) {
    const uint32_t rest = f32 & 0xffff, upper = f32 >> 16;
    const bool up = rest > 0x8000 || (rest == 0x8000 && upper % 2 == 1);
    return static_cast<uint16_t>(upper + up);
}

// An integer of 32 bits, shifted to 16 of them. Doubles hold it, and the result.
int16_t srs(int64_t sum, int bits) {
    const auto wrapped = static_cast<int32_t>(static_cast<uint64_t>(sum) & 0xffffffff);
    const double shifted = std::nearbyint(std::ldexp(wrapped, -bits));
    return static_cast<int16_t>(static_cast<uint32_t>(static_cast<int32_t>(shifted)) & 0xffff);
}

} // namespace

uint16_t gelu_model(uint32_t sum, size_t row, size_t column, const uint8_t* operands) {
    namespace tile = gelu_tile;
    const size_t lane = row % 4 * tile::columns + column % tile::columns;

    const uint8_t* bias =
        operands + tile::biases + column / tile::columns * 2 * half * sizeof(uint16_t);
    const uint8_t* signs = operands + tile::signs;
    const uint16_t h = nearest_bf16(
        mac(sum, lane_of<uint16_t>(bias, lane), lane_of<uint16_t>(bias, half + lane), signs, lane));

    const auto magnitude =
        static_cast<uint16_t>(h & lane_of<uint16_t>(operands + tile::magnitude, lane));
    const auto largest = lane_of<uint16_t>(operands + tile::largest, lane);
    const uint16_t t = value_of(magnitude) < value_of(largest) ? magnitude : largest;
    constexpr uint16_t one = 0x3f80; // any that is finite
    const auto integer = mac(lane_of<uint32_t>(operands + tile::integers, lane), t, one,
                             operands + tile::scale, lane);
    const auto z = static_cast<int16_t>(integer & 0xffff);

    const int64_t c3 = lane_of<int16_t>(operands + tile::c3, lane);
    const int64_t c2 = lane_of<int32_t>(operands + tile::c2, lane);
    const int64_t c1 = lane_of<int32_t>(operands + tile::c1, lane);
    const int64_t c0 = lane_of<int32_t>(operands + tile::c0, lane);
    int16_t b = srs(c2 + z * c3, 15);
    b = srs(c1 + z * b, 15);
    int16_t q = srs(c0 + z * b, 15);
    for (int i = 0; i < 3; ++i)
        q = srs(q * q, 15);
    const int16_t v = srs(z * q, 12);

    const int64_t units = lane_of<int16_t>(operands + tile::units, lane);
    const int64_t less = lane_of<int32_t>(operands + tile::results, lane) - v * units;
    const uint8_t* floor_and_offset = operands + tile::least;
    const auto least = lane_of<uint16_t>(floor_and_offset, lane);
    const uint16_t relu = value_of(h) > value_of(least) ? h : least;
    const uint32_t y = mac(static_cast<uint32_t>(static_cast<uint64_t>(less) & 0xffffffff), relu,
                           lane_of<uint16_t>(floor_and_offset, half + lane), signs, lane);
    return nearest_bf16(y);
}

} // namespace npuenc
