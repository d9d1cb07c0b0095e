// SPDX-License-Identifier: MIT
// An NPU by its ioctls alone, as XRT's plugin would use it, for tests of what the driver refuses.
#pragma once

#include <drm/amdxdna_accel.h>
#include <drm/drm.h>
#include <xrt/detail/ert.h>

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace virtual_npu {

struct RawBuffer {
    uint32_t handle = 0;
    uint8_t* memory = nullptr;
    uint64_t address = 0; // on the device
    uint64_t bytes = 0;
};

struct RawContext {
    uint32_t handle = 0;
    uint32_t syncobj = 0;
};

// The calls return 0 or a negative errno. What is left is closed with the descriptor.
class RawNpu {
  public:
    explicit RawNpu(unsigned device = 0);
    ~RawNpu();
    RawNpu(const RawNpu&) = delete;
    RawNpu& operator=(const RawNpu&) = delete;

    int descriptor() const { return descriptor_; } // negative: an errno

    template <typename Request>
    int call(unsigned long number, Request& request) const {
        return call_number(number, &request);
    }

    int create_heap(uint64_t bytes = 64 << 20);
    int create(uint32_t type, uint64_t bytes, RawBuffer& buffer);
    int create_user(void* memory, uint64_t bytes, RawBuffer& buffer);
    int close_buffer(const RawBuffer& buffer); // and unmaps it
    int sync(const RawBuffer& buffer, uint32_t direction);
    int sync(const RawBuffer& buffer, uint32_t direction, uint64_t offset, uint64_t bytes);

    int create_context(RawContext& context, uint32_t tiles = 16);
    int configure(const RawContext& context, const RawBuffer& pdi);
    int destroy(const RawContext& context);

    int submit(const RawContext& context, const RawBuffer& command,
               std::span<const uint32_t> pinned, uint64_t& sequence);
    int wait(const RawContext& context, uint64_t sequence,
             std::chrono::milliseconds timeout = std::chrono::seconds(60));

  private:
    int call_number(unsigned long number, void* request) const;

    int descriptor_;
    uint8_t* heap_ = nullptr;
};

ert_cmd_state state_of(const RawBuffer& command);

// The 16 x 16 product: an overlay, a context on it and a problem, ready to be run.
class Product {
  public:
    // Fails the test where the device does not give it.
    explicit Product(RawNpu& npu, bool with_context = true);

    void write_command(const RawBuffer& command) const;
    void write_problem(uint32_t seed);
    int submit(uint64_t& sequence);                           // with all that it needs
    int submit(const RawBuffer& command, uint64_t& sequence); // another command
    ert_cmd_state run();                                      // and waits
    bool is_right() const;
    void sync_all(); // to the device

    RawNpu& npu;
    RawContext context;
    RawBuffer pdi, instructions, command, input, output;

  private:
    uint32_t words_ = 0;
};

} // namespace virtual_npu
