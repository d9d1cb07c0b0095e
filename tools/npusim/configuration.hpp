// SPDX-License-Identifier: MIT
// What configures the array: the CDOs in an xclbin or PDI.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/aie2/container/cdo.hpp"

namespace npusim {

struct Overlay {
    uint32_t columns = 0;
    std::vector<npuenc::aie2::CdoCommand> commands;
};

// The image of a kernel, or the only one there is. Throws SimulationError.
Overlay read_xclbin(std::span<const uint8_t> file, std::optional<std::string_view> kernel = {});
// A PDI does not say how many columns it wants: as many as it configures.
Overlay read_pdi(std::span<const uint8_t> file);

} // namespace npusim
