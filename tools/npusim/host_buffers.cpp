// SPDX-License-Identifier: MIT
#include "tools/npusim/host_buffers.hpp"

#include <string>

#include "tools/npusim/error.hpp"

namespace npusim {

void HostBuffers::bind(size_t argument, std::span<uint8_t> memory, uint64_t address) {
    if (argument >= buffers_.size())
        buffers_.resize(argument + 1);
    // 4 GiB apart: no transfer runs from one into the next.
    buffers_[argument] = {address != 0 ? address : (argument + 1) << 32, memory};
}

uint64_t HostBuffers::patched(size_t argument, uint64_t plus) const {
    if (argument >= buffers_.size() || buffers_[argument].address == 0)
        throw SimulationError("the instruction stream uses buffer " + std::to_string(argument) +
                              ", which was not given");
    return buffers_[argument].address + plus + (argument < translated_arguments ? translation : 0);
}

uint8_t* HostBuffers::word(uint64_t address) {
    const auto in = [&](size_t i) -> uint8_t* {
        const Buffer& buffer = buffers_[i];
        const uint64_t offset = address - translation - buffer.address;
        if (buffer.address == 0 || address < translation + buffer.address ||
            buffer.memory.size() < 4 || offset > buffer.memory.size() - 4)
            return nullptr;
        last_ = i;
        return buffer.memory.data() + offset;
    };
    if (last_ < buffers_.size())
        if (uint8_t* found = in(last_))
            return found;
    for (size_t i = 0; i < buffers_.size(); ++i)
        if (uint8_t* found = in(i))
            return found;
    return nullptr;
}

} // namespace npusim
