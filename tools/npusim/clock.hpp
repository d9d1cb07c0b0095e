// SPDX-License-Identifier: MIT
// The time of the array, whether it got on, and what is left to chance.
#pragma once

#include <cstdint>
#include <optional>

namespace npusim {

class Clock {
  public:
    explicit Clock(std::optional<uint64_t> jitter) : jittered_(jitter.has_value()) {
        // SplitMix64's increment keeps neighbouring seeds apart; xorshift wants a state that is not
        // 0.
        state_ = (jitter.value_or(0) + 1) * 0x9E3779B97F4A7C15 | 1;
    }

    uint64_t now = 1;      // the present cycle
    uint64_t progress = 0; // counts whatever was moved, taken or issued

    bool jittered() const { return jittered_; }
    // 0 to n - 1; always 0 without jitter.
    uint32_t random(uint32_t n) { return jittered_ ? static_cast<uint32_t>(draw() >> 32) % n : 0; }
    // One time in n; never without jitter.
    bool chance(uint32_t n) { return jittered_ && random(n) == 0; }

  private:
    uint64_t draw() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_ * 0x2545F4914F6CDD1D;
    }

    bool jittered_;
    uint64_t state_;
};

} // namespace npusim
