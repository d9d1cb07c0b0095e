// SPDX-License-Identifier: MIT
// An xclbin that the device knows.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <xrt/experimental/xrt_xclbin.h>

namespace npuenc::module {

class Device;

// Where the buffers are among a kernel's arguments, and in which memory: what mlir-aie declares,
// and calls HOST.
constexpr int first_buffer_argument = 3;
constexpr uint32_t buffer_bank = 0;

class Overlay {
  public:
    // Throws Error E_UNSUPPORTED for bytes that are no overlay of one kernel.
    Overlay(std::shared_ptr<Device> device, const void* xclbin, size_t bytes);
    ~Overlay();

    Overlay(const Overlay&) = delete;
    Overlay& operator=(const Overlay&) = delete;

    Device& device() const { return *device_; }
    const ::xrt::uuid& uuid() const { return uuid_; }
    const std::string& kernel_name() const { return kernel_name_; }
    size_t n_buffers() const { return n_buffers_; }

  private:
    const std::shared_ptr<Device> device_;
    ::xrt::uuid uuid_;
    std::string kernel_name_;
    size_t n_buffers_ = 0;
};

} // namespace npuenc::module
