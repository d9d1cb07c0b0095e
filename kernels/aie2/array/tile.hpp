// SPDX-License-Identifier: MIT
// What the tiles of an npu1 array are: kinds, sizes, and the ports of their stream switches.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

namespace npuenc::aie2 {

// Row 0 of the array are the shims (the way to the host's memory), row 1 the memory tiles, rows 2
// to 5 the cores.
enum class TileKind : uint8_t { shim, memory, core };

constexpr int max_columns = 4;
constexpr int n_rows = 6;
constexpr int first_core_row = 2;

// Columns count from the first of the partition.
struct TileId {
    int column;
    int row;

    auto operator<=>(const TileId&) const = default;
};

TileKind kind_of(TileId tile);
// As messages and drawings call it: "shim 0", "memory tile 1", "core 2.3" (column 2, array row 3).
std::string name_of(TileId tile);

struct TileLimits {
    uint32_t memory_bytes;
    uint32_t program_bytes;
    int locks;
    int descriptors;
    int channels;       // of the DMA, in each direction
    int dimensions;     // of a descriptor, without its iteration
    uint32_t max_words; // of a transfer
    uint32_t max_step;
    uint32_t max_wrap;
};

constexpr int max_lock_value = 63;
constexpr int max_iterations = 64;
constexpr int max_repeats = 256;

const TileLimits& limits_of(TileKind kind);

// What a port of a stream switch leads to. A slave port brings words into the switch, a master port
// takes them out of it.
enum class PortKind : uint8_t { core, dma, control, fifo, south, west, north, east, trace };

struct Port {
    PortKind kind;
    int index;

    auto operator<=>(const Port&) const = default;
};

std::string name_of(Port port); // "North 2"

enum class PortSide : uint8_t { slave, master };

// How many ports of a kind a switch has.
int port_count(TileKind tile, PortSide side, PortKind kind);
// The port's place in the switch's registers and in the numbers that masters select slaves by.
// Throws ArrayError when there is no such port.
int port_number(TileKind tile, PortSide side, Port port);
// Whether the switch can connect the two (a memory tile's vertical ports only straight on).
bool can_connect(TileKind tile, Port slave, Port master);

// The tile on the other end of a port's wire, and the port there. Nothing at the edge of the
// partition, and for ports that lead into the tile.
struct Wire {
    TileId tile;
    Port port;
};
std::optional<Wire> across(TileId tile, Port port, int columns);

// Which way a DMA channel moves: into the tile's memory (S2MM) or out of it (MM2S).
enum class Direction : uint8_t { into_memory, out_of_memory };

std::string name_of(Direction direction, int channel); // "S2MM 0"

// Whether a channel may use a descriptor: in a memory tile even channels have the lower half and
// odd ones the upper.
bool may_use(TileKind tile, int channel, int descriptor);

} // namespace npuenc::aie2
