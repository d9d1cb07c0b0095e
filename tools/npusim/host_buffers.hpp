// SPDX-License-Identifier: MIT
// The host's memory as the shims see it: the buffer arguments of a run, and nothing else.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace npusim {

class HostBuffers {
  public:
    // The array sees host memory at this distance, and the firmware adds it to the addresses of the
    // first arguments only (mlir-aie pull request 3345).
    static constexpr uint64_t translation = 0x80000000;
    static constexpr size_t translated_arguments = 5;

    // The memory stays the caller's. Without an address (0) the buffer gets one of its own.
    void bind(size_t argument, std::span<uint8_t> memory, uint64_t address = 0);
    void clear() { buffers_.clear(); }

    size_t size() const { return buffers_.size(); }
    std::span<uint8_t> memory(size_t argument) const { return buffers_[argument].memory; }

    // What the firmware writes into a descriptor for an argument; throws if it is not bound.
    uint64_t patched(size_t argument, uint64_t plus) const;
    // One word at an address on the array's side; null if it is in no buffer.
    uint8_t* word(uint64_t address);

  private:
    struct Buffer {
        uint64_t address = 0; // 0: not bound
        std::span<uint8_t> memory;
    };

    std::vector<Buffer> buffers_;
    size_t last_ = 0; // the buffer of the last word: the next is mostly in it too
};

} // namespace npusim
