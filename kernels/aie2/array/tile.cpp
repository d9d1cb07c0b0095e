// SPDX-License-Identifier: MIT
// The numbers are those of the device models of mlir-aie (AIETargetModel.cpp, npu1) and aie-rt
// (xaiemlgbl_reginit.c, xaie_ss_aieml.c).
#include "kernels/aie2/array/tile.hpp"

#include <array>

#include "kernels/aie2/array/array_error.hpp"

namespace npuenc::aie2 {
namespace {

constexpr size_t n_port_kinds = 9;
constexpr const char* port_kind_names[n_port_kinds] = {"Core", "DMA",   "Ctrl", "FIFO", "South",
                                                       "West", "North", "East", "Trace"};

// In the order of PortKind, which is also the order of the switches' registers.
using PortCounts = std::array<int, n_port_kinds>;

//                             Core DMA Ctrl FIFO South West North East Trace
constexpr PortCounts shim_masters{0, 0, 1, 1, 6, 4, 6, 4, 0};
constexpr PortCounts shim_slaves{0, 0, 1, 1, 8, 4, 4, 4, 1};
constexpr PortCounts memory_masters{0, 6, 1, 0, 4, 0, 6, 0, 0};
constexpr PortCounts memory_slaves{0, 6, 1, 0, 6, 0, 4, 0, 1};
constexpr PortCounts core_masters{1, 2, 1, 1, 4, 4, 6, 4, 0};
constexpr PortCounts core_slaves{1, 2, 1, 1, 6, 4, 4, 4, 2};

const PortCounts& counts_of(TileKind tile, PortSide side) {
    const bool master = side == PortSide::master;
    switch (tile) {
    case TileKind::shim:
        return master ? shim_masters : shim_slaves;
    case TileKind::memory:
        return master ? memory_masters : memory_slaves;
    default:
        return master ? core_masters : core_slaves;
    }
}

// The host's memory has no size here; a shim's transfers are bounded by their descriptor alone.
constexpr TileLimits shim_limits{0, 0, 16, 16, 2, 3, UINT32_MAX, 1 << 20, 1023};
constexpr TileLimits memory_limits{512 * 1024, 0, 64, 48, 6, 4, (1 << 17) - 1, 1 << 17, 1023};
constexpr TileLimits core_limits{64 * 1024, 16 * 1024,     16,      16,          2,
                                 3,         (1 << 14) - 1, 1 << 13, (1 << 8) - 1};

bool is_vertical(PortKind kind) {
    return kind == PortKind::south || kind == PortKind::north;
}

} // namespace

TileKind kind_of(TileId tile) {
    return tile.row == 0 ? TileKind::shim : tile.row == 1 ? TileKind::memory : TileKind::core;
}

std::string name_of(TileId tile) {
    switch (kind_of(tile)) {
    case TileKind::shim:
        return "shim " + std::to_string(tile.column);
    case TileKind::memory:
        return "memory tile " + std::to_string(tile.column);
    default:
        return "core " + std::to_string(tile.column) + "." + std::to_string(tile.row);
    }
}

const TileLimits& limits_of(TileKind kind) {
    switch (kind) {
    case TileKind::shim:
        return shim_limits;
    case TileKind::memory:
        return memory_limits;
    default:
        return core_limits;
    }
}

std::string name_of(Port port) {
    return std::string(port_kind_names[static_cast<size_t>(port.kind)]) + " " +
           std::to_string(port.index);
}

int port_count(TileKind tile, PortSide side, PortKind kind) {
    return counts_of(tile, side)[static_cast<size_t>(kind)];
}

int port_number(TileKind tile, PortSide side, Port port) {
    const PortCounts& counts = counts_of(tile, side);
    const auto kind = static_cast<size_t>(port.kind);
    if (port.index < 0 || port.index >= counts[kind])
        throw ArrayError("a switch has no " +
                         std::string(side == PortSide::master ? "master" : "slave") + " port " +
                         name_of(port));
    int number = port.index;
    for (size_t before = 0; before < kind; ++before)
        number += counts[before];
    return number;
}

bool can_connect(TileKind tile, Port slave, Port master) {
    const bool same_kind = slave.kind == master.kind;
    const bool same_index = slave.index == master.index;
    switch (slave.kind) {
    case PortKind::trace:
        if (tile == TileKind::memory)
            return master.kind == PortKind::south || master == Port{PortKind::dma, 5};
        return master.kind == PortKind::fifo || master.kind == PortKind::south ||
               (tile == TileKind::core && master == Port{PortKind::dma, 0});
    case PortKind::core:
        return !same_kind;
    case PortKind::control:
        if (master.kind == PortKind::dma)
            return tile == TileKind::memory && master.index == 5;
        return !same_kind;
    case PortKind::dma:
        return !same_kind || same_index;
    case PortKind::fifo:
        return true;
    default:
        if (tile == TileKind::memory)
            return !is_vertical(master.kind) || same_index;
        if (tile == TileKind::shim && slave.kind == PortKind::south)
            return true;
        return !same_kind || same_index;
    }
}

std::optional<Wire> across(TileId tile, Port port, int columns) {
    switch (port.kind) {
    case PortKind::south:
        if (tile.row == 0)
            return {};
        return Wire{{tile.column, tile.row - 1}, {PortKind::north, port.index}};
    case PortKind::north:
        if (tile.row == n_rows - 1)
            return {};
        return Wire{{tile.column, tile.row + 1}, {PortKind::south, port.index}};
    case PortKind::west:
        if (tile.column == 0)
            return {};
        return Wire{{tile.column - 1, tile.row}, {PortKind::east, port.index}};
    case PortKind::east:
        if (tile.column == columns - 1)
            return {};
        return Wire{{tile.column + 1, tile.row}, {PortKind::west, port.index}};
    default:
        return {};
    }
}

std::string name_of(Direction direction, int channel) {
    return (direction == Direction::into_memory ? "S2MM " : "MM2S ") + std::to_string(channel);
}

bool may_use(TileKind tile, int channel, int descriptor) {
    const int n = limits_of(tile).descriptors;
    if (descriptor < 0 || descriptor >= n)
        return false;
    return tile != TileKind::memory || (descriptor < n / 2) == (channel % 2 == 0);
}

} // namespace npuenc::aie2
