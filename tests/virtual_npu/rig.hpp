// SPDX-License-Identifier: MIT
// Configurations and instruction streams for the simulated array, made word by word from the facts
// (registers: aie-rt's xaiemlgbl_params.h) and not from the simulator's own tables.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/aie2/container/cdo.hpp"
#include "tools/npusim/array.hpp"

// Last, for it makes a macro of a name as common as fail.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
extern "C" {
#include <cmocka.h>
}

namespace rig {

using npuenc::aie2::CdoCommand;
using npusim::Direction;

constexpr Direction s2mm = Direction::s2mm, mm2s = Direction::mm2s;

// Ports in the numbering of each switch's registers.
namespace shim {
constexpr uint32_t from_mm2s0 = 5, from_mm2s1 = 9; // slaves South 3, South 7
constexpr uint32_t to_s2mm0 = 4, to_s2mm1 = 5;     // masters South 2, South 3
constexpr uint32_t to_north = 12;                  // masters
constexpr uint32_t from_north = 14;                // slaves
} // namespace shim
namespace memory {
constexpr uint32_t dma = 0;
constexpr uint32_t south_master = 7, south_slave = 7;
constexpr uint32_t north_master = 11, north_slave = 13;
} // namespace memory
namespace core {
constexpr uint32_t core = 0;
constexpr uint32_t dma = 1;
constexpr uint32_t south_master = 5, south_slave = 5;
constexpr uint32_t west_master = 9, west_slave = 11;
constexpr uint32_t north_master = 13, north_slave = 15;
constexpr uint32_t east_master = 19, east_slave = 19;
} // namespace core

inline uint32_t address(uint32_t column, uint32_t row, uint32_t offset) {
    return column << 25 | row << 20 | offset;
}

struct Dimension {
    uint32_t wrap = 0;
    uint32_t step = 1;
    uint32_t before = 0, after = 0; // zeros
};

struct Descriptor {
    uint64_t address = 0; // bytes
    uint32_t words = 0;
    std::vector<Dimension> dimensions{};
    uint32_t iterations = 1, iteration_step = 1;
    int acquire_id = -1, acquire = 0; // id -1: none
    int release_id = 0, release = 0;  // 0: none
    int next = -1;
    int packet = -1, packet_type = 0;
    bool valid = true;
    bool suppress_tlast = false;
};

enum class Kind { shim, memory, core };

inline Kind kind_of(uint32_t row) {
    return row == 0 ? Kind::shim : row == 1 ? Kind::memory : Kind::core;
}

inline std::vector<uint32_t> encode(Kind kind, const Descriptor& bd) {
    std::array<Dimension, 4> d{};
    for (size_t i = 0; i < bd.dimensions.size(); ++i)
        d[i] = bd.dimensions[i];
    const uint32_t acquires = bd.acquire_id >= 0;
    const auto acquire_id = static_cast<uint32_t>(acquires ? bd.acquire_id : 0);
    const uint32_t acquire = static_cast<uint32_t>(bd.acquire) & 0x7F;
    const auto release_id = static_cast<uint32_t>(bd.release_id);
    const uint32_t release = static_cast<uint32_t>(bd.release) & 0x7F;
    const uint32_t chained = bd.next >= 0;
    const auto next = static_cast<uint32_t>(chained ? bd.next : 0);
    const uint32_t packet = bd.packet < 0 ? 0
                                          : 1u << 30 | static_cast<uint32_t>(bd.packet) << 19 |
                                                static_cast<uint32_t>(bd.packet_type) << 16;
    const uint32_t control = uint32_t{bd.suppress_tlast} << 31 | next << 27 | chained << 26 |
                             uint32_t{bd.valid} << 25 | release << 18 | release_id << 13 |
                             acquires << 12 | acquire << 5 | acquire_id;
    switch (kind) {
    case Kind::shim:
        return {bd.words,
                static_cast<uint32_t>(bd.address),
                static_cast<uint32_t>(bd.address >> 32) | packet,
                d[0].wrap << 20 | (d[0].step - 1),
                2u << 30 | d[1].wrap << 20 | (d[1].step - 1),
                2u << 24 | (d[2].step - 1),
                (bd.iterations - 1) << 20 | (bd.iteration_step - 1),
                control};
    case Kind::memory:
        return {
            (packet >> 30) << 31 | (packet >> 16 & 7) << 28 | (packet >> 19 & 31) << 23 | bd.words,
            d[0].before << 26 | next << 20 | chained << 19 | static_cast<uint32_t>(bd.address / 4),
            uint32_t{bd.suppress_tlast} << 31 | d[0].wrap << 17 | (d[0].step - 1),
            d[1].before << 27 | d[1].wrap << 17 | (d[1].step - 1),
            d[2].before << 27 | d[2].wrap << 17 | (d[2].step - 1),
            d[2].after << 28 | d[1].after << 23 | d[0].after << 17 | (d[3].step - 1),
            (bd.iterations - 1) << 17 | (bd.iteration_step - 1),
            uint32_t{bd.valid} << 31 | release << 24 | release_id << 16 | acquires << 15 |
                acquire << 8 | acquire_id};
    case Kind::core:
        break;
    }
    return {bd.words | static_cast<uint32_t>(bd.address / 4) << 14,
            packet,
            (d[1].step - 1) << 13 | (d[0].step - 1),
            d[1].wrap << 21 | d[0].wrap << 13 | (d[2].step - 1),
            (bd.iterations - 1) << 13 | (bd.iteration_step - 1),
            control};
}

inline uint32_t descriptor_offset(Kind kind, uint32_t id) {
    return (kind == Kind::memory ? 0xA0000 : 0x1D000) + 0x20 * id;
}

inline uint32_t control_offset(Kind kind, Direction direction, uint32_t channel) {
    const bool out = direction == mm2s;
    const uint32_t base = kind == Kind::shim     ? (out ? 0x1D210 : 0x1D200)
                          : kind == Kind::memory ? (out ? 0xA0630 : 0xA0600)
                                                 : (out ? 0x1DE10 : 0x1DE00);
    return base + 8 * channel;
}

inline uint32_t queue_offset(Kind kind, Direction direction, uint32_t channel) {
    return control_offset(kind, direction, channel) + 4;
}

inline uint32_t queue_word(uint32_t descriptor, uint32_t repeats = 1, bool token = false) {
    return descriptor | (repeats - 1) << 16 | uint32_t{token} << 31;
}

// What a CDO would write.
class Configuration {
  public:
    void write(uint32_t column, uint32_t row, uint32_t offset, uint32_t value) {
        commands.push_back(CdoCommand::write(address(column, row, offset), value));
    }
    void lock(uint32_t column, uint32_t row, uint32_t id, uint32_t value) {
        const Kind kind = kind_of(row);
        const uint32_t base = kind == Kind::shim     ? 0x14000
                              : kind == Kind::memory ? 0xC0000
                                                     : 0x1F000;
        write(column, row, base + 16 * id, value);
    }
    void descriptor(uint32_t column, uint32_t row, uint32_t id, const Descriptor& bd) {
        const Kind kind = kind_of(row);
        commands.push_back(CdoCommand::dma_write(address(column, row, descriptor_offset(kind, id)),
                                                 encode(kind, bd)));
    }
    void push(uint32_t column, uint32_t row, Direction direction, uint32_t channel,
              uint32_t descriptor, uint32_t repeats = 1) {
        write(column, row, queue_offset(kind_of(row), direction, channel),
              queue_word(descriptor, repeats));
    }
    void master(uint32_t column, uint32_t row, uint32_t port, uint32_t value) {
        write(column, row, switch_base(row) + 4 * port, value);
    }
    void slave(uint32_t column, uint32_t row, uint32_t port, uint32_t value) {
        write(column, row, switch_base(row) + 0x100 + 4 * port, value);
    }
    void circuit(uint32_t column, uint32_t row, uint32_t master_port, uint32_t slave_port) {
        master(column, row, master_port, 1u << 31 | slave_port);
        slave(column, row, slave_port, 1u << 31);
    }
    void packets_from(uint32_t column, uint32_t row, uint32_t slave_port) {
        slave(column, row, slave_port, 3u << 30);
    }
    void slot(uint32_t column, uint32_t row, uint32_t slave_port, uint32_t number, uint32_t id,
              uint32_t mask, uint32_t select, uint32_t arbiter) {
        write(column, row, switch_base(row) + 0x200 + 16 * slave_port + 4 * number,
              id << 24 | mask << 16 | 1u << 8 | select << 4 | arbiter);
    }
    void packets_to(uint32_t column, uint32_t row, uint32_t master_port, uint32_t selects,
                    uint32_t arbiter, bool drop_header) {
        master(column, row, master_port,
               3u << 30 | uint32_t{drop_header} << 7 | selects << 3 | arbiter);
    }
    // The shim's DMA channels are connected to its switch.
    void shim_dma(uint32_t column) {
        commands.push_back(CdoCommand::mask_write(address(column, 0, 0x1F000), 0xCC00, 0x4400));
        commands.push_back(CdoCommand::mask_write(address(column, 0, 0x1F004), 0xF0, 0x50));
    }
    // Host to memory tile and back: shim channels 0 (and 1) with memory tile channels 0 (and 1).
    void memory_loop(uint32_t column) {
        shim_dma(column);
        for (uint32_t i = 0; i < 2; ++i) {
            circuit(column, 0, shim::to_north + i, i == 0 ? shim::from_mm2s0 : shim::from_mm2s1);
            circuit(column, 0, i == 0 ? shim::to_s2mm0 : shim::to_s2mm1, shim::from_north + i);
            circuit(column, 1, memory::dma + i, memory::south_slave + i);
            circuit(column, 1, memory::south_master + i, memory::dma + i);
        }
    }
    // Host to core tile (column, 2) and back, through the memory tile's switch.
    void core_loop(uint32_t column) {
        shim_dma(column);
        for (uint32_t i = 0; i < 2; ++i) {
            circuit(column, 0, shim::to_north + i, i == 0 ? shim::from_mm2s0 : shim::from_mm2s1);
            circuit(column, 0, i == 0 ? shim::to_s2mm0 : shim::to_s2mm1, shim::from_north + i);
            circuit(column, 1, memory::north_master + i, memory::south_slave + i);
            circuit(column, 1, memory::south_master + i, memory::north_slave + i);
            circuit(column, 2, core::dma + i, core::south_slave + i);
            circuit(column, 2, core::south_master + i, core::dma + i);
        }
    }
    npusim::Overlay overlay(uint32_t columns = 1) const { return {columns, commands}; }

