// SPDX-License-Identifier: MIT
// Memory that host and device see.
#pragma once

#include <cstddef>
#include <memory>

#include <xrt/xrt_bo.h>

#include "npu/module_interface.h"

namespace npuenc::module {

class Device;

// XRT's bo of its "host only" kind. Its plain constructor for that writes to standard error when
// there is no memory (XRT, core/common/api/xrt_bo.cpp, alloc_bo): this one does not.
::xrt::bo host_memory(const ::xrt::device& device, size_t bytes);

class Buffer {
  public:
    // Whole pages, zeroed, no context's. Throws Error E_NOMEM.
    Buffer(std::shared_ptr<Device> device, size_t bytes);
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    Device& device() const { return *device_; }
    void* memory() const { return memory_; }

    // threads: may be null.
    void sync(npuenc_module_direction direction, size_t offset, size_t bytes,
              const npuenc_module_threads* threads);

    // A part as the argument of a command. XRT makes it without a system call, so that nobody has
    // to keep it. Throws Error E_INVALID for one that is not within the buffer.
    ::xrt::bo part(size_t offset, size_t bytes) const;

  private:
    const std::shared_ptr<Device> device_;
    size_t size_;
    ::xrt::bo bo_;
    void* memory_ = nullptr;
};

} // namespace npuenc::module
