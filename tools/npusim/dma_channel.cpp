// SPDX-License-Identifier: MIT
#include "tools/npusim/dma_channel.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "tools/npusim/error.hpp"
#include "tools/npusim/stream_switch.hpp"

namespace npusim {
namespace {

constexpr uint32_t words_per_access = 4;
constexpr uint32_t neighbour_channels =
    4; // of a memory tile reach its neighbours' memory and locks

bool same_line(uint64_t a, uint64_t b) {
    return a / words_per_access == b / words_per_access;
}

} // namespace

DmaChannel::DmaChannel(DmaTile& tile, Direction direction, uint32_t index)
    : tile_(&tile), direction_(direction), index_(index) {
    // Two accesses in flight hide the wait for a bank; a shim hides the latency of the host's
    // memory.
    const uint32_t in_flight = tile.kind == TileKind::shim ? tile.ddr_latency + 64 : 0;
    outgoing_.resize(std::bit_ceil(2 * words_per_access + in_flight));
}

void DmaChannel::fail(const std::string& what) const {
    std::string at = channel_name(direction_, index_) + " of " + tile_->name;
    if (state_ != State::idle)
        at += ", descriptor " + std::to_string(descriptor_id_);
    throw SimulationError(at + ": " + what);
}

void DmaChannel::connect(StreamLink* stream, const char* why) {
    stream_ = stream;
    why_no_stream_ = why;
}

void DmaChannel::set_control(uint32_t value) {
    if (tile_->kind == TileKind::shim) {
        if (value & 6)
            fail("pausing a channel is not modelled");
    } else {
        in_reset_ = value >> 1 & 1;
        if (in_reset_)
            reset();
        if (value >> 4 & 1)
            fail("compression is not modelled");
    }
    if (direction_ == Direction::s2mm) {
        if (value >> 3 & 1)
            fail("out-of-order transfers are not modelled");
        if (value >> 16 & 3)
            fail("transfers that finish on TLAST are not modelled");
    }
}

void DmaChannel::reset() {
    queued_ = 0;
    state_ = State::idle;
    wants_ = false;
    filled_ = sent_ = 0;
    open_.count = closed_.count = 0;
    order_ = {};
}

void DmaChannel::push(uint32_t value) {
    const uint32_t id_mask = tile_->kind == TileKind::memory ? 0x3F : 0xF;
    if (value & ~(0x80FF0000 | id_mask))
        fail("a push of " + hex(value) + " has bits that are not known");
    if (in_reset_)
        fail("a push of " + hex(value) + " while the channel is in reset");
    queue_[queued_++] = {.descriptor = value & id_mask,
                         .repeats = (value >> 16 & 0xFF) + 1,
                         .token = (value >> 31) != 0};
}

// Fields as in aie-rt's DMA_S2MM_STATUS_0; of the errors none, the simulator stops at them.
uint32_t DmaChannel::status() const {
    uint32_t value = descriptor_id_ << 24 | queued_ << 20;
    if (state_ == State::idle && sent_ == filled_)
        return value;
    value |= 1u << 19 | 2; // running
    if (state_ == State::acquire)
        value |= 1u << 2;
    else if (state_ == State::transfer && !wants_)
        value |= 1u << 4;
    return value;
}

uint32_t DmaChannel::wanted_address() const {
    const uint64_t word = direction_ == Direction::mm2s ? order_.address() : closed_.addresses[0];
    return static_cast<uint32_t>(word * 4);
}

Locks& DmaChannel::lock_at(uint32_t id, uint32_t& lock) const {
    size_t at = DmaTile::own;
    lock = id;
    if (tile_->kind == TileKind::memory) {
        at = id / memory_locks;
        lock = id % memory_locks;
        if (at > DmaTile::east)
            fail("lock " + std::to_string(id) + " does not exist");
        if (at != DmaTile::own && index_ >= neighbour_channels)
            fail("channels 4 and 5 of a memory tile do not reach their neighbours' locks");
    }
    if (tile_->locks[at] == nullptr)
        fail("lock " + std::to_string(id) + " is of a tile outside of the array");
    return *tile_->locks[at];
}

uint8_t* DmaChannel::word_at(uint64_t address) const {
    const uint64_t byte = address * 4;
    uint8_t* found = nullptr;
    if (tile_->kind == TileKind::shim) {
        if (*tile_->host != nullptr)
            found = (*tile_->host)->word(byte);
        if (found == nullptr)
            fail("the transfer is outside of the buffers, at " + hex(byte));
        return found;
    }
    size_t at = DmaTile::own;
    uint64_t offset = byte;
    if (tile_->kind == TileKind::memory) {
        at = byte / memory_tile_size;
        offset = byte % memory_tile_size;
        if (at <= DmaTile::east && at != DmaTile::own && index_ >= neighbour_channels)
            fail("channels 4 and 5 of a memory tile do not reach their neighbours' memory");
    } else if (byte >= core_memory_size) {
        at = tile_->memory.size();
    }
    if (at >= tile_->memory.size() || tile_->memory[at] == nullptr)
        fail("the transfer is outside of memory, at " + hex(byte));
    return tile_->memory[at] + offset;
}

void DmaChannel::start_task() {
    task_ = queue_[0];
    std::move(queue_.begin() + 1, queue_.begin() + queued_, queue_.begin());
    --queued_;
    start_descriptor(task_.descriptor);
    wait_ += tile_->clock->random(32);
}

void DmaChannel::start_descriptor(uint32_t descriptor) {
    descriptor_id_ = descriptor;
    state_ = State::fetch;
    wait_ = descriptor_switch + tile_->clock->random(4);
}

void DmaChannel::fetch() {
    const TileFacts& facts = facts_of(tile_->kind);
    if (descriptor_id_ >= facts.descriptors)
        fail("there are " + std::to_string(facts.descriptors) + " descriptors");
    constexpr uint32_t per_parity = max_descriptors / 2;
    if (tile_->kind == TileKind::memory && descriptor_id_ / per_parity != index_ % 2)
        fail(index_ % 2 == 0 ? "even channels of a memory tile use descriptors 0 to 23"
                             : "odd channels of a memory tile use descriptors 24 to 47");
    descriptor_ = decode_descriptor(tile_->kind, (*tile_->descriptors)[descriptor_id_]);
    if (!descriptor_.valid)
        fail("it is not valid");
    if (descriptor_.compression)
        fail("compression is not modelled");
    if (descriptor_.length == 0)
        fail("a length of 0 is not modelled");
    if (descriptor_.iteration >= descriptor_.iterations)
        fail("iteration " + std::to_string(descriptor_.iteration) + " of " +
             std::to_string(descriptor_.iterations));
    if (direction_ == Direction::s2mm)
        for (const BufferDescriptor::Dimension& dimension : descriptor_.dimensions)
            if (dimension.zeros_before != 0 || dimension.zeros_after != 0)
                fail("zero padding of what is received is not modelled");
    state_ = State::acquire;
}

void DmaChannel::acquire() {
    if (descriptor_.acquire.enabled) {
        uint32_t lock = 0;
        Locks& locks = lock_at(descriptor_.acquire.id, lock);
        if (tile_->clock->chance(4) || !locks.acquire(lock, descriptor_.acquire.value)) {
            ++counters_.lock;
            return;
        }
    }
    ++tile_->clock->progress;
    state_ = State::transfer;
    order_ = WordOrder(descriptor_);
    if (direction_ == Direction::mm2s && descriptor_.packet)
        queue_word(packet_header(descriptor_.packet_id, descriptor_.packet_type, tile_->row,
                                 tile_->column),
                   tile_->clock->now + 1);
}

void DmaChannel::send_token() {
    tile_->tokens->push_back({tile_->column, tile_->row, direction_, index_});
}

void DmaChannel::finish_descriptor(bool token_sent) {
    if (descriptor_.release.enabled) {
        uint32_t lock = 0;
        lock_at(descriptor_.release.id, lock).release(lock, descriptor_.release.value);
    }
    set_iteration(tile_->kind, (*tile_->descriptors)[descriptor_id_],
                  (descriptor_.iteration + 1) % descriptor_.iterations);
    ++counters_.descriptors;
    ++tile_->clock->progress;
    if (descriptor_.chained) {
        start_descriptor(descriptor_.next);
    } else if (--task_.repeats != 0) {
        start_descriptor(task_.descriptor);
    } else {
        ++counters_.tasks;
        state_ = State::idle;
        if (task_.token && !token_sent)
            send_token();
    }
}

void DmaChannel::queue_word(uint32_t data, uint64_t ready) {
    Outgoing& next = outgoing_[filled_ % outgoing_.size()];
    if (filled_ != sent_) // words stay in order whatever the memory's latency
        ready = std::max(ready, outgoing_[(filled_ - 1) % outgoing_.size()].ready);
    next = {.ready = ready, .word = {.data = data}};
    ++filled_;
}

// From memory: one access of up to 4 words, or as many zeros.
void DmaChannel::read(bool granted) {
    if (order_.left() == 0 || outgoing_.size() - (filled_ - sent_) < words_per_access)
        return;
    Clock& clock = *tile_->clock;
    if (!order_.is_zero() && !granted) {
        if (filled_ == sent_)
            ++counters_.memory;
        return;
    }
    uint64_t ready = clock.now + 1;
    if (tile_->kind == TileKind::shim)
        ready = clock.now + tile_->ddr_latency + clock.random(tile_->ddr_latency / 2 + 1);
    const bool zeros = order_.is_zero();
    const uint64_t line = order_.address();
    for (uint32_t i = 0; i < words_per_access && order_.left() != 0; ++i) {
        if (order_.is_zero() != zeros || (!zeros && !same_line(order_.address(), line)))
            break;
        uint32_t data = 0;
        if (!zeros)
            std::memcpy(&data, word_at(order_.address()), sizeof data);
        order_.advance();
        queue_word(data, ready);
    }
    if (order_.left() == 0) {
        Outgoing& last = outgoing_[(filled_ - 1) % outgoing_.size()];
        last.word.last = !descriptor_.suppress_tlast;
        last.ends_task = reads_ahead() && task_.token && !descriptor_.chained && task_.repeats == 1;
    }
    ++clock.progress;
}

void DmaChannel::send() {
    if (filled_ == sent_)
        return;
    Clock& clock = *tile_->clock;
    const Outgoing& next = outgoing_[sent_ % outgoing_.size()];
    if (next.ready > clock.now) {
        ++counters_.memory;
        return;
    }
    if (stream_ == nullptr)
        fail(std::string("its data goes nowhere: ") + why_no_stream_);
    if (!stream_->can_push(clock.now)) {
        ++counters_.stream;
        return;
    }
    stream_->push(clock.now, next.word);
    if (next.ends_task)
        send_token();
    ++sent_;
    ++counters_.words;
    counters_.last_word = clock.now;
    ++clock.progress;
}

bool DmaChannel::line_complete() const {
    return open_.count != 0 && (open_.count == words_per_access || order_.left() == 0 ||
                                !same_line(order_.address(), open_.addresses[0]));
}

void DmaChannel::write(bool granted) {
    if (closed_.count != 0) {
        if (!granted) {
            ++counters_.memory;
        } else {
            for (uint32_t i = 0; i < closed_.count; ++i)
                std::memcpy(word_at(closed_.addresses[i]), &closed_.data[i], sizeof(uint32_t));
            counters_.last_word = written_ = tile_->clock->now;
            closed_.count = 0;
            ++tile_->clock->progress;
        }
    }
    if (closed_.count == 0 && line_complete()) {
        closed_ = open_;
        open_.count = 0;
    }
}

void DmaChannel::receive() {
    Clock& clock = *tile_->clock;
    if (order_.left() == 0 || line_complete())
        return;
    if (stream_ == nullptr || !stream_->can_pop(clock.now)) {
        ++counters_.stream;
        return;
    }
    open_.addresses[open_.count] = order_.address();
    open_.data[open_.count] = stream_->front().data;
    ++open_.count;
    order_.advance();
    stream_->pop(clock.now);
    ++counters_.words;
    ++clock.progress;
    if (closed_.count == 0 && line_complete()) {
        closed_ = open_;
        open_.count = 0;
    }
}

void DmaChannel::transfer(bool granted) {
    if (direction_ == Direction::mm2s) {
        read(granted);
        // A shim goes on to the next descriptor while words are still on their way.
        if (order_.left() == 0 && (filled_ == sent_ || reads_ahead()))
            finish_descriptor(reads_ahead());
        return;
    }
    write(granted);
    receive();
    if (order_.left() != 0 || open_.count != 0 || closed_.count != 0)
        return;
    const bool tells =
        descriptor_.release.enabled || (task_.token && !descriptor_.chained && task_.repeats == 1);
    if (tile_->kind == TileKind::shim && tells &&
        tile_->clock->now < written_ + tile_->ddr_latency) {
        ++counters_.memory;
        return;
    }
    finish_descriptor(false);
}

void DmaChannel::cycle(bool granted) {
    if (direction_ == Direction::mm2s)
        send();
    switch (state_) {
    case State::idle:
        if (queued_ != 0)
            start_task();
        break;
    case State::fetch:
        if (wait_ != 0 && --wait_ != 0)
            break;
        fetch();
        [[fallthrough]];
    case State::acquire:
        acquire();
        break;
    case State::transfer:
        transfer(granted);
        break;
    }
    update_wants();
}

void DmaChannel::update_wants() {
    if (state_ != State::transfer)
        wants_ = false;
    else if (direction_ == Direction::mm2s)
        wants_ = order_.left() != 0 && !order_.is_zero() &&
                 outgoing_.size() - (filled_ - sent_) >= words_per_access;
    else
        wants_ = closed_.count != 0;
}

std::string DmaChannel::describe() const {
    std::string line = channel_name(direction_, index_) + " of " + tile_->name + ", descriptor " +
                       std::to_string(descriptor_id_) + ": ";
    if (state_ == State::acquire) {
        uint32_t lock = 0;
        const Locks& locks = lock_at(descriptor_.acquire.id, lock);
        const int32_t value = descriptor_.acquire.value;
        return line + "waits for " + locks.describe(lock) + " to be " +
               (value < 0 ? "at least " + std::to_string(-value) : std::to_string(value));
    }
    if (wants_)
        return line + "waits for memory";
    if (direction_ == Direction::s2mm)
        return line + "waits for data, " + std::to_string(order_.left()) + " words are missing";
    return line + "cannot send, " + std::to_string(filled_ - sent_ + order_.left()) +
           " words are left";
}

} // namespace npusim
