// SPDX-License-Identifier: MIT
// Vectors as arrays of lanes, for the semantics.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace npusim {

template <typename T, size_t bytes = 64>
struct alignas(64) Lanes {
    static constexpr size_t count = bytes / sizeof(T);
    T lane[count];

    Lanes() = default;
    explicit Lanes(const uint8_t* from) { std::memcpy(lane, from, bytes); }
    T& operator[](size_t i) { return lane[i]; }
    const T& operator[](size_t i) const { return lane[i]; }
};

} // namespace npusim
