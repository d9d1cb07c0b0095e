// SPDX-License-Identifier: MIT
#include "kernels/aie2/array/validate.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "kernels/aie2/array/array_error.hpp"
#include "kernels/aie2/array/lock_balance.hpp"
#include "kernels/aie2/array/router.hpp"
#include "kernels/aie2/container/bytes.hpp"

namespace npuenc::aie2 {
namespace {

// What stands in the tile's memory or locks or descriptors, each by itself and beside the others.
class TileCheck {
  public:
    explicit TileCheck(const Tile& tile) : tile_(tile), limits_(limits_of(tile.kind())) {}

    std::vector<std::string> run() {
        check_buffers();
        check_locks();
        check_descriptors();
        check_channels();
        check_programs();
        if (faults_.empty())
            faults_ = find_lock_faults(tile_);
        return faults_;
    }

  private:
    void fault(const std::string& what) { faults_.push_back(name_of(tile_.id()) + ": " + what); }

    void check_buffers() {
        for (auto buffer = tile_.buffers.begin(); buffer != tile_.buffers.end(); ++buffer) {
            if (buffer->bytes == 0)
                fault("buffer " + buffer->name + " is empty");
            if (buffer->address % 4 != 0 || buffer->bytes % 4 != 0)
                fault("buffer " + buffer->name + " is not made of whole words");
            if (uint64_t{buffer->address} + buffer->bytes > limits_.memory_bytes)
                fault("buffer " + buffer->name + " ends at " +
                      hexadecimal(uint64_t{buffer->address} + buffer->bytes) + ", the memory at " +
                      hexadecimal(limits_.memory_bytes));
            for (auto other = tile_.buffers.begin(); other != buffer; ++other) {
                if (other->name == buffer->name)
                    fault("two buffers are called " + buffer->name);
                const bool apart = other->address + other->bytes <= buffer->address ||
                                   buffer->address + buffer->bytes <= other->address;
                const bool shared =
                    other->shares_with == buffer->name || buffer->shares_with == other->name;
                if (!apart && !shared)
                    fault("buffers " + other->name + " and " + buffer->name + " overlap");
            }
        }
        for (const Contents& contents : tile_.contents) {
            if (contents.address % 4 != 0 || contents.bytes.size() % 4 != 0)
                fault("the contents of " + contents.buffer + " are not whole words");
            if (!in_a_buffer(contents.address, contents.address + contents.bytes.size()))
                fault("the contents of " + contents.buffer + " are larger than it is");
        }
    }

    bool in_a_buffer(uint64_t begin, uint64_t end) const {
        return std::any_of(tile_.buffers.begin(), tile_.buffers.end(), [&](const Buffer& buffer) {
            return begin >= buffer.address && end <= uint64_t{buffer.address} + buffer.bytes;
        });
    }

    void check_locks() {
        for (auto lock = tile_.locks.begin(); lock != tile_.locks.end(); ++lock) {
            if (lock->id < 0 || lock->id >= limits_.locks)
                fault("there is no lock " + std::to_string(lock->id) + " for " + lock->name);
            if (lock->initial < 0 || lock->initial > max_lock_value)
                fault("lock " + lock->name + " cannot begin at " + std::to_string(lock->initial));
            for (auto other = tile_.locks.begin(); other != lock; ++other) {
                if (other->id == lock->id)
                    fault("locks " + other->name + " and " + lock->name + " are both " +
                          std::to_string(lock->id));
            }
        }
    }

    void check_use(const LockChange& use, const std::string& who) {
        const bool declared = std::any_of(tile_.locks.begin(), tile_.locks.end(),
                                          [&](const Lock& lock) { return lock.id == use.lock; });
        if (!declared)
            fault(who + " uses lock " + std::to_string(use.lock) + ", which is not declared");
        if (use.value < 1 || use.value > max_lock_value)
            fault(who + " changes a lock by " + std::to_string(use.value));
    }

