// SPDX-License-Identifier: MIT
#include "xrt/instruction_heap.hpp"

#include <cstring>

#include "xrt/device.hpp"
#include "xrt/program.hpp"

namespace npuenc::module {

void InstructionHeap::add(Program& program) {
    const std::lock_guard lock(mutex_);
    programs_.insert(&program);
}

void InstructionHeap::remove(Program& program) noexcept {
    const std::lock_guard lock(mutex_);
    programs_.erase(&program);
}

std::shared_ptr<const ::xrt::bo> InstructionHeap::load(const std::vector<uint32_t>& words,
                                                       ::xrt::memory_group group) {
    try {
        return copy(words, group);
    } catch (const std::exception& failure) {
        if (!is_short_of_memory(failure))
            throw;
    }
    {
        const std::lock_guard lock(mutex_);
        for (Program* program : programs_)
            program->unload();
    }
    return copy(words, group);
}

std::shared_ptr<const ::xrt::bo> InstructionHeap::copy(const std::vector<uint32_t>& words,
                                                       ::xrt::memory_group group) {
    const size_t bytes = words.size() * sizeof words[0];
    ::xrt::bo made(device_.xrt(), bytes, ::xrt::bo::flags::cacheable, group);
    std::memcpy(made.map<void*>(), words.data(), bytes);
    made.sync(XCL_BO_SYNC_BO_TO_DEVICE);
    return std::make_shared<const ::xrt::bo>(std::move(made));
}

} // namespace npuenc::module
