// SPDX-License-Identifier: MIT
// The static checker on the programs of a floor plan.
#pragma once

#include <string>
#include <vector>

#include "kernels/aie2/array/floor_plan.hpp"

namespace npuenc::aie2 {

// What the checker finds, knowing the tile's locks and buffers; one line each, for the first tile
// of those that run the same program alike.
std::vector<std::string> check_programs(const FloorPlan& plan);

} // namespace npuenc::aie2
