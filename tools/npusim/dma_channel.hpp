// SPDX-License-Identifier: MIT
// One DMA channel: a queue of tasks, and the descriptor that it works on.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tools/npusim/buffer_descriptor.hpp"
#include "tools/npusim/clock.hpp"
#include "tools/npusim/device.hpp"
#include "tools/npusim/host_buffers.hpp"
#include "tools/npusim/lock.hpp"
#include "tools/npusim/stream_link.hpp"

namespace npusim {

// A task that ended and was asked to say so.
struct Token {
    uint32_t column = 0;
    uint32_t row = 0;
    Direction direction = Direction::s2mm;
    uint32_t channel = 0;

    bool operator==(const Token&) const = default;
};

// What the channels of a tile share.
struct DmaTile {
    // A memory tile reaches its neighbours: west, own, east. Elsewhere only `own` is there.
    static constexpr size_t west = 0, own = 1, east = 2;

    TileKind kind;
    uint32_t column;
    uint32_t row;
    std::string name;
    Clock* clock;
    std::array<uint8_t*, 3> memory{}; // null: no such neighbour; all of them in a shim
    std::array<Locks*, 3> locks{};
    std::array<std::array<uint32_t, 8>, max_descriptors>* descriptors;
    HostBuffers** host; // of a shim
    std::vector<Token>* tokens;
    uint32_t ddr_latency;
};

class DmaChannel {
  public:
    // Cycles from one descriptor to the next (assumed).
    static constexpr uint32_t descriptor_switch = 4;

    struct Counters {
        uint64_t words = 0;
        uint64_t descriptors = 0;
        uint64_t tasks = 0;
        uint64_t lock = 0;      // cycles that waited for a lock
        uint64_t stream = 0;    // for the stream
        uint64_t memory = 0;    // for a bank or for the host's memory
        uint64_t last_word = 0; // cycle in which one was last moved
    };

    DmaChannel(DmaTile& tile, Direction direction, uint32_t index);

    Direction direction() const { return direction_; }
    uint32_t index() const { return index_; }
    const DmaTile& tile() const { return *tile_; }
    const Counters& counters() const { return counters_; }

    // `why`: where a stream that is null should have come from.
    void connect(StreamLink* stream, const char* why);

    // Registers.
    void set_control(uint32_t value);
    bool queue_full() const { return queued_ == queue_depth; }
    void push(uint32_t value); // not when full
    uint32_t status() const;
    void reset();

    bool busy() const { return state_ != State::idle || queued_ != 0 || sent_ != filled_; }
    // An access to the tile's memory is due; where, in bytes.
    bool wants_memory() const { return wants_; }
    uint32_t wanted_address() const;

    // `granted`: the access takes place in this cycle.
    void cycle(bool granted);

    // What the channel waits for, for the report of a deadlock.
    std::string describe() const;

  private:
    enum class State : uint8_t { idle, fetch, acquire, transfer };

    struct Task {
        uint32_t descriptor = 0;
        uint32_t repeats = 0;
        bool token = false;
    };
    // On its way from memory to the stream.
    struct Outgoing {
        uint64_t ready = 0;
        StreamWord word;
        bool ends_task = false; // and sends a token
    };
    // Words of one access on their way to memory.
    struct Line {
        uint32_t count = 0;
        std::array<uint64_t, 4> addresses{}; // in words
        std::array<uint32_t, 4> data{};
    };

    [[noreturn]] void fail(const std::string& what) const;
    Locks& lock_at(uint32_t id, uint32_t& lock) const;
    uint8_t* word_at(uint64_t address) const;

    void start_task();
    void start_descriptor(uint32_t descriptor);
    void fetch();
    void acquire();
    void transfer(bool granted);
    void finish_descriptor(bool token_sent);
    void send_token();

    void read(bool granted);
    void send();
    void queue_word(uint32_t data, uint64_t ready);
    bool reads_ahead() const {
        return tile_->kind == TileKind::shim && !descriptor_.release.enabled;
    }

    void write(bool granted);
    void receive();
    bool line_complete() const;

    void update_wants();

    DmaTile* tile_;
    Direction direction_;
    uint32_t index_;
    StreamLink* stream_ = nullptr;
    const char* why_no_stream_ = "it is not connected";
    bool in_reset_ = false;

    std::array<Task, queue_depth> queue_{};
    uint32_t queued_ = 0;

    State state_ = State::idle;
    bool wants_ = false;
    Task task_;
    uint32_t descriptor_id_ = 0;
    BufferDescriptor descriptor_;
    uint32_t wait_ = 0;
    WordOrder order_;

    std::vector<Outgoing> outgoing_; // ring; its size is a power of two
    uint64_t filled_ = 0, sent_ = 0; // counts of words
    Line open_, closed_;
    uint64_t written_ = 0; // cycle of the last write to the host's memory

    Counters counters_;
};

} // namespace npusim
