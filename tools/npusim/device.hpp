// SPDX-License-Identifier: MIT
// What an XDNA1 array consists of: tiles, memories, stream ports, locks, descriptors.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace npusim {

enum class TileKind : uint8_t { shim, memory, core };
enum class PortKind : uint8_t { core, dma, control, fifo, south, west, north, east, trace };
enum class Direction : uint8_t { s2mm, mm2s };

// Ports of one kind, in the numbering of the switch's registers.
struct PortRange {
    PortKind kind;
    uint8_t first;
    uint8_t count;
};

#include "tools/npusim/npu1_device.inc"

constexpr uint32_t max_masters = 23;
constexpr uint32_t max_slaves = 25;
constexpr uint32_t max_locks = memory_locks;
constexpr uint32_t max_descriptors = memory_descriptors;
constexpr uint32_t max_channels = 6; // per direction
constexpr uint32_t slots_per_slave = 4;
constexpr uint32_t banks = 4; // of a core's data memory
constexpr uint32_t bank_size = core_memory_size / banks;
constexpr uint32_t queue_depth = 4;
constexpr uint32_t memory_row = 1;
constexpr uint32_t first_core_row = 2;

// Offsets within a tile are those of aie-rt's xaiemlgbl_params.h (MIT).
struct TileFacts {
    TileKind kind;
    const char* name;
    uint32_t memory_size; // bytes, 0 for the shim
    uint32_t locks;
    uint32_t lock_base;    // 16 bytes a lock
    uint32_t lock_request; // 0x400 bytes a lock: reading there acquires or releases
    uint32_t descriptors;
    uint32_t descriptor_base; // 32 bytes a descriptor
    uint32_t descriptor_words;
    uint32_t channels;        // per direction
    uint32_t channel_base[2]; // by direction: control; the queue 4 bytes on; 8 bytes a channel
    uint32_t status_base[2];  // by direction; 4 bytes a channel
    uint32_t switch_base;     // masters; slaves 0x100 on, slots 0x200 on
    std::span<const PortRange> masters;
    std::span<const PortRange> slaves;
};

const TileFacts& facts_of(TileKind kind);
TileKind kind_of_row(uint32_t row);

struct Port {
    PortKind kind;
    uint32_t number;
};

uint32_t ports_in(std::span<const PortRange> ports);
Port port_at(std::span<const PortRange> ports, uint32_t index);
// -1 if there is no such port.
int port_index(std::span<const PortRange> ports, PortKind kind, uint32_t number);

// For messages: "North 3", "core tile (1,2)", "MM2S 0".
std::string to_string(Port port);
std::string tile_name(uint32_t column, uint32_t row);
std::string channel_name(Direction direction, uint32_t channel);
std::string hex(uint64_t value);

} // namespace npusim
