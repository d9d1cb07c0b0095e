// SPDX-License-Identifier: MIT
// Operands for tests: the same on every run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace npuenc {

// A small generator of numbers (Marsaglia 2003, xorshift32), the same on every run.
class Random {
  public:
    explicit Random(uint32_t seed) : state_(seed * 2654435761u + 1) {}
    uint32_t next() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 17;
        state_ ^= state_ << 5;
        return state_;
    }
    // In [-1, 1).
    float real() { return static_cast<float>(static_cast<int32_t>(next())) * 0x1p-31f; }
    std::vector<float> reals(size_t n) {
        std::vector<float> values(n);
        for (float& value : values)
            value = real();
        return values;
    }
    std::vector<int8_t> bytes(size_t n) {
        std::vector<int8_t> values(n);
        for (int8_t& value : values)
            value = static_cast<int8_t>(next() >> 24);
        return values;
    }
    // Any bits.
    template <class T>
    std::vector<T> values(size_t n) {
        std::vector<T> values(n);
        for (T& value : values)
            value = static_cast<T>(next() >> 8);
        return values;
    }

  private:
    uint32_t state_;
};

} // namespace npuenc
