// SPDX-License-Identifier: MIT
#include "tools/npusim/device.hpp"

#include <cstdio>

namespace npusim {
namespace {

constexpr TileFacts shim_facts = {
    .kind = TileKind::shim,
    .name = "shim",
    .memory_size = 0,
    .locks = shim_locks,
    .lock_base = 0x14000,
    .lock_request = 0x40000,
    .descriptors = shim_descriptors,
    .descriptor_base = 0x1D000,
    .descriptor_words = 8,
    .channels = 2,
    .channel_base = {0x1D200, 0x1D210},
    .status_base = {0x1D220, 0x1D228},
    .switch_base = 0x3F000,
    .masters = shim_masters,
    .slaves = shim_slaves,
};

constexpr TileFacts memory_facts = {
    .kind = TileKind::memory,
    .name = "memory tile",
    .memory_size = memory_tile_size,
    .locks = memory_locks,
    .lock_base = 0xC0000,
    .lock_request = 0xD0000,
    .descriptors = memory_descriptors,
    .descriptor_base = 0xA0000,
    .descriptor_words = 8,
    .channels = 6,
    .channel_base = {0xA0600, 0xA0630},
    .status_base = {0xA0660, 0xA0680},
    .switch_base = 0xB0000,
    .masters = memory_masters,
    .slaves = memory_slaves,
};

constexpr TileFacts core_facts = {
    .kind = TileKind::core,
    .name = "core tile",
    .memory_size = core_memory_size,
    .locks = core_locks,
    .lock_base = 0x1F000,
    .lock_request = 0x40000,
    .descriptors = core_descriptors,
    .descriptor_base = 0x1D000,
    .descriptor_words = 6,
    .channels = 2,
    .channel_base = {0x1DE00, 0x1DE10},
    .status_base = {0x1DF00, 0x1DF10},
    .switch_base = 0x3F000,
    .masters = core_masters,
    .slaves = core_slaves,
};

const char* name_of(PortKind kind) {
    switch (kind) {
    case PortKind::core:
        return "Core";
    case PortKind::dma:
        return "DMA";
    case PortKind::control:
        return "Control";
    case PortKind::fifo:
        return "FIFO";
    case PortKind::south:
        return "South";
    case PortKind::west:
        return "West";
    case PortKind::north:
        return "North";
    case PortKind::east:
        return "East";
    case PortKind::trace:
        return "Trace";
    }
    return "?";
}

} // namespace

const TileFacts& facts_of(TileKind kind) {
    switch (kind) {
    case TileKind::shim:
        return shim_facts;
    case TileKind::memory:
        return memory_facts;
    case TileKind::core:
        break;
    }
    return core_facts;
}

TileKind kind_of_row(uint32_t row) {
    return row == 0 ? TileKind::shim : row == memory_row ? TileKind::memory : TileKind::core;
}

uint32_t ports_in(std::span<const PortRange> ports) {
    return ports.back().first + ports.back().count;
}

Port port_at(std::span<const PortRange> ports, uint32_t index) {
    for (const PortRange& range : ports)
        if (index >= range.first && index < range.first + uint32_t{range.count})
            return {range.kind, index - range.first};
    return {PortKind::trace, index};
}

int port_index(std::span<const PortRange> ports, PortKind kind, uint32_t number) {
    for (const PortRange& range : ports)
        if (range.kind == kind && number < range.count)
            return static_cast<int>(range.first + number);
    return -1;
}

std::string to_string(Port port) {
    return std::string(name_of(port.kind)) + ' ' + std::to_string(port.number);
}

std::string tile_name(uint32_t column, uint32_t row) {
    return std::string(facts_of(kind_of_row(row)).name) + " (" + std::to_string(column) + ',' +
           std::to_string(row) + ')';
}

std::string channel_name(Direction direction, uint32_t channel) {
    return (direction == Direction::s2mm ? "S2MM " : "MM2S ") + std::to_string(channel);
}

std::string hex(uint64_t value) {
    char text[24];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
    return text;
}

} // namespace npusim
