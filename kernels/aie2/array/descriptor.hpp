// SPDX-License-Identifier: MIT
// A buffer descriptor (BD): one transfer of a DMA channel, as it is meant and as its registers.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/aie2/array/tile.hpp"

namespace npuenc::aie2 {

// `count` steps of `step` words each.
struct Dimension {
    uint32_t count;
    uint32_t step;
};

// A lock and by how much it changes. Locks are the tile's own, 0 and up.
struct LockChange {
    int lock;
    int value;
};

struct Descriptor {
    int id = 0;
    uint64_t address = 0; // bytes; in the tile's own memory, or the host's for a shim
    uint32_t words = 0;   // in all
    // Innermost first; none is a linear transfer. The last one's count follows from `words`.
    std::vector<Dimension> dimensions;
    // From one execution of the descriptor to the next, the address moves on; then it starts again.
    Dimension iteration{1, 1};
    std::optional<LockChange> acquire; // waits for at least `value`, then subtracts it
    std::optional<LockChange> release; // adds `value` when the transfer is complete
    std::optional<int> next;
};

// The first byte after the furthest that one of the descriptor's executions touches.
uint64_t end_of(const Descriptor& descriptor);

} // namespace npuenc::aie2
