// SPDX-License-Identifier: MIT
#include "tools/npusim/tile.hpp"

namespace npusim {

Tile::Tile(uint32_t tile_column, uint32_t tile_row, Clock& clock, uint32_t ddr_latency,
           HostBuffers** host, std::vector<Token>* tokens)
    : facts(facts_of(kind_of_row(tile_row))), column(tile_column), row(tile_row),
      name(tile_name(tile_column, tile_row)), memory(facts.memory_size), locks(name, facts.locks),
      stream_switch(name, facts), dma{.kind = facts.kind,
                                      .column = tile_column,
                                      .row = tile_row,
                                      .name = name,
                                      .clock = &clock,
                                      .memory = {},
                                      .locks = {},
                                      .descriptors = &descriptors,
                                      .host = host,
                                      .tokens = tokens,
                                      .ddr_latency = ddr_latency} {
    if (!memory.empty())
        dma.memory[DmaTile::own] = memory.data();
    dma.locks[DmaTile::own] = &locks;
    channels.reserve(2 * size_t{facts.channels});
    for (const Direction direction : {Direction::s2mm, Direction::mm2s})
        for (uint32_t i = 0; i < facts.channels; ++i)
            channels.emplace_back(dma, direction, i);
}

void Tile::reset() {
    locks.reset();
    for (auto& descriptor : descriptors)
        descriptor.fill(0);
    stream_switch.reset();
    for (DmaChannel& channel : channels) {
        channel.set_control(0);
        channel.reset();
    }
    channel_control.fill(0);
    active_channels = 0;
    for (auto* links : {&into_dma, &from_dma})
        for (auto& link : *links)
            link->clear();
    mux = demux = 0;
    core_control = cascade = 0;
    starts_at = 0;
    cascade_north.entries.clear();
    cascade_west.entries.clear();
    bank = {};
    granted_accesses = 0;
    last_cycle = CoreCycle::stopped;
}

} // namespace npusim
