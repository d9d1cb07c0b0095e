// SPDX-License-Identifier: MIT
// Device buffers that outlive a call, so that calls that repeat make none.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "npu/session.hpp"

namespace npuenc {

class BufferPool {
  public:
    // The most that is kept between calls: it is pinned memory, which other programs lack.
    static constexpr size_t most_kept_bytes = size_t{512} << 20;
    static constexpr size_t most_kept_buffers = 64;

    explicit BufferPool(std::shared_ptr<SessionCore> session);

    // A buffer of at least so many bytes, which goes back to the pool at the end of the lease. What
    // it holds at first is undefined.
    class Lease {
      public:
        Lease(BufferPool& pool, size_t bytes) : pool_(pool), buffer_(pool.take(bytes)) {}
        ~Lease() { pool_.give_back(std::move(buffer_)); }
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;

        const DeviceBuffer& buffer() const { return buffer_; }

      private:
        BufferPool& pool_;
        DeviceBuffer buffer_;
    };

    // A new buffer that is not the pool's. What is idle is freed where memory is short.
    DeviceBuffer create(size_t bytes);

    // Eighths of powers of two, whole pages: so a buffer serves what is a little smaller too.
    static size_t size_class(size_t bytes);

  private:
    DeviceBuffer take(size_t bytes);
    void give_back(DeviceBuffer buffer) noexcept;

    const std::shared_ptr<SessionCore> session_;
    std::mutex mutex_;
    std::vector<DeviceBuffer> idle_; // the least recently used first
    size_t idle_bytes_ = 0;
};

} // namespace npuenc
