// SPDX-License-Identifier: MIT
// PDI, the boot image around a CDO that the NPU's firmware loads.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/aie2/container/bytes.hpp"

namespace npuenc::aie2 {

// One image of one partition, byte for byte as bootgen makes it from that CDO for npu1.
std::vector<uint8_t> write_pdi(Bytes cdo);

// The CDOs of an image in their order, as views into its bytes; other partitions are left out, and
// there is at least one. Every header is checked, the CDOs themselves are not: parse_cdo does it.
// Throws ContainerError.
std::vector<Bytes> parse_pdi(Bytes pdi);

} // namespace npuenc::aie2
