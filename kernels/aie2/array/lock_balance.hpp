// SPDX-License-Identifier: MIT
// Whether the DMA channels and the program of a tile can take turns for ever.
#pragma once

#include <string>
#include <vector>

#include "kernels/aie2/array/floor_plan.hpp"

namespace npuenc::aie2 {

// A lock that is only ever taken or only ever given; chains and activities that do not come out
// even however often each is repeated; a round that cannot be completed from the locks' initial
// values.
std::vector<std::string> find_lock_faults(const Tile& tile);

} // namespace npuenc::aie2
