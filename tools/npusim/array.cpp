// SPDX-License-Identifier: MIT
#include "tools/npusim/array.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "tools/npusim/error.hpp"

namespace npusim {

using npuenc::aie2::CdoCommand;

namespace {

constexpr uint32_t control_enable = 1, control_reset = 2;
constexpr uint32_t status_done = 1u << 20;
constexpr uint32_t window_size = core_memory_size; // of a core's address space, per view
constexpr uint32_t first_window = core_memory_south / window_size;

// Shim DMA channels in the switch, and the field of the multiplexer that must say 1 for them.
struct ShimPort {
    uint32_t port; // South
    uint32_t shift;
};
constexpr ShimPort shim_in[] = {{3, 10}, {7, 14}}; // MM2S 0, 1
constexpr ShimPort shim_out[] = {{2, 4}, {3, 6}};  // S2MM 0, 1

PortKind opposite(PortKind side) {
    switch (side) {
    case PortKind::south:
        return PortKind::north;
    case PortKind::north:
        return PortKind::south;
    case PortKind::west:
        return PortKind::east;
    default:
        return PortKind::west;
    }
}

struct Side {
    PortKind kind;
    int columns, rows;
};
constexpr Side sides[] = {{PortKind::south, 0, -1},
                          {PortKind::west, -1, 0},
                          {PortKind::north, 0, 1},
                          {PortKind::east, 1, 0}};

DmaChannel::Counters operator-(const DmaChannel::Counters& a, const DmaChannel::Counters& b) {
    return {.words = a.words - b.words,
            .descriptors = a.descriptors - b.descriptors,
            .tasks = a.tasks - b.tasks,
            .lock = a.lock - b.lock,
            .stream = a.stream - b.stream,
            .memory = a.memory - b.memory,
            .last_word = a.last_word};
}

// The cycles of VMACs are those of `a`.
Core::Counters operator-(Core::Counters a, const Core::Counters& b) {
    a.cycles -= b.cycles;
    a.bundles -= b.bundles;
    a.vmacs -= b.vmacs;
    a.lock -= b.lock;
    a.bank -= b.bank;
    a.stream -= b.stream;
    a.cascade -= b.cascade;
    return a;
}

} // namespace

// What a core sees: its own memory and locks and those of its neighbours, streams, cascades.
class Array::Bus : public CoreBus {
  public:
    Bus(Tile& tile, Clock& clock) : tile_(tile), clock_(clock) {}

    void load(uint32_t address, std::span<uint8_t> bytes) override {
        std::memcpy(bytes.data(), at(address, bytes.size()), bytes.size());
    }
    void store(uint32_t address, std::span<const uint8_t> bytes) override {
        std::memcpy(at(address, bytes.size()), bytes.data(), bytes.size());
    }

    bool acquire(uint32_t lock, int32_t value) override {
        tile_.waited_lock = lock;
        tile_.waited_value = value;
        return !clock_.chance(8) && locks(lock).acquire(lock % core_locks, value);
    }
    void release(uint32_t lock, int32_t value) override {
        locks(lock).release(lock % core_locks, value);
    }

    bool stream_read(uint32_t port, uint32_t& word, bool& last) override {
        StreamLink& link = *tile_.into_core;
        only_port(port);
        if (!link.can_pop(clock_.now))
            return false;
        word = link.front().data;
        last = link.front().last;
        link.pop(clock_.now);
        return true;
    }
    bool stream_write(uint32_t port, uint32_t word, bool last) override {
        only_port(port);
        if (!tile_.from_core->can_push(clock_.now))
            return false;
        tile_.from_core->push(clock_.now, {word, last});
        return true;
    }

    bool cascade_read(std::array<uint8_t, 64>& value) override {
        CascadeLink& link = tile_.cascade & 1 ? tile_.cascade_west : tile_.cascade_north;
        if (link.entries.empty() || link.entries.front().ready > clock_.now)
            return false;
        value = link.entries.front().value;
        link.entries.pop_front();
        return true;
    }
    bool cascade_write(const std::array<uint8_t, 64>& value) override {
        const bool eastward = tile_.cascade & 2;
        Tile* to = eastward ? tile_.east : tile_.views[Tile::south];
        if (to == nullptr)
            throw SimulationError(tile_.name + ": its cascade leaves the array");
        CascadeLink& link = eastward ? to->cascade_west : to->cascade_north;
        if (link.entries.size() == CascadeLink::capacity)
            return false;
        link.entries.push_back({clock_.now + 1, value});
        return true;
    }

  private:
    static void only_port(uint32_t port) {
        if (port != 0)
            throw SimulationError("stream port " + std::to_string(port) +
                                  " of a core does not exist");
    }

