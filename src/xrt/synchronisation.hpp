// SPDX-License-Identifier: MIT
// What makes a buffer's bytes the same for host and device.
#pragma once

#include <cstddef>

#include <xrt/xrt_bo.h>

#include "npu/module_interface.h"

namespace npuenc::module {

// Of a bo that is mapped at `memory`. bytes: at least 1, within the bo. threads: may be null.
void synchronise(::xrt::bo& bo, void* memory, npuenc_module_direction direction, size_t offset,
                 size_t bytes, const npuenc_module_threads* threads);

} // namespace npuenc::module
