// SPDX-License-Identifier: MIT
// What the environment asks of the virtual NPU.
#pragma once

#include <chrono>
#include <string>

#include "tests/virtual_npu/firmware/firmware.hpp"

namespace virtual_npu {

// When the array loses what it held, so that the PDI is loaded again.
enum class Reload {
    never,          // each context keeps an array of its own
    on_switch,      // when another context ran in between
    before_command, // always
};

struct Options {
    Mode mode = Mode::functional;      // VIRTUAL_NPU_MODE
    unsigned devices = 1;              // VIRTUAL_NPU_DEVICES, up to max_devices
    bool coherent = true;              // VIRTUAL_NPU_COHERENT
    Reload reload = Reload::on_switch; // VIRTUAL_NPU_RELOAD
    // Of amdxdna's module parameter tdr_timeout_ms (aie2_ctx.c). VIRTUAL_NPU_TDR_MS
    std::chrono::milliseconds hang_timeout{2000};
    std::string state;  // VIRTUAL_NPU_STATE, a path; empty: of this process and its children
    std::string report; // VIRTUAL_NPU_REPORT, a path; %p in it is the process
    std::string faults; // VIRTUAL_NPU_FAULT
};

// Exits the process where a variable has a value that does not exist: a test must not run on
// something else than it asked for.
Options read_options();

} // namespace virtual_npu