    uint8_t* at(uint32_t address, size_t bytes) {
        const uint32_t window = address / window_size - first_window;
        const uint32_t offset = address % window_size;
        if (window >= tile_.views.size() || offset + bytes > window_size)
            throw SimulationError(tile_.name + ": its core reaches for " + hex(address) +
                                  ", where there is no memory");
        if (tile_.views[window] == nullptr)
            throw SimulationError(tile_.name + ": its core reaches for " + hex(address) +
                                  ", the memory of a tile that is not there");
        return tile_.views[window]->memory.data() + offset;
    }
    Locks& locks(uint32_t lock) {
        Tile* of =
            lock / core_locks < tile_.views.size() ? tile_.views[lock / core_locks] : nullptr;
        if (of == nullptr)
            throw SimulationError(tile_.name + ": its core uses lock " + std::to_string(lock) +
                                  ", of a tile that is not there");
        return of->locks;
    }

    Tile& tile_;
    Clock& clock_;
};

Array::Array(ArrayOptions options) : options_(options), clock_(options.jitter) {}

Array::~Array() = default;

Tile* Array::neighbour(const Tile& tile, int by_columns, int by_rows) {
    const uint32_t column = tile.column + static_cast<uint32_t>(by_columns);
    const uint32_t row = tile.row + static_cast<uint32_t>(by_rows);
    return column < columns_ && row < rows ? &this->tile(column, row) : nullptr;
}

StreamLink& Array::new_link(uint32_t capacity, uint32_t latency) {
    return *links_.emplace_back(std::make_unique<StreamLink>(capacity, latency));
}

void Array::build() {
    links_.clear();
    core_tiles_.clear();
    tiles_.clear();
    tokens_.clear();
    for (uint32_t column = 0; column < columns_; ++column)
        for (uint32_t row = 0; row < rows; ++row)
            tiles_.push_back(std::make_unique<Tile>(column, row, clock_, options_.ddr_latency,
                                                    &host_, &tokens_));
    // What memory holds before anyone writes it is not known: never zeros.
    uint64_t garbage = clock_.jittered() ? clock_.random(~0u) : 0x5EED;
    for (const auto& tile : tiles_) {
        for (uint8_t& byte : tile->memory) {
            garbage = garbage * 6364136223846793005 + 1442695040888963407;
            byte = static_cast<uint8_t>(garbage >> 56);
        }
        connect(*tile);
        if (tile->facts.kind == TileKind::core) {
            core_tiles_.push_back(tile.get());
            tile->bus = std::make_unique<Bus>(*tile, clock_);
        }
    }
}

// Streams leave a switch for a neighbour's, or for something in the tile.
void Array::connect(Tile& tile) {
    StreamSwitch& from = tile.stream_switch;
    const auto hop = [&](const Side& side, Tile& to) {
        const PortKind into = opposite(side.kind);
        for (uint32_t i = 0;; ++i) {
            const int master = port_index(tile.facts.masters, side.kind, i);
            const int slave = port_index(to.facts.slaves, into, i);
            if (master < 0 || slave < 0)
                break;
            StreamLink& link = new_link(StreamLink::hop_capacity, StreamLink::hop_latency);
            from.connect_master(static_cast<uint32_t>(master), {.link = &link});
            to.stream_switch.connect_slave(static_cast<uint32_t>(slave), link);
        }
    };
    for (const Side& side : sides)
        if (Tile* to = neighbour(tile, side.columns, side.rows))
            if (tile.facts.kind != TileKind::memory || side.columns == 0)
                hop(side, *to);

    if (tile.facts.kind == TileKind::memory)
        for (const auto& [side, columns] : {std::pair{DmaTile::west, -1}, {DmaTile::east, 1}})
            if (Tile* found = neighbour(tile, columns, 0)) {
                tile.dma.memory[side] = found->memory.data();
                tile.dma.locks[side] = &found->locks;
            }
    for (uint32_t i = 0; i < tile.facts.channels; ++i) {
        tile.into_dma.push_back(std::make_unique<StreamLink>());
        tile.from_dma.push_back(std::make_unique<StreamLink>(StreamLink::hop_capacity, 1));
        if (tile.facts.kind == TileKind::shim)
            continue;
        from.connect_master(static_cast<uint32_t>(port_index(tile.facts.masters, PortKind::dma, i)),
                            {.link = tile.into_dma[i].get()});
        from.connect_slave(static_cast<uint32_t>(port_index(tile.facts.slaves, PortKind::dma, i)),
                           *tile.from_dma[i]);
        tile.channel(Direction::s2mm, i).connect(tile.into_dma[i].get(), "");
        tile.channel(Direction::mm2s, i).connect(tile.from_dma[i].get(), "");
    }
    if (tile.facts.kind == TileKind::shim)
        connect_shim(tile);

    if (const int control = port_index(tile.facts.masters, PortKind::control, 0); control >= 0)
        from.connect_master(static_cast<uint32_t>(control),
                            {.why = "control packets are not modelled"});
    if (const int fifo = port_index(tile.facts.masters, PortKind::fifo, 0); fifo >= 0) {
        StreamLink& link = new_link(StreamLink::max_capacity, StreamLink::hop_latency);
        from.connect_master(static_cast<uint32_t>(fifo), {.link = &link});
        from.connect_slave(static_cast<uint32_t>(port_index(tile.facts.slaves, PortKind::fifo, 0)),
                           link);
    }
    if (tile.facts.kind != TileKind::core)
        return;

    tile.into_core = std::make_unique<StreamLink>();
    tile.from_core = std::make_unique<StreamLink>(StreamLink::hop_capacity, 1);
    from.connect_master(static_cast<uint32_t>(port_index(tile.facts.masters, PortKind::core, 0)),
                        {.link = tile.into_core.get()});
    from.connect_slave(static_cast<uint32_t>(port_index(tile.facts.slaves, PortKind::core, 0)),
                       *tile.from_core);
    const auto core_at = [&](int by_columns, int by_rows) -> Tile* {
        Tile* found = neighbour(tile, by_columns, by_rows);
        return found != nullptr && found->facts.kind == TileKind::core ? found : nullptr;
    };
    tile.views = {core_at(0, -1), core_at(-1, 0), core_at(0, 1), &tile};
    tile.east = core_at(1, 0);
}

// A shim's channels are in the switch where its multiplexers say so.
void Array::connect_shim(Tile& tile) {
    constexpr const char* other = "the shim's multiplexer does not connect the DMA there";
    for (uint32_t i = 0; i < tile.facts.channels; ++i) {
        const bool in = (tile.mux >> shim_in[i].shift & 3) == 1;
        tile.channel(Direction::mm2s, i).connect(in ? tile.from_dma[i].get() : nullptr, other);
        tile.stream_switch.connect_slave(
            static_cast<uint32_t>(port_index(tile.facts.slaves, PortKind::south, shim_in[i].port)),
            *tile.from_dma[i]);
        const bool out = (tile.demux >> shim_out[i].shift & 3) == 1;
        tile.channel(Direction::s2mm, i).connect(tile.into_dma[i].get(), "");
        tile.stream_switch.connect_master(
            static_cast<uint32_t>(
                port_index(tile.facts.masters, PortKind::south, shim_out[i].port)),
            {.link = out ? tile.into_dma[i].get() : nullptr, .why = other});
    }
    for (const uint32_t port : {0, 1, 4, 5})
        tile.stream_switch.connect_master(
            static_cast<uint32_t>(port_index(tile.facts.masters, PortKind::south, port)),
            {.why = "streams to the PL or the NoC are not modelled"});
}

void Array::load(const Overlay& overlay) {
    if (overlay.columns == 0 || overlay.columns > max_columns)
        throw SimulationError("the overlay is " + std::to_string(overlay.columns) +
                              " columns wide; there are " + std::to_string(max_columns));
    if (overlay.columns != columns_) {
        columns_ = overlay.columns;
        build();
    }
    tokens_.clear();
    for (const auto& link : links_)
        link->clear();
    for (const auto& tile : tiles_) {
        tile->reset();
        if (tile->facts.kind == TileKind::shim)
            connect_shim(*tile);
        if (tile->facts.kind == TileKind::core) {
            tile->into_core->clear();
            tile->from_core->clear();
            tile->core = std::make_unique<Core>(tile->name, *tile->bus, options_.core_rules);
        }
    }
    configure(overlay.commands);
    fresh_ = true;
}

void Array::configure(std::span<const CdoCommand> commands) {
    for (const auto& tile : tiles_)
        tile->stream_switch.begin_configuration();
    for (size_t i = 0; i < commands.size(); ++i) {
        const CdoCommand& command = commands[i];
        try {
            if (command.kind == CdoCommand::Kind::other)
                throw SimulationError("opcode " + hex(command.opcode) + " is not modelled");
            if (command.address >> 32)
                throw SimulationError("address " + hex(command.address) + " is not in the array");
            const Address address = split(static_cast<uint32_t>(command.address));
            Tile& tile = tile_at(address);
            const Register at = decode_register(tile.facts.kind, address.offset);
            switch (command.kind) {
            case CdoCommand::Kind::write:
                write_register(tile, address, at, command.value, true);
                break;
            case CdoCommand::Kind::mask_write: {
                const uint32_t kept = command.mask == ~0u ? 0 : register_value(tile, address, at);
                write_register(tile, address, at,
                               (kept & ~command.mask) | (command.value & command.mask), true);
                break;
            }
            default:
                write_words(address, command.words, true);
                break;
            }
        } catch (const SimulationError& error) {
            throw SimulationError("CDO command " + std::to_string(i) + ": " + error.what());
        }
    }
}

Tile& Array::tile_at(const Address& address) {
    if (address.column >= columns_ || address.row >= rows)
        throw SimulationError("there is no tile (" + std::to_string(address.column) + ',' +
                              std::to_string(address.row) + ") in an array of " +
                              std::to_string(columns_) + " columns");
    return tile(address.column, address.row);
}

const Tile& Array::tile_at(const Address& address) const {
    return const_cast<Array*>(this)->tile_at(address);
}

void Array::set_core_control(Tile& tile, uint32_t value) {
    if (value & ~(control_enable | control_reset))
        throw SimulationError("core control " + hex(value) + " is not modelled");
    const uint32_t before = tile.core_control;
    tile.core_control = value;
    if (tile.core == nullptr)
        tile.core = std::make_unique<Core>(tile.name, *tile.bus, options_.core_rules);
    if (value & control_reset && !(before & control_reset)) {
        tile.core->reset();
        tile.vmacs_seen = 0;
        tile.granted_accesses = 0;
    }
    const bool on = value == control_enable;
    if (on && !tile.core->enabled())
        tile.starts_at = clock_.now + clock_.random(1000);
    tile.core->enable(on);
}

bool Array::write_register(Tile& tile, const Address& address, const Register& at, uint32_t value,
                           bool configuring) {
    switch (at.kind) {
    case RegisterKind::data_memory:
        if (at.index % 4 != 0)
            throw SimulationError("a write to " + register_name(address) + " is not aligned");
        std::memcpy(tile.memory.data() + at.index, &value, sizeof value);
        break;
    case RegisterKind::program_memory:
        write_words(address, {&value, 1}, configuring);
        break;
    case RegisterKind::core_control:
        set_core_control(tile, value);
        break;
    case RegisterKind::cascade:
        tile.cascade = value;
        break;
    case RegisterKind::lock:
        tile.locks.set(at.index, value);
        break;
    case RegisterKind::descriptor:
        tile.descriptors[at.index][at.sub] = value;
        break;
    case RegisterKind::channel_control: {
        const uint32_t slot = at.sub * tile.facts.channels + at.index;
        tile.channel_control[slot] = value;
        tile.channels[slot].set_control(value);
        break;
    }
    case RegisterKind::channel_queue: {
        DmaChannel& channel = tile.channels[at.sub * tile.facts.channels + at.index];
        if (channel.queue_full()) {
            if (configuring)
                throw SimulationError("the queue of " +
                                      channel_name(channel.direction(), at.index) + " of " +
                                      tile.name + " is full");
            return false;
        }
        channel.push(value);
        tile.active_channels |= 1u << tile.channel_slot(channel.direction(), at.index);
        break;
    }
    case RegisterKind::switch_master:
        tile.stream_switch.set_master(at.index, value, configuring);
        break;
    case RegisterKind::switch_slave:
        tile.stream_switch.set_slave(at.index, value);
        break;
    case RegisterKind::switch_slot:
        tile.stream_switch.set_slot(at.index, at.sub, value);
        break;
    case RegisterKind::shim_mux:
        tile.mux = value;
        connect_shim(tile);
        break;
    case RegisterKind::shim_demux:
        tile.demux = value;
        connect_shim(tile);
        break;
    case RegisterKind::processor_bus: // cores that use it stop by name
    case RegisterKind::no_effect:
        break;
    case RegisterKind::trace_control:
        if (value != 0)
            throw SimulationError("tracing is not modelled: " + register_name(address) + " = " +
                                  hex(value));
        break;
    case RegisterKind::module_reset:
        if (value != 0)
            throw SimulationError("the reset of a module is not modelled: " +
                                  register_name(address) + " = " + hex(value));
        break;
    case RegisterKind::core_status:
    case RegisterKind::channel_status:
    case RegisterKind::lock_request:
        throw SimulationError(register_name(address) + " is read only");
    case RegisterKind::unknown:
        throw SimulationError(register_name(address) + " is not modelled");
    }
    return true;
}

uint32_t Array::register_value(const Tile& tile, const Address& address, const Register& at) const {
    switch (at.kind) {
    case RegisterKind::data_memory: {
        if (at.index % 4 != 0)
            throw SimulationError("a read of " + register_name(address) + " is not aligned");
        uint32_t value = 0;
        std::memcpy(&value, tile.memory.data() + at.index, sizeof value);
        return value;
    }
    case RegisterKind::core_control:
        return tile.core_control;
    case RegisterKind::core_status:
        return tile.core_control | (tile.core && tile.core->done() ? status_done : 0);
    case RegisterKind::cascade:
        return tile.cascade;
    case RegisterKind::lock:
        return static_cast<uint32_t>(tile.locks.value(at.index));
    case RegisterKind::descriptor:
        return tile.descriptors[at.index][at.sub];
    case RegisterKind::channel_control:
        return tile.channel_control[at.sub * tile.facts.channels + at.index];
    case RegisterKind::channel_queue:
        return 0;
    case RegisterKind::channel_status:
        return tile.channels[at.sub * tile.facts.channels + at.index].status();
    case RegisterKind::switch_master:
        return tile.stream_switch.master(at.index);
    case RegisterKind::switch_slave:
        return tile.stream_switch.slave(at.index);
    case RegisterKind::switch_slot:
        return tile.stream_switch.slot(at.index, at.sub);
    case RegisterKind::shim_mux:
        return tile.mux;
    case RegisterKind::shim_demux:
        return tile.demux;
    case RegisterKind::processor_bus:
    case RegisterKind::no_effect:
    case RegisterKind::trace_control:
    case RegisterKind::module_reset:
        return 0;
    case RegisterKind::program_memory:
    case RegisterKind::lock_request:
    case RegisterKind::unknown:
        break;
    }
    throw SimulationError("reading " + register_name(address) + " is not modelled");
}

void Array::write_words(const Address& address, std::span<const uint32_t> words, bool configuring) {
    Tile& tile = tile_at(address);
    const uint64_t bytes = words.size() * uint64_t{4};
    const Register first = decode_register(tile.facts.kind, address.offset);
    const auto past = [&](uint32_t size) {
        if (bytes > size - first.index)
            throw SimulationError(std::to_string(bytes) + " bytes at " + register_name(address) +
                                  " go past the end of its memory");
    };
    if (first.kind == RegisterKind::program_memory) {
        past(program_memory_size);
        if (tile.core == nullptr)
            tile.core = std::make_unique<Core>(tile.name, *tile.bus, options_.core_rules);
        tile.core->write_program(first.index, {reinterpret_cast<const uint8_t*>(words.data()),
                                               static_cast<size_t>(bytes)});
        return;
    }
    if (first.kind == RegisterKind::data_memory) {
        past(tile.facts.memory_size);
        std::memcpy(tile.memory.data() + first.index, words.data(), bytes);
        return;
    }
    for (size_t i = 0; i < words.size(); ++i) {
        const Address at{address.column, address.row,
                         static_cast<uint32_t>(address.offset + 4 * i)};
        if (at.offset >> row_shift)
            throw SimulationError("a block write goes past the end of " + tile.name);
        if (!write_register(tile, at, decode_register(tile.facts.kind, at.offset), words[i],
                            configuring))
            throw SimulationError("a block write pushes into a full queue: " + register_name(at));
    }
}

bool Array::write(uint32_t address, uint32_t value) {
    const Address at = split(address);
    Tile& tile = tile_at(at);
    return write_register(tile, at, decode_register(tile.facts.kind, at.offset), value, false);
}

bool Array::mask_write(uint32_t address, uint32_t value, uint32_t mask) {
    const uint32_t kept = mask == ~0u ? 0 : read(address);
    return write(address, (kept & ~mask) | (value & mask));
}

uint32_t Array::read(uint32_t address) const {
    const Address at = split(address);
    const Tile& tile = tile_at(at);
    return register_value(tile, at, decode_register(tile.facts.kind, at.offset));
}

bool Array::request_lock(uint32_t address) {
    const Address where = split(address);
    Tile& tile = tile_at(where);
    const Register at = decode_register(tile.facts.kind, where.offset);
    const auto bits = static_cast<int32_t>(at.sub >> 2 & 0x7F);
    const int32_t value = bits >= 64 ? bits - 128 : bits;
    if (at.sub & 0x200)
        return tile.locks.acquire(at.index, value);
    tile.locks.release(at.index, value);
    return true;
}

// Each bank of a core's memory serves one access a cycle.
void Array::request_banks() {
    for (Tile* tile : core_tiles_)
        for (uint32_t left = tile->active_channels; left != 0; left &= left - 1) {
            const auto slot = static_cast<uint32_t>(std::countr_zero(left));
            const DmaChannel& channel = tile->channels[slot];
            if (channel.wants_memory())
                tile->bank[channel.wanted_address() / bank_size % banks].requests |=
                    static_cast<uint8_t>(1u << slot);
        }
    for (Tile* tile : core_tiles_) {
        if (tile->core == nullptr || !tile->core->enabled())
            continue;
        const std::span<const Access> accesses = tile->core->pending();
        for (size_t i = 0; i < accesses.size(); ++i) {
            if (tile->granted_accesses >> i & 1)
                continue;
            const uint32_t window = accesses[i].address / window_size - first_window;
            if (window >= tile->views.size() || tile->views[window] == nullptr)
                continue;                                  // the core finds out
            constexpr uint32_t requester[] = {1, 2, 3, 0}; // by the core's view: north of it, …
            tile->views[window]->bank[accesses[i].address / bank_size % banks].requests |=
                static_cast<uint8_t>(1u << (Tile::core_requester + requester[window]));
        }
    }
}

void Array::grant_banks() {
    for (Tile* tile : core_tiles_)
        for (Tile::Bank& bank : tile->bank) {
            bank.winner = 0;
            if (bank.requests == 0 || clock_.chance(16))
                continue;
            // Round robin from the requester after the last one.
            const uint32_t later = bank.requests & ~((2u << bank.last) - 1);
            bank.last = static_cast<uint8_t>(std::countr_zero(later != 0 ? later : bank.requests));
            bank.winner = static_cast<uint8_t>(1u << bank.last);
        }
}

void Array::run_cores() {
    for (Tile* tile : core_tiles_) {
        if (tile->core == nullptr || !tile->core->enabled() || tile->core->done() ||
            tile->starts_at > clock_.now)
            continue;
        const std::span<const Access> accesses = tile->core->pending();
        bool all = true;
        for (size_t i = 0; i < accesses.size(); ++i) {
            if (tile->granted_accesses >> i & 1)
                continue;
            const uint32_t window = accesses[i].address / window_size - first_window;
            if (window >= tile->views.size() || tile->views[window] == nullptr)
                continue;
            constexpr uint32_t requester[] = {1, 2, 3, 0};
            Tile::Bank& bank = tile->views[window]->bank[accesses[i].address / bank_size % banks];
            const auto me = static_cast<uint8_t>(1u << (Tile::core_requester + requester[window]));
            if (bank.winner & me) {
                bank.winner = 0; // one access; a second one of this core waits for the next cycle
                tile->granted_accesses |= 1u << i;
                ++clock_.progress;
            } else {
                all = false;
            }
        }
        tile->last_cycle = tile->core->cycle(all);
        if (all)
            tile->granted_accesses = 0;
        if (tile->last_cycle == CoreCycle::issue) {
            ++clock_.progress;
            const uint64_t vmacs = tile->core->counters().vmacs;
            if (vmacs != tile->vmacs_seen) {
                tile->vmacs_seen = vmacs;
                tile->last_vmac = clock_.now;
                if (tile->first_vmac == 0)
                    tile->first_vmac = clock_.now;
            }
        }
    }
}

void Array::run_channels() {
    const size_t first = clock_.random(static_cast<uint32_t>(tiles_.size()));
    for (size_t i = 0; i < tiles_.size(); ++i) {
        Tile& tile = *tiles_[first + i < tiles_.size() ? first + i : first + i - tiles_.size()];
        const bool arbitrated = tile.facts.kind == TileKind::core;
        for (uint32_t left = tile.active_channels; left != 0; left &= left - 1) {
            const auto slot = static_cast<uint32_t>(std::countr_zero(left));
            DmaChannel& channel = tile.channels[slot];
            const bool granted =
                !arbitrated ||
                (channel.wants_memory() &&
                 (tile.bank[channel.wanted_address() / bank_size % banks].winner >> slot & 1));
            channel.cycle(granted);
            if (!channel.busy())
                tile.active_channels &= ~(1u << slot);
        }
    }
}

void Array::cycle_parts() {
    ++clock_.now;
    request_banks();
    grant_banks();
    if (clock_.chance(2)) {
        run_channels();
        run_cores();
    } else {
        run_cores();
        run_channels();
    }
    for (Tile* tile : core_tiles_)
        for (Tile::Bank& bank : tile->bank)
            bank.requests = 0;
    for (const auto& tile : tiles_)
        tile->stream_switch.cycle(clock_);
}

void Array::cycle() {
    try {
        cycle_parts();
    } catch (const SimulationError& error) {
        throw SimulationError(std::string(error.what()) + " [cycle " + std::to_string(clock_.now) +
                              ']');
    }
}

void Array::step(uint64_t cycles) {
    if (tiles_.empty())
        throw SimulationError("no overlay is loaded");
    for (uint64_t i = 0; i < cycles; ++i)
        cycle();
}

void Array::deadlock(const std::string& controller) const {
    std::vector<std::string> lines;
    if (!controller.empty())
        lines.push_back(controller);
    for (const auto& tile : tiles_) {
        for (const DmaChannel& channel : tile->channels)
            if (channel.busy())
                lines.push_back(channel.describe());
        if (tile->core != nullptr && tile->core->enabled() && !tile->core->done()) {
            std::string line = "core of " + tile->name + ": waits for ";
            switch (tile->last_cycle) {
            case CoreCycle::lock: {
                const Tile* of = tile->views[tile->waited_lock / core_locks];
                line += of->locks.describe(tile->waited_lock % core_locks) + " to be " +
                        (tile->waited_value < 0 ? "at least " + std::to_string(-tile->waited_value)
                                                : std::to_string(tile->waited_value));
                break;
            }
            case CoreCycle::stream:
                line += "its stream";
                break;
            case CoreCycle::cascade:
                line += "its cascade";
                break;
            default:
                line += "memory";
                break;
            }
            lines.push_back(line);
        }
        tile->stream_switch.describe_stalls(lines);
    }
    std::string text = "deadlock, nothing can move any more:";
    for (const std::string& line : lines)
        text += "\n  " + line;
    throw Deadlock(text);
}

// Executes an instruction stream while the array runs. What it does itself takes no time.
class Array::Controller {
  public:
    Controller(Array& array, const InstructionStream& stream, HostBuffers& buffers,
               RunReport& report)
        : array_(array), stream_(stream), buffers_(buffers), report_(report) {}

