// SPDX-License-Identifier: MIT
// An NPU module inside the test: an array without a driver. It keeps the rules of
// module_interface.h and ends the program where a caller breaks one; its memory is not coherent,
// the device has a copy of its own that only buffer_sync exchanges; it counts, and fails or
// misbehaves when told to.
#pragma once

#include <cstdint>

#include "npu/module_interface.h"
#include "tests/virtual_npu/firmware/firmware.hpp"

namespace npuenc {

enum class ModuleCall {
    session_open,
    overlay_create,
    program_create,
    buffer_create,
    buffer_sync,
    submit,
    wait,
    n_calls
};

// What a module or a caller may get wrong without any call failing.
enum class Misbehaviour {
    none,
    no_sync_to_device,
    no_sync_from_device,
    swapped_arguments, // the first two
    stale_argument,    // an argument is the part that the same buffer was used with before
};

struct ModuleCounts {
    uint64_t sessions, overlays, programs, buffers, submissions; // that are alive
    uint64_t programs_made, buffers_made;
    uint64_t submitted, commands, syncs, bytes_to_device, bytes_from_device;
    uint64_t calls[static_cast<int>(ModuleCall::n_calls)];
};

// One for the process.
const npuenc_module& array_module();
constexpr const char* array_bus_address = "0000:c5:00.1";

// The firmware behind sessions opened from now on; functional where nothing is said.
void set_firmware(virtual_npu::Mode mode);

ModuleCounts module_counts();
bool nothing_is_left(); // no handle that has not been freed

// The n-th such call from now on, 1 the next, fails with this status; after E_CTX_LOST so does
// every later one.
void fail_call(ModuleCall call, uint64_t n, int32_t status);
// Whether such a call has come.
bool stop_failing();
void misbehave(Misbehaviour how);

// Whether the present thread is inside of the module.
bool is_inside_module();

} // namespace npuenc
