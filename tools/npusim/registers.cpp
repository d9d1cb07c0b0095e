// SPDX-License-Identifier: MIT
#include "tools/npusim/registers.hpp"

#include <algorithm>
#include <iterator>

namespace npusim {
namespace {

constexpr uint32_t lock_stride = 16;
constexpr uint32_t request_stride = 0x400;
constexpr uint32_t descriptor_stride = 32;
constexpr uint32_t slaves_offset = 0x100;
constexpr uint32_t slots_offset = 0x200;

struct Range {
    TileKind tile;
    uint32_t first;
    uint32_t end;
    RegisterKind kind;
};

// Registers outside of the regular arrays; names as in aie-rt's xaiemlgbl_params.h.
constexpr Range ranges[] = {
    {TileKind::core, 0x32000, 0x32004, RegisterKind::core_control},
    {TileKind::core, 0x32004, 0x32008, RegisterKind::core_status},
    {TileKind::core, 0x32038, 0x3203C, RegisterKind::processor_bus},
    {TileKind::core, 0x36060, 0x36064, RegisterKind::cascade},
    {TileKind::core, 0x60010, 0x60014, RegisterKind::module_reset},
    {TileKind::core, 0x140D0, 0x140D8, RegisterKind::trace_control}, // memory module
    {TileKind::core, 0x340D0, 0x340D8, RegisterKind::trace_control}, // core module
    {TileKind::core, 0x11000, 0x11100, RegisterKind::no_effect},     // performance counters
    {TileKind::core, 0x12000, 0x12130, RegisterKind::no_effect},     // ECC
    {TileKind::core, 0x14000, 0x14600, RegisterKind::no_effect},     // timer, events
    {TileKind::core, 0x16000, 0x16020, RegisterKind::no_effect},     // spare, memory control
    {TileKind::core, 0x1F100, 0x1F130, RegisterKind::no_effect},     // lock events
    {TileKind::core, 0x31500, 0x315A0, RegisterKind::no_effect},     // performance counters
    {TileKind::core, 0x32030, 0x32038, RegisterKind::no_effect},     // halt at errors
    {TileKind::core, 0x32100, 0x32130, RegisterKind::no_effect},     // ECC
    {TileKind::core, 0x34000, 0x34600, RegisterKind::no_effect},     // timer, events
    {TileKind::core, 0x3FF00, 0x3FF40, RegisterKind::no_effect},     // events of the switch
    {TileKind::core, 0x60000, 0x60004, RegisterKind::no_effect},     // clock
    {TileKind::memory, 0x940D0, 0x940D8, RegisterKind::trace_control},
    {TileKind::memory, 0xFFF10, 0xFFF14, RegisterKind::module_reset},
    {TileKind::memory, 0x91000, 0x91100, RegisterKind::no_effect}, // performance counters
    {TileKind::memory, 0x92000, 0x92130, RegisterKind::no_effect}, // ECC
    {TileKind::memory, 0x94000, 0x94600, RegisterKind::no_effect}, // timer, events
    {TileKind::memory, 0xA06A0, 0xA06C0, RegisterKind::no_effect}, // event selection
    {TileKind::memory, 0xB0F00, 0xB0F40, RegisterKind::no_effect}, // events of the switch
    {TileKind::memory, 0xC0400, 0xC0430, RegisterKind::no_effect}, // lock events
    {TileKind::memory, 0xFFF00, 0xFFF04, RegisterKind::no_effect}, // clock
    {TileKind::shim, 0x1F000, 0x1F004, RegisterKind::shim_mux},
    {TileKind::shim, 0x1F004, 0x1F008, RegisterKind::shim_demux},
    {TileKind::shim, 0x340D0, 0x340D8, RegisterKind::trace_control},
    {TileKind::shim, 0xFFF10, 0xFFF18, RegisterKind::module_reset},
    {TileKind::shim, 0x14100, 0x14130, RegisterKind::no_effect}, // lock events
    {TileKind::shim, 0x15000, 0x15014, RegisterKind::no_effect}, // interrupts
    {TileKind::shim, 0x31000, 0x31100, RegisterKind::no_effect}, // performance counters
    {TileKind::shim, 0x34000, 0x34600, RegisterKind::no_effect}, // timer, events
    {TileKind::shim, 0x35000, 0x35060, RegisterKind::no_effect}, // interrupts
    {TileKind::shim, 0x3FF00, 0x3FF40, RegisterKind::no_effect}, // events of the switch
    {TileKind::shim, 0xFFF00, 0xFFF08, RegisterKind::no_effect}, // clocks
    {TileKind::shim, 0xFFF20, 0xFFF24, RegisterKind::no_effect}, // clock of the column
};

} // namespace

Address split(uint32_t address) {
    return {.column = address >> column_shift,
            .row = address >> row_shift & ((1u << (column_shift - row_shift)) - 1),
            .offset = address & ((1u << row_shift) - 1)};
}

Register decode_register(TileKind tile, uint32_t offset) {
    const TileFacts& facts = facts_of(tile);
    if (offset < facts.memory_size)
        return {RegisterKind::data_memory, offset};
    if (tile == TileKind::core && offset >= 0x20000 && offset < 0x20000 + program_memory_size)
        return {RegisterKind::program_memory, offset - 0x20000};
    if (offset % 4 != 0)
        return {RegisterKind::unknown};

    if (offset >= facts.lock_base && offset < facts.lock_base + facts.locks * lock_stride &&
        offset % lock_stride == 0)
        return {RegisterKind::lock, (offset - facts.lock_base) / lock_stride};

    if (offset >= facts.lock_request && offset < facts.lock_request + facts.locks * request_stride)
        return {RegisterKind::lock_request, (offset - facts.lock_request) / request_stride,
                offset % request_stride};

    if (offset >= facts.descriptor_base &&
        offset < facts.descriptor_base + facts.descriptors * descriptor_stride) {
        const uint32_t from = offset - facts.descriptor_base;
        const uint32_t word = from % descriptor_stride / 4;
        if (word < facts.descriptor_words)
            return {RegisterKind::descriptor, from / descriptor_stride, word};
        return {RegisterKind::unknown};
    }

    for (uint32_t direction = 0; direction < 2; ++direction) {
        const uint32_t base = facts.channel_base[direction];
        if (offset >= base && offset < base + facts.channels * 8)
            return {(offset - base) % 8 == 0 ? RegisterKind::channel_control
                                             : RegisterKind::channel_queue,
                    (offset - base) / 8, direction};
        const uint32_t status = facts.status_base[direction];
        if (offset >= status && offset < status + facts.channels * 4)
            return {RegisterKind::channel_status, (offset - status) / 4, direction};
    }

    const uint32_t masters = facts.switch_base;
    if (offset >= masters && offset < masters + ports_in(facts.masters) * 4)
        return {RegisterKind::switch_master, (offset - masters) / 4};
    const uint32_t slaves = masters + slaves_offset;
    if (offset >= slaves && offset < slaves + ports_in(facts.slaves) * 4)
        return {RegisterKind::switch_slave, (offset - slaves) / 4};
    const uint32_t slots = masters + slots_offset;
    if (offset >= slots && offset < slots + ports_in(facts.slaves) * slots_per_slave * 4)
        return {RegisterKind::switch_slot, (offset - slots) / 4 / slots_per_slave,
                (offset - slots) / 4 % slots_per_slave};

    const auto* range = std::find_if(std::begin(ranges), std::end(ranges), [&](const Range& known) {
        return known.tile == tile && offset >= known.first && offset < known.end;
    });
    return {range == std::end(ranges) ? RegisterKind::unknown : range->kind};
}

std::string register_name(const Address& address) {
    return "register " + hex(address.offset) + " of " + tile_name(address.column, address.row);
}

} // namespace npusim
