// SPDX-License-Identifier: MIT
// Addresses and fields of the array's registers. From aie-rt's xaiemlgbl_params.h (MIT).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/aie2/array/descriptor.hpp"

namespace npuenc::aie2 {

// The address of a tile's register or memory, as CDOs and instruction streams write it.
constexpr uint32_t tile_address(TileId tile, uint32_t offset) {
    return static_cast<uint32_t>(tile.column) << 25 | static_cast<uint32_t>(tile.row) << 20 |
           offset;
}

// Cores
constexpr uint32_t program_memory = 0x20000;
constexpr uint32_t core_control = 0x32000;
constexpr uint32_t core_control_enable = 1;
constexpr uint32_t core_control_reset = 2;

// Data memory begins at 0 in cores and memory tiles.
uint32_t lock_register(TileKind tile, int lock);

uint32_t descriptor_register(TileKind tile, int id);
constexpr int max_descriptor_words = 8;
// The descriptor's registers in order; 6 words for a core's, 8 for others.
std::vector<uint32_t> pack(TileKind tile, const Descriptor& descriptor);

uint32_t channel_control_register(TileKind tile, Direction direction, int channel);
constexpr uint32_t channel_control_reset = 2; // not in shims
uint32_t channel_queue_register(TileKind tile, Direction direction, int channel);
// What a push into the queue of a channel says: a chain of descriptors, how often, and whether a
// token is sent at the end.
uint32_t pack_push(int descriptor, int repeats, bool token);

uint32_t master_register(TileKind tile, Port port);
uint32_t slave_register(TileKind tile, Port port);
// Of the four slots in which a slave port looks packets up.
uint32_t slot_register(TileKind tile, Port slave, int slot);
constexpr uint32_t port_enable = 1u << 31;
constexpr uint32_t port_packets = 1u << 30;
uint32_t pack_circuit(int slave_number);
// A master that takes the packets which an arbiter gives it under one of these message selects.
uint32_t pack_packet_master(int arbiter, uint32_t selects);
uint32_t pack_slot(int packet, uint32_t mask, int select, int arbiter);

// The shim's wires to the DMA. Channel 0 and 1 in come from switch South masters 2 and 3; channel 0
// and 1 out go to South slaves 3 and 7.
Port shim_port(Direction direction, int channel);
struct MaskedWrite {
    uint32_t offset;
    uint32_t mask;
    uint32_t value;
};
MaskedWrite shim_mux(Direction direction, int channel);

// The packet id under which a shim's completion tokens leave for the controller; instruction
// streams set the same id in the channel's control register.
constexpr int token_packet = 15;

} // namespace npuenc::aie2
