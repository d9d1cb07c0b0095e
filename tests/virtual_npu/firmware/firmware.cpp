// SPDX-License-Identifier: MIT
#include "tests/virtual_npu/firmware/firmware.hpp"

#include "tests/virtual_npu/firmware/functional_firmware.hpp"
#include "tests/virtual_npu/firmware/simulated_firmware.hpp"

namespace virtual_npu {

std::unique_ptr<Firmware> make_firmware(Mode mode) {
    if (mode == Mode::functional)
        return std::make_unique<FunctionalFirmware>();
    return std::make_unique<SimulatedFirmware>();
}

} // namespace virtual_npu
