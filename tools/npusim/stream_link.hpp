// SPDX-License-Identifier: MIT
// The words between two ports of the stream network: a first-in first-out of known latency.
#pragma once

#include <array>
#include <cstdint>

namespace npusim {

struct StreamWord {
    uint32_t data = 0;
    bool last = false;
};

// One agent pushes and one pops, each at most once a cycle. What either does in a cycle is seen by
// the other in the next one, so the order in which they are served does not matter.
class StreamLink {
  public:
    // Master side of one switch and slave side of the next: 2 words each.
    static constexpr uint32_t hop_capacity = 4;
    static constexpr uint32_t hop_latency = 2;
    // The FIFO port of a switch.
    static constexpr uint32_t max_capacity = 16;

    // `capacity` is a power of two.
    explicit StreamLink(uint32_t capacity = hop_capacity, uint32_t latency = hop_latency)
        : mask_(capacity - 1), latency_(latency) {}
    StreamLink(const StreamLink&) = delete;
    StreamLink& operator=(const StreamLink&) = delete;

    // Keeps `bit` of `*filled` set while there are words, so that a consumer of many links need not
    // look at empty ones.
    void report_to(uint32_t* filled, uint32_t bit) {
        filled_ = filled;
        bit_ = bit;
    }

    bool empty() const { return count_ == 0; }
    bool can_push(uint64_t now) const { return count_ + (popped_ == now) <= mask_; }
    bool can_pop(uint64_t now) const { return count_ != 0 && entries_[head_].ready <= now; }
    const StreamWord& front() const { return entries_[head_].word; }

    void push(uint64_t now, StreamWord word) {
        entries_[(head_ + count_++) & mask_] = {now + latency_, word};
        *filled_ |= bit_;
    }
    void pop(uint64_t now) {
        head_ = (head_ + 1) & mask_;
        popped_ = now;
        if (--count_ == 0)
            *filled_ &= ~bit_;
    }
    void clear() {
        head_ = count_ = 0;
        *filled_ &= ~bit_;
    }

  private:
    struct Entry {
        uint64_t ready = 0;
        StreamWord word;
    };

    uint32_t mask_;
    uint32_t latency_;
    uint32_t head_ = 0;
    uint32_t count_ = 0;
    uint64_t popped_ = 0;
    uint32_t unwatched_ = 0;
    uint32_t* filled_ = &unwatched_;
    uint32_t bit_ = 0;
    std::array<Entry, max_capacity> entries_{};
};

} // namespace npusim