    bool done() const { return next_ == stream_.operations.size(); }

    // Whatever can be executed now.
    void advance() {
        while (!done() && array_.clock_.now >= resumes_at_) {
            const Operation& operation = stream_.operations[next_];
            try {
                if (!execute(operation))
                    return;
            } catch (const SimulationError& error) {
                throw SimulationError("instruction stream, byte " + std::to_string(operation.at) +
                                      ": " + error.what());
            }
            ++report_.operations;
            ++next_;
            if (array_.clock_.chance(4))
                resumes_at_ = array_.clock_.now + array_.clock_.random(500);
        }
    }

    std::string waits_for() const {
        if (done())
            return "";
        return "controller: stands at byte " + std::to_string(stream_.operations[next_].at) + ", " +
               to_string(stream_.operations[next_]);
    }

  private:
    bool execute(const Operation& operation) {
        switch (operation.kind) {
        case Operation::Kind::write:
            return pushed(operation.address, array_.write(operation.address, operation.value));
        case Operation::Kind::mask_write:
            return pushed(operation.address,
                          array_.mask_write(operation.address, operation.value, operation.mask));
        case Operation::Kind::block_write:
            array_.write_words(split(operation.address), operation.words, false);
            return true;
        case Operation::Kind::mask_poll:
            if (kind_at(operation.address) == RegisterKind::lock_request)
                return request_lock(operation);
            if ((array_.read(operation.address) & operation.mask) == operation.value)
                return true;
            ++report_.waited;
            return false;
        case Operation::Kind::patch:
            patch(operation);
            return true;
        case Operation::Kind::sync:
            return sync(operation);
        }
        return true;
    }

