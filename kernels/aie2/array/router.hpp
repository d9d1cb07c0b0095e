// SPDX-License-Identifier: MIT
// Finds the switch ports of a route.
#pragma once

#include <span>
#include <vector>

#include "kernels/aie2/array/floor_plan.hpp"

namespace npuenc::aie2 {

// The ports at which a route enters the first switch and leaves the last.
Port entry_port(Endpoint from);
Port exit_port(Endpoint to);

// The hops of `route` (whose own are ignored) beside those that are `taken`. Throws ArrayError.
std::vector<Hop> find_route(const Route& route, std::span<const Hop> taken, int columns);

} // namespace npuenc::aie2
