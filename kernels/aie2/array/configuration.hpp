// SPDX-License-Identifier: MIT
// A floor plan as the register writes that make the array so.
#pragma once

#include <vector>

#include "kernels/aie2/array/floor_plan.hpp"
#include "kernels/aie2/container/cdo.hpp"

namespace npuenc::aie2 {

// In the order in which mlir-aie's tools write them. The plan has been validated.
std::vector<CdoCommand> configure(const FloorPlan& plan);

} // namespace npuenc::aie2
