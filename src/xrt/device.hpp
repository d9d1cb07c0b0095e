// SPDX-License-Identifier: MIT
// An NPU that this process has open, whatever the number of its sessions.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include <xrt/xrt_device.h>

#include "xrt/context_pool.hpp"
#include "xrt/failure.hpp"
#include "xrt/instruction_heap.hpp"

namespace npuenc::module {

class Device {
  public:
    // Opens the NPU at a bus address. Sessions of one process share it, as they share its contexts.
    // Throws Error E_NOT_FOUND, or another with the cure.
    static std::shared_ptr<Device> open(const std::string& bus_address);

    explicit Device(const std::string& bus_address);
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    const std::string& bus_address() const { return bus_address_; }
    const ::xrt::device& xrt() const { return xrt_; }
    ContextPool& contexts() { return contexts_; }
    InstructionHeap& instruction_heap() { return instruction_heap_; }

    // Once the device has gone it is lost for good.
    bool is_lost() const { return lost_; }

    // Throws Error E_CTX_LOST once the device has gone.
    void require() const;

    // Asks the driver, after a failure, whether it still serves the device.
    bool is_there() noexcept;

    // Calls XRT. What that throws becomes an Error that says what was being done: E_CTX_LOST where
    // the device has gone, E_NOMEM where memory is short, else `otherwise`.
    template <class Call>
    auto call(const char* doing, npuenc_status otherwise, const Call& call_xrt) {
        require();
        try {
            return call_xrt();
        } catch (const Error&) {
            throw;
        } catch (const std::exception& failure) {
            refuse(doing, otherwise, failure);
        }
    }

  private:
    [[noreturn]] void refuse(const char* doing, npuenc_status otherwise,
                             const std::exception& failure);

    const std::string bus_address_;
    std::atomic<bool> lost_ = false;
    ::xrt::device xrt_;
    ContextPool contexts_;
    InstructionHeap instruction_heap_;
};

} // namespace npuenc::module
