// SPDX-License-Identifier: MIT
#include "device/shared_memory.hpp"

#include <algorithm>

namespace npuenc {
namespace {

// The largest buffer that is kept between calls.
constexpr size_t most_kept = size_t{64} << 20;

} // namespace

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
    if (buffer.bytes() > most_kept)
        return;
    const std::lock_guard lock(mutex_);
    AlignedBuffer& smallest = *std::min_element(
        kept_.begin(), kept_.end(),
        [](const AlignedBuffer& a, const AlignedBuffer& b) { return a.bytes() < b.bytes(); });
    if (smallest.bytes() < buffer.bytes())
        smallest = std::move(buffer);
}

} // namespace npuenc
