// SPDX-License-Identifier: MIT
// The locks of one tile: counters from 0 to 63 that are waited for and taken in one step.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "tools/npusim/device.hpp"

namespace npusim {

class Locks {
  public:
    static constexpr int32_t max_value = 63;

    Locks(std::string tile, uint32_t count) : tile_(std::move(tile)), count_(count) {}

    uint32_t count() const { return count_; }
    int32_t value(uint32_t lock) const { return values_[lock]; }
    const std::string& tile() const { return tile_; }

    void set(uint32_t lock, uint32_t value);
    // `value` < 0 waits for at least -value and subtracts it; >= 0 waits for exactly value and
    // takes it too. False: not yet, nothing was changed.
    bool acquire(uint32_t lock, int32_t value);
    void release(uint32_t lock, int32_t value);
    void reset() { values_.fill(0); }

    // "lock 3 of core tile (1,2) (value 0)"
    std::string describe(uint32_t lock) const;

  private:
    std::string tile_;
    uint32_t count_;
    std::array<int8_t, max_locks> values_{};
};

} // namespace npusim
