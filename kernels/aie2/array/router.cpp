// SPDX-License-Identifier: MIT
// A route's way to a tile is always the same: along the source's column, then along the tile's row.
// So the ways to several tiles make a tree, and only the number of each wire is to be chosen: the
// lowest that is free.
#include "kernels/aie2/array/router.hpp"

#include <algorithm>
#include <map>

#include "kernels/aie2/array/array_error.hpp"
#include "kernels/aie2/array/registers.hpp"

namespace npuenc::aie2 {
namespace {

class Search {
  public:
    Search(const Route& route, std::span<const Hop> taken, int columns)
        : route_(route), taken_(taken), columns_(columns) {}

    std::vector<Hop> run() {
        const Port entry = entry_port(route_.from);
        if (is_taken(route_.from.tile, PortSide::slave, entry))
            fail(name_of(route_.from.tile) + " already sends from " +
                 name_of(Direction::out_of_memory, route_.from.channel));
        entries_[route_.from.tile] = entry;
        for (const Endpoint& to : route_.to) {
            blocked_ = route_.from.tile;
            if (!reach(route_.from.tile, to))
                fail("no free wire from " + name_of(blocked_) + " on the way to " +
                     name_of(to.tile));
        }
        return hops_;
    }

  private:
    [[noreturn]] void fail(const std::string& what) const {
        throw ArrayError("route " + route_.name + ": " + what);
    }

    bool is_taken(TileId tile, PortSide side, Port port) const {
        const auto uses = [&](const Hop& hop) {
            return hop.tile == tile && (side == PortSide::slave ? hop.slave : hop.master) == port;
        };
        return std::any_of(taken_.begin(), taken_.end(), uses) ||
               std::any_of(hops_.begin(), hops_.end(), uses);
    }

    static PortKind towards(TileId here, TileId there) {
        if (here.row != there.row)
            return here.row < there.row ? PortKind::north : PortKind::south;
        return here.column < there.column ? PortKind::east : PortKind::west;
    }

    // From `here`, where the route is already, to `to`. False: there is no way.
    bool reach(TileId here, const Endpoint& to) {
        const Port slave = entries_.at(here);
        if (here == to.tile) {
            const Port exit = exit_port(to);
            if (is_taken(here, PortSide::master, exit))
                fail(name_of(here) + " already receives at " +
                     name_of(Direction::into_memory, to.channel));
            if (!can_connect(kind_of(here), slave, exit))
                fail(name_of(here) + " cannot connect " + name_of(slave) + " to " + name_of(exit));
            hops_.push_back({here, slave, exit});
            return true;
        }

        const PortKind direction = towards(here, to.tile);
        const auto shared = std::find_if(hops_.begin(), hops_.end(), [&](const Hop& hop) {
            return hop.tile == here && hop.master.kind == direction;
        });
        if (shared != hops_.end())
            return reach(across(here, shared->master, columns_)->tile, to);

        const int n_wires = port_count(kind_of(here), PortSide::master, direction);
        for (int i = 0; i < n_wires; ++i) {
            const Port master{direction, i};
            const auto wire = across(here, master, columns_);
            if (!wire)
                break;
            if (is_taken(here, PortSide::master, master) ||
                !can_connect(kind_of(here), slave, master))
                continue;
            hops_.push_back({here, slave, master});
            entries_[wire->tile] = wire->port;
            if (reach(wire->tile, to))
                return true;
            hops_.pop_back();
            entries_.erase(wire->tile);
        }
        blocked_ = here;
        return false;
    }

    const Route& route_;
    std::span<const Hop> taken_;
    int columns_;
    std::vector<Hop> hops_;
    std::map<TileId, Port> entries_; // where the route enters a tile that it has reached
    TileId blocked_{};
};

} // namespace

// A port that there is not, port_number refuses.
Port entry_port(Endpoint from) {
    if (kind_of(from.tile) == TileKind::shim)
        return shim_port(Direction::out_of_memory, from.channel);
    const Port port{PortKind::dma, from.channel};
    port_number(kind_of(from.tile), PortSide::slave, port);
    return port;
}

Port exit_port(Endpoint to) {
    if (kind_of(to.tile) == TileKind::shim)
        return shim_port(Direction::into_memory, to.channel);
    const Port port{PortKind::dma, to.channel};
    port_number(kind_of(to.tile), PortSide::master, port);
    return port;
}

std::vector<Hop> find_route(const Route& route, std::span<const Hop> taken, int columns) {
    return Search(route, taken, columns).run();
}

} // namespace npuenc::aie2
