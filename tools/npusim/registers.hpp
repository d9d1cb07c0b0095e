// SPDX-License-Identifier: MIT
// Which register an address of the array is.
#pragma once

#include <cstdint>
#include <string>

#include "tools/npusim/device.hpp"

namespace npusim {

struct Address {
    uint32_t column;
    uint32_t row;
    uint32_t offset;
};

Address split(uint32_t address);

enum class RegisterKind : uint8_t {
    data_memory,     // index: byte offset
    program_memory,  // index: byte offset
    core_control,    // bit 0 enable, bit 1 reset
    core_status,     //
    cascade,         // bit 0 input from the west, else the north; bit 1 output east, else south
    processor_bus,   // the core's own access to registers
    lock,            // index: lock
    lock_request,    // index: lock, sub: bit 9 acquires, bits 8:2 the value; reading does it
    descriptor,      // index: descriptor, sub: word
    channel_control, // index: channel, sub: direction
    channel_queue,   // index: channel, sub: direction
    channel_status,  // index: channel, sub: direction
    switch_master,   // index: port
    switch_slave,    // index: port
    switch_slot,     // index: port, sub: slot
    shim_mux,        // streams from the shim's DMA, PL or NoC into the switch
    shim_demux,      // and out of it
    no_effect,       // clocks, timers, events, performance counters, error reports
    trace_control,   //
    module_reset,    //
    unknown,
};

struct Register {
    RegisterKind kind;
    uint32_t index = 0;
    uint32_t sub = 0;
};

Register decode_register(TileKind tile, uint32_t offset);

// "register 0x1d004 of shim (0,0)"
std::string register_name(const Address& address);

} // namespace npusim
