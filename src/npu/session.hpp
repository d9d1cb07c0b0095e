// SPDX-License-Identifier: MIT
// An open NPU as C++ owns it: what a module hands out, freed at the end of its owner, and its
// failures as exceptions.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <npuenc/npuenc.h>

#include "device/parallel.hpp"
#include "npu/module_interface.h"

namespace npuenc {

// What everything that belongs to a session keeps hold of.
class SessionCore {
  public:
    SessionCore(const npuenc_module& module, const std::string& bus_address);
    ~SessionCore();
    SessionCore(const SessionCore&) = delete;
    SessionCore& operator=(const SessionCore&) = delete;

    const npuenc_module& module() const { return module_; }
    npuenc_module_session* handle() const { return handle_; }
    bool lost() const { return lost_.load(std::memory_order_relaxed); }

    // Throws Error E_CTX_LOST where a call has failed so before.
    void check() const;

    // Calls `function`, which takes a failure as its last argument, and throws Error with the
    // status and the words of one that fails. E_CTX_LOST is remembered, and then nothing is called
    // any more.
    template <class Function, class... Arguments>
    void call(Function function, Arguments... arguments) {
        check();
        finish(function, arguments...);
    }

    // The same for what has to be called whatever has happened, as it ends something.
    template <class Function, class... Arguments>
    void finish(Function function, Arguments... arguments) {
        npuenc_module_failure failure;
        failure.detail[0] = '\0';
        const int32_t status = function(arguments..., &failure);
        if (status != NPUENC_OK)
            fail_with(status, failure);
    }

  private:
    [[noreturn]] void fail_with(int32_t status, npuenc_module_failure& failure);

    const npuenc_module& module_;
    npuenc_module_session* handle_ = nullptr;
    std::atomic<bool> lost_ = false;
};

// Memory that host and device see; the host's view has to be synchronised with the device's.
class DeviceBuffer {
  public:
    DeviceBuffer() = default;
    DeviceBuffer(std::shared_ptr<SessionCore> session, size_t bytes);
    ~DeviceBuffer();
    DeviceBuffer(DeviceBuffer&& other) noexcept { swap(other); }
    DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
        DeviceBuffer(std::move(other)).swap(*this);
        return *this;
    }

    npuenc_module_buffer* handle() const { return handle_; }
    char* data() const { return static_cast<char*>(memory_); }
    size_t bytes() const { return bytes_; }

    void sync(npuenc_module_direction direction, size_t offset, size_t bytes,
              Parallel& threads) const;

  private:
    void swap(DeviceBuffer& other) noexcept;

    std::shared_ptr<SessionCore> session_;
    npuenc_module_buffer* handle_ = nullptr;
    void* memory_ = nullptr;
    size_t bytes_ = 0;
};

class LoadedOverlay;

// An instruction stream in the device's memory.
class Program {
  public:
    Program(const LoadedOverlay& overlay, std::span<const uint32_t> words);
    ~Program();
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    npuenc_module_program* handle() const { return handle_; }

  private:
    std::shared_ptr<SessionCore> session_;
    npuenc_module_program* handle_ = nullptr;
};

// An xclbin that programs can be made for.
class LoadedOverlay {
  public:
    LoadedOverlay(std::shared_ptr<SessionCore> session, std::span<const uint8_t> xclbin);
    ~LoadedOverlay();
    LoadedOverlay(const LoadedOverlay&) = delete;
    LoadedOverlay& operator=(const LoadedOverlay&) = delete;

    const std::shared_ptr<SessionCore>& session() const { return session_; }
    npuenc_module_overlay* handle() const { return handle_; }

  private:
    std::shared_ptr<SessionCore> session_;
    npuenc_module_overlay* handle_ = nullptr;
};

// Commands that were handed over. The device works on them until `wait`, or the destructor, has
// returned.
class RunningCommands {
  public:
    RunningCommands(std::shared_ptr<SessionCore> session,
                    std::span<const npuenc_module_command> commands);
    ~RunningCommands();
    RunningCommands(const RunningCommands&) = delete;
    RunningCommands& operator=(const RunningCommands&) = delete;

    void wait();

  private:
    std::shared_ptr<SessionCore> session_;
    npuenc_module_submission* handle_ = nullptr;
};

// Everything made through it may outlive it.
class Session {
  public:
    // Throws Error with what session_open of the module says.
    Session(const npuenc_module& module, const std::string& bus_address)
        : core_(std::make_shared<SessionCore>(module, bus_address)) {}

    // NPUENC_OK, or E_CTX_LOST for ever after any call has failed so.
    npuenc_status status() const { return core_->lost() ? NPUENC_E_CTX_LOST : NPUENC_OK; }
    const std::shared_ptr<SessionCore>& core() const { return core_; }

  private:
    std::shared_ptr<SessionCore> core_;
};

} // namespace npuenc
