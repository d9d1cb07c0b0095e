// SPDX-License-Identifier: MIT
// AIE_PARTITION, the section of an xclbin that holds the images and says where they may run.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/aie2/container/xclbin.hpp"

namespace npuenc::aie2 {

std::vector<uint8_t> write_partition(const Xclbin& overlay);

// Sets all of an overlay but its uuid and its kernels.
void parse_partition(Bytes section, Xclbin& overlay);

} // namespace npuenc::aie2