    bool is_set(int descriptor) const {
        return std::any_of(tile_.descriptors.begin(), tile_.descriptors.end(),
                           [&](const Descriptor& d) { return d.id == descriptor; });
    }

    void check_descriptors() {
        std::set<int> ids;
        for (const Descriptor& descriptor : tile_.descriptors) {
            const std::string who = "descriptor " + std::to_string(descriptor.id);
            if (descriptor.id < 0 || descriptor.id >= limits_.descriptors)
                fault("there is no " + who);
            if (!ids.insert(descriptor.id).second)
                fault(who + " is set twice");
            if (descriptor.next && !is_set(*descriptor.next))
                fault(who + " goes on to descriptor " + std::to_string(*descriptor.next) +
                      ", which is not set");
            for (const auto& use : {descriptor.acquire, descriptor.release}) {
                if (use)
                    check_use(*use, who);
            }
            check_transfer(descriptor, who);
        }
    }

    void check_transfer(const Descriptor& descriptor, const std::string& who) {
        const size_t n_faults = faults_.size();
        if (descriptor.words == 0 || descriptor.words > limits_.max_words) {
            fault(who + " cannot move " + std::to_string(descriptor.words) + " words");
            return;
        }
        if (descriptor.address % 4 != 0)
            fault(who + " begins at " + hexadecimal(descriptor.address) + ", inside a word");
        if (descriptor.dimensions.size() > static_cast<size_t>(limits_.dimensions))
            fault(who + " has " + std::to_string(descriptor.dimensions.size()) +
                  " dimensions; there are " + std::to_string(limits_.dimensions));
        uint64_t product = 1;
        for (size_t i = 0; i < descriptor.dimensions.size(); ++i) {
            const Dimension& dimension = descriptor.dimensions[i];
            const bool counted = i + 1 < static_cast<size_t>(limits_.dimensions);
            if (dimension.step < 1 || dimension.step > limits_.max_step)
                fault(who + " cannot step " + std::to_string(dimension.step) + " words");
            if (dimension.count < 1 || (counted && dimension.count > limits_.max_wrap))
                fault(who + " cannot make " + std::to_string(dimension.count) +
                      " steps in a dimension");
            product *= dimension.count;
        }
        if (!descriptor.dimensions.empty() && product != descriptor.words)
            fault(who + " moves " + std::to_string(descriptor.words) +
                  " words, but its dimensions make " + std::to_string(product));
        if (descriptor.iteration.count < 1 || descriptor.iteration.count > max_iterations)
            fault(who + " cannot iterate " + std::to_string(descriptor.iteration.count) + " times");
        if (descriptor.iteration.step < 1 || descriptor.iteration.step > limits_.max_step)
            fault(who + " cannot iterate by " + std::to_string(descriptor.iteration.step) +
                  " words");
        if (tile_.kind() == TileKind::shim || faults_.size() > n_faults)
            return;
        const uint64_t end = end_of(descriptor);
        if (end > limits_.memory_bytes)
            fault(who + " moves up to " + hexadecimal(end) + ", the memory ends at " +
                  hexadecimal(limits_.memory_bytes));
        else if (!in_a_buffer(descriptor.address, end))
            fault(who + " (" + hexadecimal(descriptor.address) + " to " + hexadecimal(end) +
                  ") is not inside a buffer");
    }

    void check_channels() {
        std::map<int, std::string> owner; // of each descriptor
        for (auto channel = tile_.channels.begin(); channel != tile_.channels.end(); ++channel) {
            const std::string who = name_of(channel->direction, channel->index);
            if (channel->index < 0 || channel->index >= limits_.channels)
                fault("there is no " + who);
            for (auto other = tile_.channels.begin(); other != channel; ++other) {
                if (other->direction == channel->direction && other->index == channel->index)
                    fault(who + " is started twice");
            }
            if (channel->chain.empty())
                fault(who + " has nothing to do");
            for (int id : channel->chain) {
                if (!is_set(id))
                    fault(who + " uses descriptor " + std::to_string(id) + ", which is not set");
                if (!may_use(tile_.kind(), channel->index, id))
                    fault(who + " may not use descriptor " + std::to_string(id));
                const auto [place, is_new] = owner.emplace(id, who);
                if (!is_new)
                    fault(who + " uses descriptor " + std::to_string(id) + " of " + place->second);
            }
        }
    }

