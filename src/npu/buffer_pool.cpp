// SPDX-License-Identifier: MIT
#include "npu/buffer_pool.hpp"

#include <algorithm>
#include <bit>

#include "aligned_buffer.hpp"
#include "error.hpp"

namespace npuenc {

BufferPool::BufferPool(std::shared_ptr<SessionCore> session) : session_(std::move(session)) {
    idle_.reserve(most_kept_buffers + 1); // giving back must not fail
}

size_t BufferPool::size_class(size_t bytes) {
    constexpr size_t page = npuenc_module_alignment;
    return round_up(bytes, std::max(page, std::bit_floor(bytes) / 8));
}

DeviceBuffer BufferPool::create(size_t bytes) {
    try {
        return DeviceBuffer(session_, bytes);
    } catch (const Error& error) {
        if (error.status() != NPUENC_E_NOMEM)
            throw;
    }
    {
        const std::lock_guard lock(mutex_);
        idle_.clear();
        idle_bytes_ = 0;
    }
    return DeviceBuffer(session_, bytes);
}

// The smallest that is large enough, but no more than twice as large.
DeviceBuffer BufferPool::take(size_t bytes) {
    const size_t wanted = size_class(bytes);
    {
        const std::lock_guard lock(mutex_);
        auto best = idle_.end();
        for (auto i = idle_.begin(); i != idle_.end(); ++i)
            if (i->bytes() >= wanted && i->bytes() / 2 <= wanted &&
                (best == idle_.end() || i->bytes() < best->bytes()))
                best = i;
        if (best != idle_.end()) {
            DeviceBuffer buffer = std::move(*best);
            idle_.erase(best);
            idle_bytes_ -= buffer.bytes();
            return buffer;
        }
    }
    return create(wanted);
}

void BufferPool::give_back(DeviceBuffer buffer) noexcept {
    if (!buffer.handle() || buffer.bytes() > most_kept_bytes)
        return;
    const std::lock_guard lock(mutex_);
    idle_bytes_ += buffer.bytes();
    idle_.push_back(std::move(buffer));
    while (idle_.size() > most_kept_buffers || idle_bytes_ > most_kept_bytes) {
        idle_bytes_ -= idle_.front().bytes();
        idle_.erase(idle_.begin());
    }
}

} // namespace npuenc
