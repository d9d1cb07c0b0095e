// SPDX-License-Identifier: MIT
#include "kernels/aie2/gelu_tile.hpp"

#include <bit>
#include <cstring>

namespace npuenc::gelu_tile {
namespace {

constexpr size_t half = 16; // values of a vector of bf16

uint16_t to_bf16(float value) { // to nearest even
    const auto bits = std::bit_cast<uint32_t>(value);
    return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float from_bf16(uint16_t value) {
    return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
}

class Message {
  public:
    explicit Message(char* message) : values_(message + header_bytes) {
        std::memset(message, 0, message_bytes);
        std::memcpy(message, &header, sizeof header);
    }

    template <class T>
    void fill(size_t at, size_t n, T value) {
        for (size_t i = 0; i < n; ++i)
            std::memcpy(values_ + at + i * sizeof value, &value, sizeof value);
    }
    void fill_halves(size_t at, float lower, float upper) {
        fill(at, half, to_bf16(lower));
        fill(at + half * sizeof(uint16_t), half, to_bf16(upper));
    }

  private:
    char* const values_;
};

} // namespace

void write(const float* bias, size_t count, char* message) {
    Message to(message);
    for (size_t column = 0; bias && column < count; ++column) {
        const uint16_t high = to_bf16(bias[column]);
        const uint16_t minus_low = to_bf16(from_bf16(high) - bias[column]);
        for (size_t row = 0; row < half / columns; ++row) {
            const size_t at = biases + column / columns * 4 * half +
                              (row * columns + column % columns) * sizeof high;
            to.fill(at, 1, high);
            to.fill(at + half * sizeof high, 1, minus_low);
        }
    }
    to.fill(magnitude, 2 * half, uint16_t{0x7fff});
    to.fill_halves(largest, largest_t, largest_t);
    to.fill_halves(least, 0x1p-126f, 0.75f);
    to.fill_halves(scale, s, 0);
    to.fill_halves(signs, 1, -1);
    to.fill(c3, 2 * half, c3_value);
    to.fill(units, 2 * half, units_value);
    to.fill(c2, 2 * half, c2_value);
    to.fill(c1, 2 * half, c1_value);
    to.fill(c0, 2 * half, c0_value);
    to.fill(integers, half, 0x1.8p23f);
    to.fill(results, 2 * half, 0.75f);
}

} // namespace npuenc::gelu_tile