    static RegisterKind kind_at(uint32_t address) {
        const Address at = split(address);
        return decode_register(kind_of_row(at.row), at.offset).kind;
    }

    // Bit 0 of what is read says that it succeeded; waiting for anything else is not understood.
    bool request_lock(const Operation& operation) {
        if (operation.value != 1 || operation.mask != 1)
            throw SimulationError("a poll of a lock request for " + hex(operation.value) + " in " +
                                  hex(operation.mask) + " is not modelled");
        const bool done = array_.request_lock(operation.address);
        report_.waited += !done;
        return done;
    }

    bool pushed(uint32_t address, bool done) {
        if (kind_at(address) == RegisterKind::channel_queue)
            ++(done ? report_.pushes : report_.queue_full);
        return done;
    }

    // Address of a buffer into words 1 and 2 of a shim's descriptor; the upper 16 bits of word 2
    // stay.
    void patch(const Operation& operation) {
        const uint64_t address = buffers_.patched(operation.argument, operation.plus);
        if (address % 4 != 0)
            throw SimulationError("the address of a buffer is not a multiple of 4");
        const Address at = split(operation.address);
        const Register low = decode_register(kind_of_row(at.row), at.offset);
        if (at.row != 0 || low.kind != RegisterKind::descriptor || low.sub != 1)
            throw SimulationError("a DDR_PATCH of " + register_name(at) +
                                  ", which is not the address of a shim's descriptor");
        array_.write(operation.address, static_cast<uint32_t>(address));
        array_.mask_write(operation.address + 4, static_cast<uint32_t>(address >> 32), 0xFFFF);
    }