    void check_programs() {
        if (tile_.programs.empty())
            return;
        if (tile_.kind() != TileKind::core)
            fault("a program in a tile without a core");
        if (tile_.programs.size() > 1)
            fault("two programs");
        for (const CoreProgram& program : tile_.programs) {
            if (program.bytes.empty() || program.bytes.size() > limits_.program_bytes)
                fault("program " + program.name + " has " + std::to_string(program.bytes.size()) +
                      " bytes; there are " + std::to_string(limits_.program_bytes));
            for (const Activity& activity : program.activities) {
                for (const auto* uses : {&activity.takes, &activity.gives}) {
                    for (const LockChange& use : *uses)
                        check_use(use, "the program's " + activity.name);
                }
                const auto replaces = [&](const Activity& other) {
                    return other.name == activity.instead_of;
                };
                if (!activity.instead_of.empty() &&
                    std::none_of(program.activities.begin(), program.activities.end(), replaces))
                    fault("the program has no " + activity.instead_of + " that " + activity.name +
                          " could replace");
            }
        }
    }

    const Tile& tile_;
    const TileLimits& limits_;
    std::vector<std::string> faults_;
};

// Switches and wires: every word that enters a wire leaves it, and comes from somewhere.
class StreamCheck {
  public:
    explicit StreamCheck(const FloorPlan& plan) : plan_(plan) {}

    std::vector<std::string> run() {
        for (const Tile* tile : plan_.tiles())
            check_switch(*tile);
        if (!faults_.empty())
            return faults_;
        for (const Tile* tile : plan_.tiles()) {
            for (const Connection& connection : tile->connections)
                check_ends(*tile, connection);
            check_channels(*tile);
        }
        if (faults_.empty()) {
            for (const Route& route : plan_.routes())
                check_messages(route);
        }
        return faults_;
    }

  private:
    void check_switch(const Tile& tile) {
        std::set<Port> driven;
        if (tile.sends_tokens)
            driven.insert({PortKind::south, 0});
        for (const Connection& connection : tile.connections) {
            try {
                port_number(tile.kind(), PortSide::slave, connection.slave);
                port_number(tile.kind(), PortSide::master, connection.master);
            } catch (const ArrayError& error) {
                fault(tile, error.what());
                continue;
            }
            if (!can_connect(tile.kind(), connection.slave, connection.master))
                fault(tile, "the switch cannot connect " + name_of(connection.slave) + " to " +
                                name_of(connection.master));
            if (!driven.insert(connection.master).second)
                fault(tile, "port " + name_of(connection.master) + " is driven twice");
        }
        if (tile.sends_tokens && tile.kind() != TileKind::shim)
            fault(tile, "sends completion tokens, which only shims do");
    }

    // A shim's switch meets the DMA at South ports.
    static std::optional<Endpoint> dma_end(const Tile& tile, Port port, Direction direction) {
        for (int channel = 0; channel < limits_of(tile.kind()).channels; ++channel) {
            const Endpoint end{tile.id(), channel};
            if (port == (direction == Direction::out_of_memory ? entry_port(end) : exit_port(end)))
                return end;
        }
        return {};
    }

    static bool is_started(const Tile& tile, Direction direction, int channel) {
        // The host's instruction stream starts the channels of shims.
        return tile.kind() == TileKind::shim ||
               std::any_of(tile.channels.begin(), tile.channels.end(), [&](const Channel& c) {
                   return c.direction == direction && c.index == channel;
               });
    }

