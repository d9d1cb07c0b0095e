// SPDX-License-Identifier: MIT
// The DMA of one shim as functional mode has it: descriptors, and channels that walk through host
// memory without a notion of time.
//
// Registers: Xilinx/aie-rt, driver/src/global/xaiemlgbl_params.h, XAIEMLGBL_NOC_MODULE_DMA_*.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>

#include "tools/npusim/host_buffers.hpp"

namespace virtual_npu {

class Shim {
  public:
    static constexpr size_t n_channels = 2; // in each direction
    enum Direction : uint32_t { to_memory, from_memory };

    class Channel {
      public:
        // Up to `limit` bytes that the channel moves next, as they lie in host memory: less where
        // the transfer has a seam, none when there is no task. Throws Fault for what cannot be
        // moved.
        std::span<uint8_t> next(size_t limit);
        // The first `bytes` of them have been moved.
        void advance(size_t bytes);

        bool has_token() const { return tokens_ != 0; }
        void take_token() { --tokens_; }

      private:
        friend Shim;

        struct Task {
            uint32_t descriptor, repeats;
            bool token;
        };
        // What is left of one execution of a descriptor. Addresses are in bytes, sizes in words.
        struct Transfer {
            uint64_t address;
            uint64_t length, done;
            uint32_t inner_size, inner_step;   // size 0: all that there is
            uint32_t middle_size, middle_step; // the same
            uint32_t outer_step;
        };

        Channel(Shim& shim, std::string name) : shim_(&shim), name_(std::move(name)) {}

        bool start();
        void begin_transfer();
        void end_transfer();
        [[noreturn]] void fail(const std::string& what) const;

        Shim* shim_;
        std::string name_;
        std::deque<Task> queue_;
        bool busy_ = false;
        Task task_{};
        uint32_t descriptor_ = 0;
        Transfer transfer_{};
        uint32_t tokens_ = 0;
    };

    explicit Shim(uint32_t column);
    Shim(const Shim&) = delete;
    Shim& operator=(const Shim&) = delete;

    Channel& channel(Direction direction, size_t index) {
        return channels_[direction * n_channels + index];
    }

    // Host memory during a run; null between runs.
    void attach(npusim::HostBuffers* memory) { memory_ = memory; }

    static bool is_queue(uint32_t offset);
    // The word that says where a descriptor's memory begins.
    static bool is_address(uint32_t offset);

    // False: a queue is full, nothing was changed. Throws Fault for registers that functional mode
    // does not know, and for values.
    bool write(uint32_t offset, uint32_t value);
    uint32_t read(uint32_t offset) const;

  private:
    static constexpr size_t n_descriptors = 16, descriptor_words = 8;

    uint32_t column_;
    std::array<std::array<uint32_t, descriptor_words>, n_descriptors> descriptors_{};
    std::array<uint32_t, 2 * n_channels> controls_{};
    std::array<Channel, 2 * n_channels> channels_;
    npusim::HostBuffers* memory_ = nullptr;
};

} // namespace virtual_npu
