// SPDX-License-Identifier: MIT
// A floor plan in words and as a drawing.
#pragma once

#include <string>

#include "kernels/aie2/array/floor_plan.hpp"

namespace npuenc::aie2 {

// Tiles (those that are alike once), their memory, locks and transfers, and the routes with every
// port.
std::string explain(const FloorPlan& plan);

// The array as SVG: tiles with their memory to scale, routes between them.
std::string draw(const FloorPlan& plan);

} // namespace npuenc::aie2
