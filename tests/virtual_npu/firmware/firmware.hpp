// SPDX-License-Identifier: MIT
// What runs behind the virtual NPU's driver: it loads the PDI of an overlay into the array and
// executes instruction streams.
//
// A context of four columns lies in columns 1 to 4 of the five (amdxdna, aie2_ctx.c,
// aie2_hwctx_col_list); PDIs and streams count columns from the first of their partition, and so
// does everything here.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>

namespace virtual_npu {

// Buffer i of a command: where the device finds it, and the device's view of its memory.
struct Argument {
    uint64_t address; // 0: the command has no such buffer
    std::span<uint8_t> memory;
};

enum class Mode {
    simulated,  // every cycle of the array
    functional, // the same results for npuenc's own overlays, without cycles
};

// The command will never end. The driver's hang detection decides what follows.
struct Hang : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The controller or the array reports an error.
struct Fault : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Work {
    uint64_t pushes, operations;
    uint64_t cycles; // 0 when functional
};

// One array. Not for several threads at once.
class Firmware {
  public:
    virtual ~Firmware() = default;

    // Takes the place of what was loaded before. Throws Fault.
    virtual void load(std::span<const uint8_t> pdi) = 0;

    // Executes an instruction stream; may be called again without a load, but not after it threw.
    // Gives up with Hang soon after `stop` was set. Throws Hang and Fault.
    virtual Work run(std::span<const uint8_t> stream, std::span<const Argument> arguments,
                     const std::atomic<bool>& stop) = 0;
};

std::unique_ptr<Firmware> make_firmware(Mode mode);

} // namespace virtual_npu
