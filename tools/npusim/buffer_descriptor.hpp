// SPDX-License-Identifier: MIT
// What a DMA channel is told to move: a buffer descriptor and the order of its words.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "tools/npusim/device.hpp"

namespace npusim {

struct BufferDescriptor {
    // Words at distance `step`, `wrap` of them; wrap 0: as many as it takes. Memory tiles send
    // zeros before and after each dimension.
    struct Dimension {
        uint32_t wrap = 0;
        uint32_t step = 1;
        uint32_t zeros_before = 0;
        uint32_t zeros_after = 0;
    };
    struct Lock {
        bool enabled = false;
        uint32_t id = 0;
        int32_t value = 0;
    };

    bool valid = false;
    uint64_t address = 0; // in words
    uint32_t length = 0;  // words on the stream, zeros included
    std::array<Dimension, 4> dimensions{};
    uint32_t iterations = 1; // executions until the address is the first one again
    uint32_t iteration_step = 1;
    uint32_t iteration = 0; // that the next execution is
    Lock acquire;
    Lock release; // enabled: its value is not 0
    bool packet = false;
    uint32_t packet_type = 0;
    uint32_t packet_id = 0;
    bool suppress_tlast = false;
    bool compression = false;
    bool chained = false;
    uint32_t next = 0;
};

// `words` are the descriptor's registers: 6 in a core tile, else 8.
BufferDescriptor decode_descriptor(TileKind tile, std::span<const uint32_t> words);
// The same registers with another iteration.
void set_iteration(TileKind tile, std::span<uint32_t> words, uint32_t iteration);

// The words of one execution, in order.
class WordOrder {
  public:
    WordOrder() = default;
    explicit WordOrder(const BufferDescriptor& descriptor);

    uint32_t left() const { return left_; }
    bool is_zero() const { return zeros_ != 0; }  // the next word is padding
    uint64_t address() const { return address_; } // of the next word, in words
    void advance();

  private:
    struct Counter {
        uint32_t at = 0;     // from the first zero before
        uint32_t before = 0; // first word of data
        uint32_t after = 0;  // first zero after
        uint32_t end = 0;
        uint64_t step = 1;
    };

    bool pads(const Counter& counter) const {
        return counter.at < counter.before || counter.at >= counter.after;
    }

    std::array<Counter, 4> counters_{};
    uint64_t address_ = 0;
    uint32_t left_ = 0;
    uint32_t zeros_ = 0; // dimensions that are in their padding
};

} // namespace npusim