    bool sync(const Operation& operation) {
        std::vector<Token> left = array_.tokens_;
        for (uint32_t column = 0; column < operation.columns; ++column)
            for (uint32_t row = 0; row < operation.rows; ++row) {
                const Token wanted{operation.column + column, operation.row + row,
                                   static_cast<Direction>(operation.direction), operation.channel};
                const auto found = std::find(left.begin(), left.end(), wanted);
                if (found == left.end()) {
                    ++report_.waited;
                    return false;
                }
                left.erase(found);
            }
        array_.tokens_ = std::move(left);
        ++report_.synchronisations;
        return true;
    }

    Array& array_;
    const InstructionStream& stream_;
    HostBuffers& buffers_;
    RunReport& report_;
    size_t next_ = 0;
    uint64_t resumes_at_ = 0;
};

RunReport Array::run(const InstructionStream& stream, HostBuffers& buffers,
                     const std::atomic<bool>* stop) {
    if (tiles_.empty())
        throw SimulationError("no overlay is loaded");
    const std::unique_ptr<HostBuffers*, void (*)(HostBuffers**)> lent(
        &host_, [](HostBuffers** host) { *host = nullptr; });
    host_ = &buffers;
    RunReport report;
    Controller controller(*this, stream, buffers, report);
    std::vector<DmaChannel::Counters> channels_before;
    std::vector<Core::Counters> cores_before;

    // Cores may have started when they were configured.
    if (fresh_ && clock_.chance(2))
        step(clock_.random(4000));
    fresh_ = false;
    for (const auto& tile : tiles_) {
        for (const DmaChannel& channel : tile->channels)
            channels_before.push_back(channel.counters());
        cores_before.push_back(tile->core ? tile->core->counters() : Core::Counters{});
        tile->first_vmac = tile->last_vmac = 0;
    }

    const uint64_t start = clock_.now;
    // Longer than anything waits without being counted as progress.
    const uint64_t patience = 2000 + 4 * uint64_t{options_.ddr_latency};
    uint64_t progress = clock_.progress, since = clock_.now;
    for (controller.advance(); !controller.done(); controller.advance()) {
        cycle();
        if (clock_.progress != progress) {
            progress = clock_.progress;
            since = clock_.now;
        } else if (clock_.now - since > patience) {
            deadlock(controller.waits_for());
        }
        if (clock_.now - start >= options_.cycle_limit)
            throw Deadlock("the run is not over after " + std::to_string(options_.cycle_limit) +
                           " cycles; " + controller.waits_for());
        if (stop != nullptr && stop->load(std::memory_order_relaxed))
            throw Deadlock("the run was stopped; " + controller.waits_for());
    }
    report.cycles = clock_.now - start;
    report.tokens_left = tokens_.size();

    size_t channel_before = 0, core_before = 0;
    for (const auto& tile : tiles_) {
        for (const DmaChannel& channel : tile->channels) {
            const DmaChannel::Counters& before = channels_before[channel_before++];
            RunReport::Channel line{tile->column, tile->row, channel.direction(), channel.index(),
                                    channel.counters() - before};
            if (line.counters.words == 0 && line.counters.lock == 0 && line.counters.tasks == 0)
                continue;
            if (tile->facts.kind == TileKind::shim && channel.direction() == Direction::s2mm &&
                line.counters.words != 0)
                report.last_output =
                    std::max(report.last_output, channel.counters().last_word - start);
            report.channels.push_back(line);
        }
        const Core::Counters& before = cores_before[core_before++];
        if (tile->core == nullptr || !tile->core->enabled())
            continue;
        Core::Counters counters = tile->core->counters();
        if (counters.cycles >= before.cycles) // else it was reset in this run
            counters = counters - before;
        counters.first_vmac = tile->first_vmac != 0 ? tile->first_vmac - start : ~uint64_t{0};
        counters.last_vmac = tile->last_vmac != 0 ? tile->last_vmac - start : ~uint64_t{0};
        report.cores.push_back({tile->column, tile->row, counters});
    }
    return report;
}

namespace {

struct Multiplying {
    uint64_t cores = 0, vmacs = 0, first = ~uint64_t{0}, last = 0;
};

Multiplying multiplying(const RunReport& report) {
    Multiplying all;
    for (const RunReport::Core& core : report.cores) {
        if (core.counters.vmacs == 0)
            continue;
        ++all.cores;
        all.vmacs += core.counters.vmacs;
        all.first = std::min(all.first, core.counters.first_vmac);
        all.last = std::max(all.last, core.counters.last_vmac);
    }
    return all;
}

double share(uint64_t part, uint64_t whole) {
    return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

} // namespace

double RunReport::steady() const {
    const Multiplying all = multiplying(*this);
    return all.cores == 0 ? 0 : share(all.vmacs, all.cores * (all.last - all.first + 1));
}

double RunReport::whole() const {
    const Multiplying all = multiplying(*this);
    return share(all.vmacs, all.cores * last_output);
}

} // namespace npusim
