// SPDX-License-Identifier: MIT
// Scratch memory of threads that outlives a call, so that calls that repeat allocate nothing.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "aligned_buffer.hpp"

namespace npuenc {

// Scratch of one thread of the pool; used inside the bodies of regions only, where a thread number
// belongs to one body at a time. Nothing is allocated there: see Team.
class Scratch {
  public:
    enum Slot { a_rows, sums, row, row_scales, staging, narrow, queries, n_slots };

    // How much of each slot the bodies of a region use.
    class Sizes {
      public:
        // At least `count` elements.
        template <class T>
        void need(Slot slot, size_t count) {
            bytes_[slot] = std::max(bytes_[slot], size_product(count, sizeof(T)));
        }

      private:
        friend Scratch;
        std::array<size_t, n_slots> bytes_{};
    };

    // As much as the region needs of it; uninitialised.
    template <class T>
    T* get(Slot slot) const {
        return slots_[slot].as<T>();
    }

    void reserve(const Sizes& sizes);
    // Gives back what is too large to keep.
    void trim() noexcept;

  private:
    std::array<AlignedBuffer, n_slots> slots_;
};

} // namespace npuenc
