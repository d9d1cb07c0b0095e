// SPDX-License-Identifier: MIT
// One tile of the array: memory, locks, descriptors, DMA channels, stream switch, core.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "tools/npusim/clock.hpp"
#include "tools/npusim/core.hpp"
#include "tools/npusim/device.hpp"
#include "tools/npusim/dma_channel.hpp"
#include "tools/npusim/lock.hpp"
#include "tools/npusim/stream_switch.hpp"

namespace npusim {

// Cascade values between two cores; like a StreamLink, what is pushed is seen a cycle later.
struct CascadeLink {
    static constexpr size_t capacity = 4;

    struct Entry {
        uint64_t ready;
        std::array<uint8_t, 64> value;
    };
    std::deque<Entry> entries;
};

struct Tile {
    // The core's views of memory and locks, in the order of its addresses.
    static constexpr size_t south = 0, west = 1, north = 2, own = 3;
    // Who may ask for a bank of a core's memory: the tile's channels, then cores.
    static constexpr uint32_t core_requester =
        4; // + 0 the own core, 1 north, 2 east, 3 south of it

    Tile(uint32_t column, uint32_t row, Clock& clock, uint32_t ddr_latency, HostBuffers** host,
         std::vector<Token>* tokens);

    uint32_t channel_slot(Direction direction, uint32_t index) const {
        return static_cast<uint32_t>(direction) * facts.channels + index;
    }
    DmaChannel& channel(Direction direction, uint32_t index) {
        return channels[channel_slot(direction, index)];
    }
    // Back to the state before any configuration; memory keeps what is in it.
    void reset();

    const TileFacts& facts;
    uint32_t column, row;
    std::string name;
    std::vector<uint8_t> memory;
    Locks locks;
    std::array<std::array<uint32_t, 8>, max_descriptors> descriptors{};
    StreamSwitch stream_switch;
    DmaTile dma;
    std::vector<DmaChannel> channels; // S2MM, then MM2S
    uint32_t active_channels = 0;     // bit mask
    std::array<uint32_t, 2 * max_channels> channel_control{};

    // Streams that end in this tile.
    std::vector<std::unique_ptr<StreamLink>> into_dma, from_dma; // by channel
    std::unique_ptr<StreamLink> into_core, from_core;

    // Shim
    uint32_t mux = 0, demux = 0;

    // Core tile
    std::unique_ptr<CoreBus> bus;
    std::unique_ptr<Core> core;
    uint32_t core_control = 0;
    uint32_t cascade = 0;
    uint64_t starts_at = 0; // cycle
    std::array<Tile*, 4> views{};
    CascadeLink cascade_north, cascade_west; // into this core
    Tile* east = nullptr;
    uint32_t waited_lock = 0; // by the core, when it last blocked
    int32_t waited_value = 0;
    CoreCycle last_cycle = CoreCycle::stopped;

    // Banks of the memory: requesters (bit mask), who got it this cycle and last.
    struct Bank {
        uint8_t requests = 0;
        uint8_t winner = 0; // bit mask
        uint8_t last = 0;
    };
    std::array<Bank, banks> bank{};
    uint32_t granted_accesses = 0; // of those that the core makes next

    // Of the present run
    uint64_t vmacs_seen = 0, first_vmac = 0, last_vmac = 0;
};

} // namespace npusim