    void check_ends(const Tile& tile, const Connection& connection) {
        const Port slave = connection.slave;
        if (const auto end = dma_end(tile, slave, Direction::out_of_memory)) {
            if (!is_started(tile, Direction::out_of_memory, end->channel))
                fault(tile, name_of(slave) + " is connected, but " +
                                name_of(Direction::out_of_memory, end->channel) +
                                " is not started");
        } else if (const auto wire = across(tile.id(), slave, plan_.columns())) {
            if (!uses(*wire, PortSide::master))
                fault(tile, name_of(slave) + " is connected, but nothing comes from " +
                                name_of(wire->tile));
        } else if (slave.kind != PortKind::core && slave.kind != PortKind::trace) {
            fault(tile, "nothing comes in at " + name_of(slave));
        }

        const Port master = connection.master;
        if (const auto end = dma_end(tile, master, Direction::into_memory)) {
            if (!is_started(tile, Direction::into_memory, end->channel))
                fault(tile, name_of(master) + " is connected, but " +
                                name_of(Direction::into_memory, end->channel) + " is not started");
        } else if (const auto wire = across(tile.id(), master, plan_.columns())) {
            if (!uses(*wire, PortSide::slave))
                fault(tile,
                      "what leaves at " + name_of(master) + " ends in " + name_of(wire->tile));
        } else if (master.kind != PortKind::core) {
            fault(tile, "what leaves at " + name_of(master) + " is lost");
        }
    }

    bool uses(const Wire& wire, PortSide side) const {
        const Tile* tile = plan_.find(wire.tile);
        return tile &&
               std::any_of(tile->connections.begin(), tile->connections.end(),
                           [&](const Connection& connection) {
                               return (side == PortSide::slave ? connection.slave
                                                               : connection.master) == wire.port;
                           });
    }

    void check_channels(const Tile& tile) {
        for (const Channel& channel : tile.channels) {
            const bool out = channel.direction == Direction::out_of_memory;
            const Endpoint end{tile.id(), channel.index};
            const Wire place{tile.id(), out ? entry_port(end) : exit_port(end)};
            if (!uses(place, out ? PortSide::slave : PortSide::master))
                fault(tile,
                      name_of(channel.direction, channel.index) + " is started, but not connected");
        }
    }

    // The length of a channel's transfers, if they all have the same.
    std::optional<uint32_t> message_words(Endpoint end, Direction direction) const {
        std::optional<uint32_t> words;
        const Tile* tile = plan_.find(end.tile);
        for (const Channel& channel : tile->channels) {
            if (channel.direction != direction || channel.index != end.channel)
                continue;
            for (const Descriptor& descriptor : tile->descriptors) {
                if (std::find(channel.chain.begin(), channel.chain.end(), descriptor.id) ==
                    channel.chain.end())
                    continue;
                if (words && *words != descriptor.words)
                    return {};
                words = descriptor.words;
            }
        }
        return words;
    }

    // Words have no addresses on the way: sender and receiver must cut the stream at the same
    // places.
    void check_messages(const Route& route) {
        const auto sent = message_words(route.from, Direction::out_of_memory);
        for (const Endpoint& to : route.to) {
            const auto received = message_words(to, Direction::into_memory);
            if (sent && received && *sent % *received != 0 && *received % *sent != 0)
                faults_.push_back("route " + route.name + ": " + name_of(route.from.tile) +
                                  " sends " + std::to_string(*sent) + " words at a time, but " +
                                  name_of(to.tile) + " receives " + std::to_string(*received));
        }
    }

    void fault(const Tile& tile, const std::string& what) {
        faults_.push_back(name_of(tile.id()) + ": " + what);
    }

    const FloorPlan& plan_;
    std::vector<std::string> faults_;
};

} // namespace

std::vector<std::string> find_faults(const FloorPlan& plan) {
    std::vector<std::string> faults;
    for (const Tile* tile : plan.tiles()) {
        const std::vector<std::string> found = TileCheck(*tile).run();
        faults.insert(faults.end(), found.begin(), found.end());
    }
    return faults.empty() ? StreamCheck(plan).run() : faults;
}

} // namespace npuenc::aie2
