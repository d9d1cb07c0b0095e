// SPDX-License-Identifier: MIT
// Numbers that are the same on every machine: SplitMix64 (Steele, Lea, Flood 2014).
#pragma once

#include <cstdint>

namespace npuenc {

class PseudoRandom {
  public:
    explicit PseudoRandom(uint64_t seed) : state_(seed) {}

    uint64_t next() {
        uint64_t z = state_ += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }

    float uniform() { // in [-1, 1), a multiple of 2^-23
        return static_cast<float>(static_cast<int32_t>(next() >> 40) - (1 << 23)) * 0x1p-23f;
    }

    int8_t byte() { return static_cast<int8_t>(next() >> 56); }

  private:
    uint64_t state_;
};

} // namespace npuenc
