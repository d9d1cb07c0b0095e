// SPDX-License-Identifier: MIT
// The device's memory for instructions, which is short: the programs that have a copy in it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_set>
#include <vector>

#include <xrt/xrt_bo.h>
#include <xrt/xrt_device.h>

namespace npuenc::module {

class Device;
class Program;

class InstructionHeap {
  public:
    explicit InstructionHeap(Device& device) : device_(device) {}

    void add(Program& program);
    void remove(Program& program) noexcept;

    // A synchronised copy. Where there is no room, all programs are unloaded; those that run keep
    // theirs until they have ended. Throws what XRT throws.
    std::shared_ptr<const ::xrt::bo> load(const std::vector<uint32_t>& words,
                                          ::xrt::memory_group group);

  private:
    std::shared_ptr<const ::xrt::bo> copy(const std::vector<uint32_t>& words,
                                          ::xrt::memory_group group);

    Device& device_;
    std::mutex mutex_;
    std::unordered_set<Program*> programs_;
};

} // namespace npuenc::module
