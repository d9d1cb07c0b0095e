// SPDX-License-Identifier: MIT
// In place of simulated_array.cpp where the simulator is not built.
#include "simulated_array.hpp"

namespace npuenc {

std::optional<std::vector<ArrayCost>> simulate(const std::vector<ArrayWork>&,
                                               const OverlayCatalog&) {
    return {};
}

} // namespace npuenc
