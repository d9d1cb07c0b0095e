// SPDX-License-Identifier: MIT
// EMBEDDED_METADATA, the XML in an xclbin that declares the kernels.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels/aie2/container/xclbin.hpp"

namespace npuenc::aie2 {

// Throws ContainerError for a name that would have to be escaped.
std::string write_metadata(const std::vector<Kernel>& kernels);

// An argument's memory is not in the XML: "?" stands for that of a buffer.
std::vector<Kernel> parse_metadata(std::string_view xml);

} // namespace npuenc::aie2
