// SPDX-License-Identifier: MIT
// What the hardware would get silently wrong about a floor plan.
#pragma once

#include <string>
#include <vector>

#include "kernels/aie2/array/floor_plan.hpp"

namespace npuenc::aie2 {

// One line each, beginning with the tile or route; none is good.
std::vector<std::string> find_faults(const FloorPlan& plan);

} // namespace npuenc::aie2
