// SPDX-License-Identifier: MIT
#include "kernels/aie2/array/floor_plan.hpp"

#include <algorithm>

#include "kernels/aie2/array/array_error.hpp"
#include "kernels/aie2/array/registers.hpp"
#include "kernels/aie2/array/router.hpp"

namespace npuenc::aie2 {
namespace {

int free_descriptor(const Tile& tile, int channel) {
    for (int id = 0; id < limits_of(tile.kind()).descriptors; ++id) {
        const bool used = std::any_of(tile.descriptors.begin(), tile.descriptors.end(),
                                      [&](const Descriptor& d) { return d.id == id; });
        if (!used && may_use(tile.kind(), channel, id))
            return id;
    }
    throw ArrayError(name_of(tile.id()) + ": no descriptor left for channel " +
                     std::to_string(channel));
}

} // namespace

Slice Buffer::part(uint32_t offset, uint32_t length) const {
    if (offset > bytes || length > bytes - offset)
        throw ArrayError("buffer " + name + " has " + std::to_string(bytes) + " bytes, not " +
                         std::to_string(offset) + " + " + std::to_string(length));
    return {name, address + offset, length};
}

LockChange one(const Lock& lock) {
    return {lock.id, 1};
}
LockChange several(const Lock& lock, int value) {
    return {lock.id, value};
}

const Buffer& Tile::buffer(std::string name, uint32_t address, uint32_t bytes,
                           std::string shares_with) {
    buffers.push_back({std::move(name), address, bytes, std::move(shares_with)});
    return buffers.back();
}

const Lock& Tile::lock(std::string name, int id, int initial) {
    locks.push_back({std::move(name), id, initial});
    return locks.back();
}

void Tile::loop(Direction direction, int channel, const std::vector<Transfer>& transfers) {
    Channel started{direction, channel, {}};
    for (const Transfer& transfer : transfers) {
        Descriptor descriptor;
        descriptor.id = free_descriptor(*this, channel);
        descriptor.address = transfer.slice.address;
        descriptor.words = transfer.slice.bytes / 4;
        descriptor.dimensions = transfer.dimensions;
        descriptor.acquire = transfer.take;
        descriptor.release = transfer.give;
        started.chain.push_back(descriptor.id);
        descriptors.push_back(std::move(descriptor));
    }
    for (size_t i = 0; i < transfers.size(); ++i) {
        Descriptor& descriptor = descriptors[descriptors.size() - transfers.size() + i];
        descriptor.next = started.chain[(i + 1) % transfers.size()];
    }
    channels.push_back(std::move(started));
}

void Tile::fill(const Buffer& buffer, std::vector<uint8_t> bytes) {
    contents.push_back({buffer.name, buffer.address, std::move(bytes)});
}

void Tile::run(std::string name, Program program, std::vector<Activity> activities) {
    std::vector<uint8_t> bytes = program.finish();
    programs.push_back(
        {std::move(name), std::move(program), std::move(bytes), std::move(activities)});
}

FloorPlan::FloorPlan(std::string name, int columns) : name_(std::move(name)), columns_(columns) {
    if (columns < 1 || columns > max_columns)
        throw ArrayError(name_ + ": " + std::to_string(columns) + " columns");
}

Tile& FloorPlan::at(TileId tile) {
    if (tile.column < 0 || tile.column >= columns_ || tile.row < 0 || tile.row >= n_rows)
        throw ArrayError(name_ + ": there is no " + name_of(tile));
    return tiles_.try_emplace(tile, tile).first->second;
}

void FloorPlan::route(std::string name, Endpoint from, const std::vector<Endpoint>& to) {
    Route route{std::move(name), from, to, {}};
    std::vector<Hop> taken;
    for (const Tile* tile : tiles()) {
        for (const Connection& connection : tile->connections)
            taken.push_back({tile->id(), connection.slave, connection.master});
    }
    route.hops = find_route(route, taken, columns_);
    for (const Hop& hop : route.hops)
        at(hop.tile).connections.push_back({hop.slave, hop.master});
    routes_.push_back(std::move(route));
}

void FloorPlan::send_tokens(int column) {
    shim(column).sends_tokens = true;
}

std::vector<const Tile*> FloorPlan::tiles() const {
    std::vector<const Tile*> all;
    for (const auto& [id, tile] : tiles_)
        all.push_back(&tile);
    return all;
}

const Tile* FloorPlan::find(TileId tile) const {
    const auto found = tiles_.find(tile);
    return found == tiles_.end() ? nullptr : &found->second;
}

} // namespace npuenc::aie2
