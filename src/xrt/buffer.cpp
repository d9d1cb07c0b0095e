// SPDX-License-Identifier: MIT
#include "xrt/buffer.hpp"

#include <cstdint>

#include <xrt/experimental/xrt_ext.h>

#include "xrt/device.hpp"
#include "xrt/overlay.hpp"
#include "xrt/synchronisation.hpp"

namespace npuenc::module {
namespace {

constexpr size_t page = npuenc_module_alignment;

size_t whole_pages(size_t bytes) {
    if (bytes > SIZE_MAX - page)
        fail(NPUENC_E_NOMEM, "a buffer of %zu bytes", bytes);
    return bytes == 0 ? page : (bytes + page - 1) / page * page;
}

} // namespace

::xrt::bo host_memory(const ::xrt::device& device, size_t bytes) {
    return ::xrt::ext::bo(device, bytes);
}

Buffer::Buffer(std::shared_ptr<Device> device, size_t bytes)
    : device_(std::move(device)), size_(whole_pages(bytes)) {
    // The kernel gives zeros, and XRT flushes them (xdna-driver, src/shim/buffer.cpp,
    // buffer::expand). Written once more they would stay in the host's caches, and could go to
    // memory over what the device has written.
    device_->call("making a buffer", NPUENC_E_DEVICE, [&] {
        bo_ = host_memory(device_->xrt(), size_);
        memory_ = bo_.map<void*>();
    });
}

void Buffer::sync(npuenc_module_direction direction, size_t offset, size_t bytes,
                  const npuenc_module_threads* threads) {
    if (offset > size_ || bytes > size_ - offset)
        fail(NPUENC_E_INVALID, "bytes %zu to %zu of a buffer of %zu", offset, offset + bytes,
             size_);
    device_->require();
    if (bytes == 0)
        return;
    device_->call("synchronising a buffer", NPUENC_E_DEVICE,
                  [&] { synchronise(bo_, memory_, direction, offset, bytes, threads); });
}

::xrt::bo Buffer::part(size_t offset, size_t bytes) const {
    if (offset % page != 0 || bytes == 0 || offset > size_ || bytes > size_ - offset)
        fail(NPUENC_E_INVALID, "an argument of %zu bytes at byte %zu of a buffer of %zu", bytes,
             offset, size_);
    // A command is told where its argument begins, not where it ends.
    return offset == 0 ? bo_ : ::xrt::bo(bo_, bytes, offset);
}

} // namespace npuenc::module
