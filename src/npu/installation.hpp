// SPDX-License-Identifier: MIT
// Where the files of this npuenc lie: beside libnpuenc, wherever that is installed.
#pragma once

#include <string>

namespace npuenc {

// Of the environment; null where it is empty or must not be trusted.
const char* trusted_variable(const char* name);

// Holds npuenc-xrt.so.
std::string installed_module_directory();

// Holds the overlays of an array's generation, "npu1".
std::string installed_overlay_directory(const char* generation);

} // namespace npuenc
