// SPDX-License-Identifier: MIT
#include "tools/npusim/explain.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "tools/npusim/array.hpp"
#include "tools/npusim/decoder.hpp"

namespace npusim {

using npuenc::aie2::CdoCommand;

namespace {

// Program memory that was written in one piece.
struct Program {
    uint32_t column, row, offset;
    std::vector<uint8_t> bytes;
};

std::vector<Program> programs_of(const Overlay& overlay) {
    std::vector<Program> programs;
    for (const CdoCommand& command : overlay.commands) {
        const Address address = split(static_cast<uint32_t>(command.address));
        if (command.kind != CdoCommand::Kind::dma_write || address.row < first_core_row ||
            address.row >= rows)
            continue;
        const Register at = decode_register(TileKind::core, address.offset);
        if (at.kind != RegisterKind::program_memory)
            continue;
        Program program{address.column, address.row, at.index, {}};
        for (const uint32_t word : command.words)
            for (int byte = 0; byte < 4; ++byte)
                program.bytes.push_back(static_cast<uint8_t>(word >> 8 * byte));
        programs.push_back(std::move(program));
    }
    return programs;
}

using Tasks = std::map<std::pair<uint32_t, uint32_t>, std::vector<std::string>>;

// Tasks that the configuration itself pushes.
Tasks tasks_of(const Overlay& overlay) {
    Tasks tasks;
    for (const CdoCommand& command : overlay.commands) {
        const Address address = split(static_cast<uint32_t>(command.address));
        if (command.kind != CdoCommand::Kind::write || address.row >= rows)
            continue;
        const Register at = decode_register(kind_of_row(address.row), address.offset);
        if (at.kind == RegisterKind::channel_queue)
            tasks[{address.column, address.row}].push_back(
                channel_name(static_cast<Direction>(at.sub), at.index) +
                " starts with descriptor " + std::to_string(command.value & 0x3F) +
                (command.value >> 16 & 0xFF
                     ? ", " + std::to_string((command.value >> 16 & 0xFF) + 1) + " times"
                     : ""));
    }
    return tasks;
}

std::string lock_text(TileKind kind, const BufferDescriptor::Lock& lock) {
    if (kind != TileKind::memory)
        return std::to_string(lock.id);
    static constexpr const char* sides[] = {"west ", "", "east ", "? "};
    return sides[lock.id / memory_locks] + std::to_string(lock.id % memory_locks);
}

std::string descriptor_text(TileKind kind, uint32_t id, const BufferDescriptor& descriptor) {
    std::string line = "  descriptor " + std::to_string(id) + ": " +
                       std::to_string(uint64_t{descriptor.length} * 4) + " bytes at ";
    const uint64_t byte = descriptor.address * 4;
    if (kind == TileKind::memory) {
        static constexpr const char* sides[] = {"west ", "", "east ", "? "};
        line += sides[byte / memory_tile_size] + hex(byte % memory_tile_size);
    } else {
        line += hex(byte);
    }
    for (size_t i = 0; i < descriptor.dimensions.size(); ++i) {
        const BufferDescriptor::Dimension& dimension = descriptor.dimensions[i];
        if (dimension.wrap == 0 && dimension.step == 1)
            continue;
        line += ", d" + std::to_string(i) + ' ' +
                (dimension.wrap != 0 ? std::to_string(dimension.wrap) : "*") + " by " +
                std::to_string(dimension.step);
        if (dimension.zeros_before != 0 || dimension.zeros_after != 0)
            line += " (zeros " + std::to_string(dimension.zeros_before) + " before, " +
                    std::to_string(dimension.zeros_after) + " after)";
    }
    if (descriptor.iterations > 1)
        line += ", iterations " + std::to_string(descriptor.iterations) + " by " +
                std::to_string(descriptor.iteration_step);
    if (descriptor.packet)
        line += ", packet " + std::to_string(descriptor.packet_id);
    if (descriptor.acquire.enabled)
        line += ", acquires lock " + lock_text(kind, descriptor.acquire) + " (" +
                std::to_string(descriptor.acquire.value) + ')';
    if (descriptor.release.enabled)
        line += ", releases lock " + lock_text(kind, descriptor.release) + " (" +
                std::to_string(descriptor.release.value) + ')';
    if (descriptor.chained)
        line += ", then descriptor " + std::to_string(descriptor.next);
    return line + '\n';
}

// Who sends into a master port, one line a port.
std::string streams_text(const Tile& tile) {
    const StreamSwitch& ports = tile.stream_switch;
    std::string text;
    for (uint32_t m = 0; m < ports_in(tile.facts.masters); ++m) {
        const uint32_t master = ports.master(m);
        if (!switch_enabled(master))
            continue;
        text += "  stream " + to_string(port_at(tile.facts.masters, m)) + " from";
        if (!switch_packets(master)) {
            text += ' ' + to_string(port_at(tile.facts.slaves, circuit_slave(master))) + '\n';
            continue;
        }
        for (uint32_t s = 0; s < ports_in(tile.facts.slaves); ++s)
            for (uint32_t i = 0; switch_packets(ports.slave(s)) && i < slots_per_slave; ++i) {
                const uint32_t slot = ports.slot(s, i);
                if (slot_enabled(slot) && slot_arbiter(slot) == master_arbiter(master) &&
                    (master_selects(master) >> slot_select(slot) & 1))
                    text += ' ' + to_string(port_at(tile.facts.slaves, s)) + " packets " +
                            std::to_string(slot_id(slot)) + "/" + hex(slot_mask(slot));
            }
        text += drops_header(master) ? ", header dropped\n" : "\n";
    }
    return text;
}

std::string tile_text(const Tile& tile, const std::vector<Program>& programs, const Tasks& tasks) {
    std::string text;
    for (const Program& program : programs)
        if (program.column == tile.column && program.row == tile.row)
            text += "  program: " + std::to_string(program.bytes.size()) + " bytes at " +
                    hex(program.offset) + '\n';
    if (tile.core != nullptr && tile.core->enabled())
        text += "  core: enabled\n";
    std::string locks;
    for (uint32_t i = 0; i < tile.facts.locks; ++i)
        if (tile.locks.value(i) != 0)
            locks += ' ' + std::to_string(i) + '=' + std::to_string(tile.locks.value(i));
    if (!locks.empty())
        text += "  locks:" + locks + '\n';
    std::vector<std::pair<uint64_t, uint32_t>> map; // by address
    for (uint32_t i = 0; i < tile.facts.descriptors; ++i) {
        const BufferDescriptor descriptor = decode_descriptor(tile.facts.kind, tile.descriptors[i]);
        if (descriptor.valid)
            map.emplace_back(descriptor.address, i);
    }
    std::sort(map.begin(), map.end());
    for (const auto& [address, i] : map)
        text += descriptor_text(tile.facts.kind, i,
                                decode_descriptor(tile.facts.kind, tile.descriptors[i]));
    if (const auto found = tasks.find({tile.column, tile.row}); found != tasks.end())
        for (const std::string& task : found->second)
            text += "  " + task + '\n';
    text += streams_text(tile);
    return text.empty() ? text : tile.name + '\n' + text;
}

} // namespace

std::string explain(const Overlay& overlay) {
    Array array;
    array.load(overlay);
    const std::vector<Program> programs = programs_of(overlay);
    const Tasks tasks = tasks_of(overlay);
    std::string text = "overlay of " + std::to_string(overlay.columns) + " columns, " +
                       std::to_string(overlay.commands.size()) + " commands\n";
    for (uint32_t column = 0; column < array.columns(); ++column)
        for (uint32_t row = 0; row < rows; ++row)
            text += tile_text(array.tile(column, row), programs, tasks);
    return text;
}

std::string explain(const InstructionStream& stream) {
    std::string text = "instruction stream, version " + std::to_string(stream.major) + '.' +
                       std::to_string(stream.minor) + ", " + std::to_string(stream.columns) +
                       " columns, " + std::to_string(stream.operations.size()) + " operations\n";
    for (const Operation& operation : stream.operations)
        text += std::to_string(operation.at) + ": " + to_string(operation) + '\n';
    return text;
}

std::string disassemble(const Overlay& overlay) {
    std::string text;
    for (const Program& program : programs_of(overlay)) {
        text += tile_name(program.column, program.row) + '\n';
        for (const std::string& line : disassemble(std::span(program.bytes), program.offset))
            text += "  " + line + '\n';
    }
    return text;
}

} // namespace npusim
