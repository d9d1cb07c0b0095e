// SPDX-License-Identifier: MIT
// What a process did with the device and what it left, as JSON.
#pragma once

#include <string>
#include <vector>

#include "virtual_npu.h"

namespace virtual_npu {

// "%p" in the path is the process's number.
void write_report(std::string path, const virtual_npu_counters& counters,
                  const virtual_npu_alive& left, const std::vector<std::string>& log);

} // namespace virtual_npu