    std::vector<CdoCommand> commands;

  private:
    static uint32_t switch_base(uint32_t row) { return row == 1 ? 0xB0000 : 0x3F000; }
};

// An instruction stream in either encoding.
class Stream {
  public:
    explicit Stream(bool compact = false) : compact_(compact) {}

    Stream& write(uint32_t at, uint32_t value) {
        return compact_ ? add({0, at, value}) : add({0, 0, at, 0, value, 24});
    }
    Stream& mask_write(uint32_t at, uint32_t value, uint32_t mask) {
        return compact_ ? add({3, at, value, mask}) : add({3, 0, at, 0, value, mask, 28});
    }
    Stream& poll(uint32_t at, uint32_t value, uint32_t mask) {
        return compact_ ? add({4, at, value, mask}) : add({4, 0, at, 0, value, mask, 28});
    }
    Stream& block_write(uint32_t at, const std::vector<uint32_t>& words) {
        const auto count = static_cast<uint32_t>(words.size());
        add(compact_ ? std::vector<uint32_t>{1, at, 12 + 4 * count}
                     : std::vector<uint32_t>{1, 0, at, 16 + 4 * count});
        words_.insert(words_.end(), words.begin(), words.end());
        return *this;
    }
    Stream& patch(uint32_t at, uint32_t argument, uint64_t plus) {
        const auto low = static_cast<uint32_t>(plus), high = static_cast<uint32_t>(plus >> 32);
        return compact_ ? add({0x81, 24, at, argument, low, high})
                        : add({0x81, 48, 0, 0, 0, 0, at, 0, argument, 0, low, high});
    }
    Stream& sync(uint32_t column, uint32_t row, Direction direction, uint32_t channel,
                 uint32_t columns = 1) {
        return add({0x80, 16, static_cast<uint32_t>(direction) | row << 8 | column << 16,
                    1u << 8 | columns << 16 | channel << 24});
    }
    // A shim's descriptor, its address, and a push of it.
    Stream& transfer(uint32_t column, Direction direction, uint32_t channel, uint32_t id,
                     const Descriptor& bd, uint32_t argument, uint32_t repeats = 1,
                     bool token = false) {
        block_write(address(column, 0, descriptor_offset(Kind::shim, id)), encode(Kind::shim, bd));
        patch(address(column, 0, descriptor_offset(Kind::shim, id) + 4), argument, bd.address);
        return write(address(column, 0, queue_offset(Kind::shim, direction, channel)),
                     queue_word(id, repeats, token));
    }
    Stream& add(const std::vector<uint32_t>& words) {
        words_.insert(words_.end(), words.begin(), words.end());
        ++count_;
        return *this;
    }

