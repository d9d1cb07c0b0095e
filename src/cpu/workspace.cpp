// SPDX-License-Identifier: MIT
// Scratch memory that outlives a call.
#include "cpu/workspace.hpp"

namespace npuenc {

namespace {

// The most of a slot that is kept between calls.
constexpr size_t most_kept = size_t{4} << 20;

} // namespace

void Scratch::reserve(const Sizes& sizes) {
    for (size_t slot = 0; slot < n_slots; ++slot)
        slots_[slot].reserve(sizes.bytes_[slot]);
}

void Scratch::trim() noexcept {
    for (AlignedBuffer& buffer : slots_)
        if (buffer.bytes() > most_kept)
            buffer = AlignedBuffer();
}

} // namespace npuenc
