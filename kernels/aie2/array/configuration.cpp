// SPDX-License-Identifier: MIT
// The order is that of the public npu1 programs; nobody publishes which parts of it the hardware
// depends on, so all of it is kept, also writes that change nothing.
#include "kernels/aie2/array/configuration.hpp"

#include <algorithm>
#include <iterator>

#include "kernels/aie2/array/registers.hpp"

namespace npuenc::aie2 {
namespace {

class Writer {
  public:
    void load_core(const Tile& tile) {
        mask_write(tile, core_control, core_control_enable, 0);
        reset_channels(tile, channel_control_reset);
        for (const CoreProgram& program : tile.programs)
            block(tile, program_memory, words_of(program.bytes));
        load_contents(tile);
        reset_channels(tile, 0);
    }

    void load_contents(const Tile& tile) {
        for (const Contents& contents : tile.contents)
            block(tile, contents.address, words_of(contents.bytes));
    }

    void reset_core(const Tile& tile) {
        mask_write(tile, core_control, core_control_reset, core_control_reset);
        mask_write(tile, core_control, core_control_reset, 0);
        for (int lock = 0; lock < limits_of(tile.kind()).locks; ++lock)
            write(tile, lock_register(tile.kind(), lock), 0);
    }

    void set_locks(const Tile& tile) {
        for (const Lock& lock : tile.locks)
            write(tile, lock_register(tile.kind(), lock.id), static_cast<uint32_t>(lock.initial));
    }

    void start_channels(const Tile& tile) {
        const TileKind kind = tile.kind();
        for (const Descriptor& descriptor : tile.descriptors)
            block(tile, descriptor_register(kind, descriptor.id), pack(kind, descriptor));
        for (const Channel& channel : tile.channels) {
            write(tile, channel_queue_register(kind, channel.direction, channel.index),
                  pack_push(channel.chain.front(), 1, false));
            mask_write(tile, channel_control_register(kind, channel.direction, channel.index), 0,
                       1);
        }
    }

    void set_switch(const Tile& tile) {
        const TileKind kind = tile.kind();
        for (const Connection& connection : tile.connections) {
            write(tile, master_register(kind, connection.master),
                  pack_circuit(port_number(kind, PortSide::slave, connection.slave)));
            write(tile, slave_register(kind, connection.slave), port_enable);
        }
        if (tile.sends_tokens) {
            // The arbiter and message select that mlir-aie gives to this route.
            constexpr int arbiter = 5;
            constexpr int select = 3;
            constexpr Port slave{PortKind::control, 0};
            write(tile, master_register(kind, {PortKind::south, 0}),
                  pack_packet_master(arbiter, 1u << select));
            write(tile, slave_register(kind, slave), port_enable | port_packets);
            write(tile, slot_register(kind, slave, 0),
                  pack_slot(token_packet, 0x1F, select, arbiter));
        }
    }

    void set_shim_mux(const Tile& shim) {
        for (Direction direction : {Direction::out_of_memory, Direction::into_memory}) {
            for (int channel = 0; channel < limits_of(shim.kind()).channels; ++channel) {
                if (!is_connected(shim, direction, shim_port(direction, channel)))
                    continue;
                const MaskedWrite mux = shim_mux(direction, channel);
                mask_write(shim, mux.offset, mux.mask, mux.value);
            }
        }
    }

    void enable_core(const Tile& tile) {
        mask_write(tile, core_control, core_control_enable, core_control_enable);
    }

    std::vector<CdoCommand> commands;

  private:
    void write(const Tile& tile, uint32_t offset, uint32_t value) {
        commands.push_back(CdoCommand::write(tile_address(tile.id(), offset), value));
    }
    void mask_write(const Tile& tile, uint32_t offset, uint32_t mask, uint32_t value) {
        commands.push_back(CdoCommand::mask_write(tile_address(tile.id(), offset), mask, value));
    }
    void block(const Tile& tile, uint32_t offset, std::vector<uint32_t> words) {
        commands.push_back(
            CdoCommand::dma_write(tile_address(tile.id(), offset), std::move(words)));
    }

    void reset_channels(const Tile& tile, uint32_t value) {
        for (Direction direction : {Direction::out_of_memory, Direction::into_memory}) {
            for (int channel = 0; channel < limits_of(tile.kind()).channels; ++channel)
                mask_write(tile, channel_control_register(tile.kind(), direction, channel),
                           channel_control_reset, value);
        }
    }

    static bool is_connected(const Tile& tile, Direction direction, Port port) {
        return std::any_of(
            tile.connections.begin(), tile.connections.end(), [&](const Connection& connection) {
                return port == (direction == Direction::out_of_memory ? connection.slave
                                                                      : connection.master);
            });
    }
};

} // namespace

std::vector<CdoCommand> configure(const FloorPlan& plan) {
    const std::vector<const Tile*> tiles = plan.tiles();
    std::vector<const Tile*> running; // have a program
    std::copy_if(tiles.begin(), tiles.end(), std::back_inserter(running),
                 [](const Tile* tile) { return !tile->programs.empty(); });

    Writer writer;
    for (const Tile* core : running)
        writer.load_core(*core);
    for (const Tile* core : running)
        writer.reset_core(*core);
    for (const Tile* tile : tiles) {
        if (tile->programs.empty())
            writer.load_contents(*tile);
    }
    for (const Tile* tile : tiles)
        writer.set_locks(*tile);
    for (TileKind kind : {TileKind::core, TileKind::memory}) {
        for (const Tile* tile : tiles) {
            if (tile->kind() == kind)
                writer.start_channels(*tile);
        }
    }
    for (const Tile* tile : tiles)
        writer.set_switch(*tile);
    for (const Tile* tile : tiles) {
        if (tile->kind() == TileKind::shim)
            writer.set_shim_mux(*tile);
    }
    for (const Tile* core : running)
        writer.enable_core(*core);
    return std::move(writer.commands);
}

} // namespace npuenc::aie2
