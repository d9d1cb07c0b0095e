// SPDX-License-Identifier: MIT
#include "tools/npusim/stream_switch.hpp"

#include <bit>

#include "tools/npusim/error.hpp"

namespace npusim {

uint32_t packet_header(uint32_t id, uint32_t type, uint32_t row, uint32_t column) {
    const uint32_t word = id | type << 12 | row << 16 | column << 21;
    return word | (std::popcount(word) % 2 == 0) * 0x80000000u;
}

void StreamSwitch::set_master(uint32_t port, uint32_t value, bool once) {
    if (once && switch_enabled(value)) {
        if (routed_[port] && masters_[port] != value)
            throw SimulationError("master port " + master_name(port) + " of " + tile_ +
                                  " is fed twice: by " + hex(masters_[port]) + " and by " +
                                  hex(value));
        routed_[port] = true;
    }
    if (switch_enabled(value) && !switch_packets(value) &&
        circuit_slave(value) >= ports_in(facts_->slaves))
        throw SimulationError("master port " + master_name(port) + " of " + tile_ +
                              " is fed by slave port " + std::to_string(circuit_slave(value)) +
                              ", which does not exist");
    masters_[port] = value;
    stale_ = true;
}

void StreamSwitch::set_slave(uint32_t port, uint32_t value) {
    slaves_[port] = value;
    stale_ = true;
}

void StreamSwitch::set_slot(uint32_t port, uint32_t slot, uint32_t value) {
    slots_[port][slot] = value;
    stale_ = true;
}

void StreamSwitch::reset() {
    masters_.fill(0);
    slaves_.fill(0);
    slots_ = {};
    routes_ = {};
    arbiters_ = {};
    stale_ = true;
}

std::string StreamSwitch::fault_of(uint32_t slave, uint32_t circuits) const {
    if (!switch_enabled(slaves_[slave]))
        return circuits != 0 ? "feeds a master port but is not enabled" : "feeds no master port";
    if (switch_packets(slaves_[slave]))
        return circuits != 0 ? "carries packets, but a master port takes it as a circuit" : "";
    if (circuits == 0)
        return "feeds no master port";
    for (uint32_t left = circuits; left != 0; left &= left - 1) {
        const auto master = static_cast<uint32_t>(std::countr_zero(left));
        if (outlets_[master].link == nullptr)
            return "feeds master port " + master_name(master) + ": " + outlets_[master].why;
    }
    return "";
}

// The registers name the source of each master; the cycle wants the masters of each source.
void StreamSwitch::compile() {
    packets_ = 0;
    for (uint32_t slave = 0; slave < ports_in(facts_->slaves); ++slave) {
        Route& route = routes_[slave];
        if (!route.header)
            throw SimulationError(tile_ + ": its routes change while a packet is under way");
        uint32_t circuits = 0;
        for (uint32_t master = 0; master < ports_in(facts_->masters); ++master)
            if (switch_enabled(masters_[master]) && !switch_packets(masters_[master]) &&
                circuit_slave(masters_[master]) == slave)
                circuits |= 1u << master;
        route = {.packets = switch_packets(slaves_[slave]),
                 .masters = circuits,
                 .fault = fault_of(slave, circuits)};
        packets_ |= uint32_t{route.packets} << slave;
    }
    arbiters_ = {};
    stale_ = false;
}

void StreamSwitch::fail(uint32_t slave, const std::string& what) const {
    throw SimulationError("data arrives at slave port " +
                          to_string(port_at(facts_->slaves, slave)) + " of " + tile_ + ", which " +
                          what);
}

bool StreamSwitch::room(uint32_t masters, uint64_t now) const {
    for (uint32_t left = masters; left != 0; left &= left - 1)
        if (!outlets_[static_cast<uint32_t>(std::countr_zero(left))].link->can_push(now))
            return false;
    return true;
}

void StreamSwitch::move(uint32_t slave, uint32_t masters, Clock& clock) {
    StreamLink& from = *inlets_[slave];
    for (uint32_t left = masters; left != 0; left &= left - 1)
        outlets_[static_cast<uint32_t>(std::countr_zero(left))].link->push(clock.now, from.front());
    from.pop(clock.now);
    ++clock.progress;
}

// A header at the head of a slave port asks for the arbiter that its id selects.
void StreamSwitch::request(uint32_t slave, const Clock& clock) {
    Route& route = routes_[slave];
    const StreamLink& from = *inlets_[slave];
    if (!route.header || route.arbiter != none || !from.can_pop(clock.now))
        return;
    const uint32_t id = from.front().data & 0x1F;
    const auto packet = [&] { return "packet " + std::to_string(id); };
    uint32_t found = none;
    for (const uint32_t slot : slots_[slave]) {
        if (!slot_enabled(slot) || (id & slot_mask(slot)) != slot_id(slot))
            continue;
        if (found != none)
            fail(slave, "has two slots for " + packet());
        found = slot;
    }
    if (found == none)
        fail(slave, "has no slot for " + packet());
    route.masters = 0;
    for (uint32_t master = 0; master < ports_in(facts_->masters); ++master) {
        const uint32_t value = masters_[master];
        if (!switch_enabled(value) || !switch_packets(value) ||
            master_arbiter(value) != slot_arbiter(found) ||
            (master_selects(value) >> slot_select(found) & 1) == 0)
            continue;
        if (outlets_[master].link == nullptr)
            fail(slave, "sends " + packet() + " to master port " + master_name(master) + ": " +
                            outlets_[master].why);
        route.masters |= 1u << master;
    }
    if (route.masters == 0)
        fail(slave, "sends " + packet() + " to no master port");
    arbiters_[slot_arbiter(found)].waiting |= 1u << slave;
}

// Each free arbiter takes the next that waits, round robin, until the end of its packet.
void StreamSwitch::grant() {
    for (uint32_t i = 0; i < arbiters_.size(); ++i) {
        Arbiter& arbiter = arbiters_[i];
        if (arbiter.owner != none || arbiter.waiting == 0)
            continue;
        const uint32_t later = arbiter.waiting & ~((2u << arbiter.last) - 1);
        arbiter.owner =
            static_cast<uint32_t>(std::countr_zero(later != 0 ? later : arbiter.waiting));
        arbiter.last = arbiter.owner;
        arbiter.waiting &= ~(1u << arbiter.owner);
        routes_[arbiter.owner].arbiter = i;
    }
}

void StreamSwitch::packet(uint32_t slave, Clock& clock) {
    Route& route = routes_[slave];
    const StreamLink& from = *inlets_[slave];
    if (route.arbiter == none || !from.can_pop(clock.now))
        return;
    uint32_t to = route.masters;
    if (route.header)
        for (uint32_t left = route.masters; left != 0; left &= left - 1)
            if (drops_header(masters_[static_cast<uint32_t>(std::countr_zero(left))]))
                to &= ~(left & (~left + 1));
    if (!room(to, clock.now))
        return;
    const bool last = from.front().last;
    move(slave, to, clock);
    route.header = last;
    if (last) {
        arbiters_[route.arbiter].owner = none;
        route.arbiter = none;
    }
}

void StreamSwitch::cycle(Clock& clock) {
    if (filled_ == 0)
        return;
    if (stale_)
        compile();
    for (uint32_t left = filled_; left != 0; left &= left - 1) {
        const auto slave = static_cast<uint32_t>(std::countr_zero(left));
        const Route& route = routes_[slave];
        if (!route.fault.empty())
            fail(slave, route.fault);
        if (!route.packets && inlets_[slave]->can_pop(clock.now) &&
            room(route.masters, clock.now) && !clock.chance(16))
            move(slave, route.masters, clock);
    }
    const uint32_t packets = filled_ & packets_;
    if (packets == 0)
        return;
    for (uint32_t left = packets; left != 0; left &= left - 1)
        request(static_cast<uint32_t>(std::countr_zero(left)), clock);
    grant();
    for (uint32_t left = packets; left != 0; left &= left - 1)
        if (!clock.chance(16))
            packet(static_cast<uint32_t>(std::countr_zero(left)), clock);
}

void StreamSwitch::describe_stalls(std::vector<std::string>& lines) const {
    for (uint32_t ports = filled_; ports != 0; ports &= ports - 1) {
        const auto slave = static_cast<uint32_t>(std::countr_zero(ports));
        const Route& route = routes_[slave];
        std::string line = tile_ + ": slave port " + to_string(port_at(facts_->slaves, slave)) +
                           " holds words for";
        if (route.packets && route.arbiter == none)
            line += " a packet that waits for its arbiter";
        else
            for (uint32_t left = route.masters; left != 0; left &= left - 1)
                line += (left == route.masters ? " " : ", ") +
                        master_name(static_cast<uint32_t>(std::countr_zero(left)));
        lines.push_back(line);
    }
}

} // namespace npusim
