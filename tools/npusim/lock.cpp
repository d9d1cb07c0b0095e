// SPDX-License-Identifier: MIT
#include "tools/npusim/lock.hpp"

#include "tools/npusim/error.hpp"

namespace npusim {

void Locks::set(uint32_t lock, uint32_t value) {
    if (value > uint32_t{max_value})
        throw SimulationError("lock " + std::to_string(lock) + " of " + tile_ + " is set to " +
                              std::to_string(value) + ": a lock counts to 63");
    values_[lock] = static_cast<int8_t>(value);
}

bool Locks::acquire(uint32_t lock, int32_t value) {
    const bool free = value < 0 ? values_[lock] >= -value : values_[lock] == value;
    if (free)
        values_[lock] = static_cast<int8_t>(values_[lock] - (value < 0 ? -value : value));
    return free;
}

void Locks::release(uint32_t lock, int32_t value) {
    const int32_t sum = values_[lock] + value;
    if (sum > max_value || sum < 0)
        throw SimulationError((sum < 0 ? "underflow of " : "overflow of ") + describe(lock) +
                              ": released by " + std::to_string(value));
    values_[lock] = static_cast<int8_t>(sum);
}

std::string Locks::describe(uint32_t lock) const {
    return "lock " + std::to_string(lock) + " of " + tile_ + " (value " +
           std::to_string(values_[lock]) + ')';
}

} // namespace npusim