    std::vector<uint8_t> bytes() const {
        std::vector<uint32_t> all = {compact_ ? 0x06030001u : 0x06030100u, 0x105, count_,
                                     static_cast<uint32_t>(16 + 4 * words_.size())};
        all.insert(all.end(), words_.begin(), words_.end());
        std::vector<uint8_t> result;
        for (const uint32_t word : all)
            for (int byte = 0; byte < 4; ++byte)
                result.push_back(static_cast<uint8_t>(word >> 8 * byte));
        return result;
    }
    npusim::InstructionStream parsed() const { return npusim::InstructionStream::parse(bytes()); }

  private:
    bool compact_;
    uint32_t count_ = 0;
    std::vector<uint32_t> words_;
};

// A buffer argument of 32-bit words.
class Words {
  public:
    explicit Words(size_t count, uint32_t first = 0, uint32_t step = 0) : words(count) {
        for (size_t i = 0; i < count; ++i)
            words[i] = first + static_cast<uint32_t>(i) * step;
    }
    std::span<uint8_t> bytes() {
        return {reinterpret_cast<uint8_t*>(words.data()), words.size() * 4};
    }
    std::vector<uint32_t> words;
};

// One run of `in` as argument 0 and `out` as argument 1.
inline npusim::RunReport run(npusim::Array& array, const Stream& stream, Words& in, Words& out) {
    npusim::HostBuffers buffers;
    buffers.bind(0, in.bytes());
    buffers.bind(1, out.bytes());
    return array.run(stream.parsed(), buffers);
}

inline void equal(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b) {
    assert_int_equal(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i)
        if (a[i] != b[i])
            fail_msg("word %zu is 0x%x, expected 0x%x", i, a[i], b[i]);
}

// `action` must stop with a message that contains all of `parts`.
template <class Action>
void stops(Action action, const std::vector<std::string>& parts) {
    std::string message;
    try {
        action();
    } catch (const npusim::SimulationError& error) {
        message = error.what();
    }
    if (message.empty())
        fail_msg("did not stop; expected '%s'", parts[0].c_str());
    for (const std::string& part : parts)
        if (message.find(part) == std::string::npos)
            fail_msg("'%s' does not say '%s'", message.c_str(), part.c_str());
}

} // namespace rig
