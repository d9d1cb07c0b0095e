// SPDX-License-Identifier: MIT
// What a run did, as JSON.
#pragma once

#include <string>

#include "tools/npusim/array.hpp"

namespace npusim {

std::string to_json(const RunReport& report);

} // namespace npusim
