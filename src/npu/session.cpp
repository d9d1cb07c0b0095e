// SPDX-License-Identifier: MIT
#include "npu/session.hpp"

#include <algorithm>

#include "error.hpp"

namespace npuenc {

SessionCore::SessionCore(const npuenc_module& module, const std::string& bus_address)
    : module_(module) {
    call(module_.session_open, bus_address.c_str(), &handle_);
}

SessionCore::~SessionCore() {
    module_.session_close(handle_);
}

void SessionCore::check() const {
    if (lost())
        fail(NPUENC_E_CTX_LOST, "the device has gone: open a new context");
}

// A status that the interface does not know is the device's.
void SessionCore::fail_with(int32_t status, npuenc_module_failure& failure) {
    if (status == NPUENC_E_CTX_LOST)
        lost_.store(true, std::memory_order_relaxed);
    failure.detail[sizeof failure.detail - 1] = '\0';
    const bool known = status < 0 && status >= NPUENC_E_CTX_LOST;
    fail(known ? static_cast<npuenc_status>(status) : NPUENC_E_DEVICE, "%s", failure.detail);
}

DeviceBuffer::DeviceBuffer(std::shared_ptr<SessionCore> session, size_t bytes)
    : session_(std::move(session)), bytes_(bytes) {
    session_->call(session_->module().buffer_create, session_->handle(), bytes, &handle_, &memory_);
}

DeviceBuffer::~DeviceBuffer() {
    if (handle_)
        session_->module().buffer_free(handle_);
}

void DeviceBuffer::sync(npuenc_module_direction direction, size_t offset, size_t bytes,
                        Parallel& threads) const {
    const npuenc_module_threads of_module{
        &threads, [](void* context, size_t n, void (*body)(void*, size_t), void* of_body) {
            static_cast<Parallel*>(context)->for_each(
                n, [&](size_t i, unsigned) { body(of_body, i); });
        }};
    session_->call(session_->module().buffer_sync, handle_, direction, offset, bytes, &of_module);
}

void DeviceBuffer::swap(DeviceBuffer& other) noexcept {
    std::swap(session_, other.session_);
    std::swap(handle_, other.handle_);
    std::swap(memory_, other.memory_);
    std::swap(bytes_, other.bytes_);
}

Program::Program(const LoadedOverlay& overlay, std::span<const uint32_t> words)
    : session_(overlay.session()) {
    session_->call(session_->module().program_create, overlay.handle(), words.data(), words.size(),
                   &handle_);
}

Program::~Program() {
    session_->module().program_free(handle_);
}

LoadedOverlay::LoadedOverlay(std::shared_ptr<SessionCore> session, std::span<const uint8_t> xclbin)
    : session_(std::move(session)) {
    session_->call(session_->module().overlay_create, session_->handle(),
                   static_cast<const void*>(xclbin.data()), xclbin.size(), &handle_);
}

LoadedOverlay::~LoadedOverlay() {
    session_->module().overlay_free(handle_);
}

RunningCommands::RunningCommands(std::shared_ptr<SessionCore> session,
                                 std::span<const npuenc_module_command> commands)
    : session_(std::move(session)) {
    session_->call(session_->module().submit, session_->handle(), commands.data(), commands.size(),
                   &handle_);
}

RunningCommands::~RunningCommands() {
    if (!handle_)
        return;
    npuenc_module_failure failure;
    session_->module().wait(handle_, &failure);
}

void RunningCommands::wait() {
    session_->finish(session_->module().wait, std::exchange(handle_, nullptr));
}

} // namespace npuenc
