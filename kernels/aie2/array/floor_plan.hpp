// SPDX-License-Identifier: MIT
// The configuration of the array: what lies where, who waits for whom, and which way words flow.
// The data can be printed (explain.hpp), checked (validate.hpp) and written as registers
// (configuration.hpp); the functions that fill it read like a floor plan.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "kernels/aie2/array/descriptor.hpp"
#include "kernels/aie2/array/tile.hpp"
#include "kernels/aie2/program/program.hpp"

namespace npuenc::aie2 {

// A stretch of a buffer.
struct Slice {
    std::string buffer;
    uint32_t address; // in the tile's memory
    uint32_t bytes;
};

struct Buffer {
    std::string name;
    uint32_t address;
    uint32_t bytes;
    std::string shares_with; // another buffer of the tile that is dead when this one is alive

    Slice all() const { return {name, address, bytes}; }
    // Throws ArrayError outside of the buffer.
    Slice part(uint32_t offset, uint32_t length) const;
};

struct Lock {
    std::string name;
    int id;
    int initial;
};

// One transfer of a chain: waits for `take`, moves, gives `give`.
struct Transfer {
    Slice slice;
    LockChange take;
    LockChange give;
    std::vector<Dimension> dimensions = {}; // innermost first, in words; none is linear
};

struct Channel {
    Direction direction;
    int index;
    std::vector<int> chain; // its descriptors in order; the first is pushed at configuration
};

// What one activity of a core's program takes and gives each time it happens, e.g. "a tile of A and
// B is used up", "a tile of C is made". For the balance of locks.
struct Activity {
    std::string name;
    std::vector<LockChange> takes;
    std::vector<LockChange> gives;
    std::string instead_of = ""; // another activity, in whose place this one may happen
};

struct CoreProgram {
    std::string name;
    Program program;
    std::vector<uint8_t> bytes;
    std::vector<Activity> activities;
};

// Contents of a tile's memory at configuration.
struct Contents {
    std::string buffer;
    uint32_t address;
    std::vector<uint8_t> bytes;
};

struct Connection {
    Port slave;
    Port master;
};

// A tile and what was put into it.
class Tile {
  public:
    explicit Tile(TileId id) : id_(id) {}

    TileId id() const { return id_; }
    TileKind kind() const { return kind_of(id_); }

    const Buffer& buffer(std::string name, uint32_t address, uint32_t bytes,
                         std::string shares_with = "");
    const Lock& lock(std::string name, int id, int initial);
    // A chain of transfers that a channel repeats for ever, from configuration on. The channel's
    // descriptors are the lowest free ones that it may use. Throws ArrayError when there are none.
    void loop(Direction direction, int channel, const std::vector<Transfer>& transfers);
    void fill(const Buffer& buffer, std::vector<uint8_t> bytes);
    void run(std::string name, Program program, std::vector<Activity> activities);

    // Deques, so that what was returned above stays where it is.
    std::deque<Buffer> buffers;
    std::deque<Lock> locks;
    std::vector<Descriptor> descriptors;
    std::vector<Channel> channels;
    std::vector<Contents> contents;
    std::vector<CoreProgram> programs; // none or one
    std::vector<Connection> connections;
    bool sends_tokens = false; // a shim's completion tokens

  private:
    TileId id_;
};

LockChange one(const Lock& lock);
LockChange several(const Lock& lock, int value);

// The end of a route: a channel of a tile's DMA. A route begins at a channel out of memory (MM2S)
// and ends at channels into memory (S2MM).
struct Endpoint {
    TileId tile;
    int channel;

    bool operator==(const Endpoint&) const = default;
};

// One switch that a route passes: in at the slave port, out at the master port.
struct Hop {
    TileId tile;
    Port slave;
    Port master;
};

struct Route {
    std::string name;
    Endpoint from;
    std::vector<Endpoint> to;
    std::vector<Hop> hops; // in the order in which they were found
};

class FloorPlan {
  public:
    // Throws ArrayError for more columns than an npu1 has.
    FloorPlan(std::string name, int columns);

    const std::string& name() const { return name_; }
    int columns() const { return columns_; }

    Tile& shim(int column) { return at({column, 0}); }
    Tile& memory_tile(int column) { return at({column, 1}); }
    Tile& core(int column, int core_row) { return at({column, first_core_row + core_row}); }

    // Finds ports from `from` to each of `to`: up or down its own column to the row, then along the
    // row, on wires that no other route uses; what goes the same way for a while is sent once.
    // Throws ArrayError when a switch has no free wire left.
    void route(std::string name, Endpoint from, const std::vector<Endpoint>& to);
    // The way of a shim's completion tokens to the controller.
    void send_tokens(int column);

    // In the order of rows, then columns; only tiles that were asked for.
    std::vector<const Tile*> tiles() const;
    const Tile* find(TileId tile) const;
    const std::vector<Route>& routes() const { return routes_; }

  private:
    struct RowFirst {
        bool operator()(TileId a, TileId b) const {
            return a.row != b.row ? a.row < b.row : a.column < b.column;
        }
    };

    Tile& at(TileId tile);

    std::string name_;
    int columns_;
    std::map<TileId, Tile, RowFirst> tiles_;
    std::vector<Route> routes_;
};

} // namespace npuenc::aie2
