// SPDX-License-Identifier: MIT
// The stream switch of one tile: circuits and packets from its slave ports to its master ports.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tools/npusim/clock.hpp"
#include "tools/npusim/device.hpp"
#include "tools/npusim/stream_link.hpp"

namespace npusim {

// A packet's first word: stream id, type, source, odd parity (AM020).
uint32_t packet_header(uint32_t id, uint32_t type, uint32_t row, uint32_t column);

class StreamSwitch {
  public:
    // `why` a port leads nowhere, for the message when data arrives there.
    struct Outlet {
        StreamLink* link = nullptr;
        const char* why = "the array ends there";
    };

    StreamSwitch(std::string tile, const TileFacts& facts)
        : tile_(std::move(tile)), facts_(&facts) {}

    const TileFacts& facts() const { return *facts_; }
    const std::string& tile() const { return tile_; }

    // What the ports are connected to; changes when the shim's multiplexers do.
    void connect_slave(uint32_t port, StreamLink& link) {
        inlets_[port] = &link;
        link.report_to(&filled_, 1u << port);
    }
    void connect_master(uint32_t port, Outlet outlet) {
        outlets_[port] = outlet;
        stale_ = true;
    }
    StreamLink* slave_link(uint32_t port) const { return inlets_[port]; }

    // Registers. `once`: a second route to the same master is an error, not a change of mind.
    void begin_configuration() { routed_.fill(false); }
    void set_master(uint32_t port, uint32_t value, bool once);
    void set_slave(uint32_t port, uint32_t value);
    void set_slot(uint32_t port, uint32_t slot, uint32_t value);
    uint32_t master(uint32_t port) const { return masters_[port]; }
    uint32_t slave(uint32_t port) const { return slaves_[port]; }
    uint32_t slot(uint32_t port, uint32_t slot) const { return slots_[port][slot]; }
    void reset();

    // Moves at most one word from each slave port. Throws where data arrives that goes nowhere.
    void cycle(Clock& clock);

    // Slave ports with words that cannot move, for the report of a deadlock.
    void describe_stalls(std::vector<std::string>& lines) const;

  private:
    static constexpr uint32_t none = ~0u;

    struct Route {
        bool packets = false;
        bool header = true;      // of packets: the next word is one
        uint32_t masters = 0;    // bit mask; of packets: of the one under way
        uint32_t arbiter = none; // of the packet under way
        std::string fault;       // why data must not arrive
    };
    struct Arbiter {
        uint32_t owner = none; // slave port
        uint32_t last = 0;
        uint32_t waiting = 0; // slave ports, bit mask
    };

    void compile();
    std::string fault_of(uint32_t slave, uint32_t circuits) const;
    bool room(uint32_t masters, uint64_t now) const;
    void move(uint32_t slave, uint32_t masters, Clock& clock);
    void request(uint32_t slave, const Clock& clock);
    void grant();
    void packet(uint32_t slave, Clock& clock);
    std::string master_name(uint32_t master) const {
        return to_string(port_at(facts_->masters, master));
    }
    [[noreturn]] void fail(uint32_t slave, const std::string& what) const;

    std::string tile_;
    const TileFacts* facts_;
    std::array<StreamLink*, max_slaves> inlets_{};
    std::array<Outlet, max_masters> outlets_{};
    std::array<uint32_t, max_masters> masters_{};
    std::array<uint32_t, max_slaves> slaves_{};
    std::array<std::array<uint32_t, slots_per_slave>, max_slaves> slots_{};
    std::array<bool, max_masters> routed_{};
    std::array<Arbiter, 8> arbiters_{};
    std::array<Route, max_slaves> routes_{};
    uint32_t filled_ = 0;  // slave ports with words, bit mask
    uint32_t packets_ = 0; // slave ports that carry packets, bit mask
    bool stale_ = true;
};

// Fields of the switch's registers.
constexpr bool switch_enabled(uint32_t value) {
    return value >> 31;
}
constexpr bool switch_packets(uint32_t value) {
    return value >> 30 & 1;
}
constexpr bool drops_header(uint32_t master) {
    return master >> 7 & 1;
}
constexpr uint32_t circuit_slave(uint32_t master) {
    return master & 0x7F;
}
constexpr uint32_t master_arbiter(uint32_t master) {
    return master & 7;
}
constexpr uint32_t master_selects(uint32_t master) {
    return master >> 3 & 0xF;
}
constexpr bool slot_enabled(uint32_t slot) {
    return slot >> 8 & 1;
}
constexpr uint32_t slot_id(uint32_t slot) {
    return slot >> 24 & 0x1F;
}
constexpr uint32_t slot_mask(uint32_t slot) {
    return slot >> 16 & 0x1F;
}
constexpr uint32_t slot_select(uint32_t slot) {
    return slot >> 4 & 3;
}
constexpr uint32_t slot_arbiter(uint32_t slot) {
    return slot & 7;
}

} // namespace npusim
