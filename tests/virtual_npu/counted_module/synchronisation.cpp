// SPDX-License-Identifier: MIT
// As src/xrt/synchronisation.cpp where a CPU has no CLFLUSHOPT: always by XRT, which makes a system
// call of it when it is told to, so that the virtual NPU can count and copy.
#include "xrt/synchronisation.hpp"

namespace npuenc::module {

void synchronise(::xrt::bo& bo, void*, npuenc_module_direction direction, size_t offset,
                 size_t bytes, const npuenc_module_threads*) {
    bo.sync(direction == npuenc_module_from_device ? XCL_BO_SYNC_BO_FROM_DEVICE
                                                   : XCL_BO_SYNC_BO_TO_DEVICE,
            bytes, offset);
}

} // namespace npuenc::module
