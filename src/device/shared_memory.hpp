// SPDX-License-Identifier: MIT
// Memory that the threads of a call share. It outlives the call, so that calls that repeat allocate
// nothing.
#pragma once

#include <array>
#include <cstddef>
#include <mutex>

#include "aligned_buffer.hpp"

namespace npuenc {

// Each call in progress has its own.
class SharedMemory {
  public:
    class Lease {
      public:
        Lease(SharedMemory& owner, size_t bytes) : owner_(owner), buffer_(owner.take(bytes)) {}
        ~Lease() { owner_.give_back(std::move(buffer_)); }
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;

        template <class T>
        T* data() const {
            return static_cast<T*>(buffer_.data());
        }

      private:
        SharedMemory& owner_;
        AlignedBuffer buffer_;
    };

  private:
    AlignedBuffer take(size_t bytes);
    void give_back(AlignedBuffer buffer) noexcept;

    std::mutex mutex_;
    std::array<AlignedBuffer, 4> kept_;
};

} // namespace npuenc
