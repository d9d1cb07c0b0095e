// SPDX-License-Identifier: MIT
// Scratch memory that outlives a call.
#include "cpu/workspace.hpp"

namespace npuenc {

namespace {

// The most that is kept between calls: of a thread's slot, and of a shared buffer.
constexpr size_t most_kept_slot = size_t{4} << 20;
constexpr size_t most_kept_shared = size_t{64} << 20;

} // namespace

void Scratch::reserve(const Sizes& sizes) {
    for (size_t slot = 0; slot < n_slots; ++slot)
        slots_[slot].reserve(sizes.bytes_[slot]);
}

void Scratch::trim() noexcept {
    for (AlignedBuffer& buffer : slots_)
        if (buffer.bytes() > most_kept_slot)
            buffer = AlignedBuffer();
}

AlignedBuffer SharedMemory::take(size_t bytes) {
    {
        const std::lock_guard lock(mutex_);
        // The smallest that is large enough.
        AlignedBuffer* best = nullptr;
        for (AlignedBuffer& buffer : kept_)
            if (buffer.bytes() >= bytes && (!best || buffer.bytes() < best->bytes()))
                best = &buffer;
        if (best)
            return std::move(*best);
    }
    return AlignedBuffer(bytes);
}

void SharedMemory::give_back(AlignedBuffer buffer) noexcept {
    if (buffer.bytes() > most_kept_shared)
        return;
    const std::lock_guard lock(mutex_);
    AlignedBuffer& smallest = *std::min_element(
        kept_.begin(), kept_.end(),
        [](const AlignedBuffer& a, const AlignedBuffer& b) { return a.bytes() < b.bytes(); });
    if (smallest.bytes() < buffer.bytes())
        smallest = std::move(buffer);
}

} // namespace npuenc
