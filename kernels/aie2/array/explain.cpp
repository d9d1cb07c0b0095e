// SPDX-License-Identifier: MIT
#include "kernels/aie2/array/explain.hpp"

#include <cstdarg>
#include <cstdio>
#include <utility>

namespace npuenc::aie2 {
namespace {

constexpr uint32_t core_bank_bytes = 16 * 1024;

[[gnu::format(printf, 1, 2)]] std::string format(const char* form, ...) {
    char line[256];
    va_list arguments;
    va_start(arguments, form);
    std::vsnprintf(line, sizeof(line), form, arguments);
    va_end(arguments);
    return line;
}

std::string lock_name(const Tile& tile, int id) {
    for (const Lock& lock : tile.locks) {
        if (lock.id == id)
            return lock.name;
    }
    return "lock " + std::to_string(id);
}

std::string text_of(const Tile& tile, const LockChange& use) {
    return lock_name(tile, use.lock) + (use.value == 1 ? "" : " x" + std::to_string(use.value));
}

std::string text_of(const Tile& tile, const std::vector<LockChange>& uses) {
    std::string text;
    for (const LockChange& use : uses)
        text += (text.empty() ? "" : ", ") + text_of(tile, use);
    return text;
}

std::string banks_of(const Tile& tile, const Buffer& buffer) {
    if (tile.kind() != TileKind::core)
        return "";
    const uint32_t first = buffer.address / core_bank_bytes;
    const uint32_t last = (buffer.address + buffer.bytes - 1) / core_bank_bytes;
    return first == last ? format("  bank %u", first) : format("  banks %u to %u", first, last);
}

std::string text_of(const Tile& tile, const Descriptor& descriptor) {
    std::string text =
        format("    BD %2d  0x%05llx %6u words", descriptor.id,
               static_cast<unsigned long long>(descriptor.address), descriptor.words);
    for (const Dimension& dimension : descriptor.dimensions)
        text += format("  %u x %u", dimension.count, dimension.step);
    if (descriptor.iteration.count > 1)
        text += format("  iterates %u x %u", descriptor.iteration.count, descriptor.iteration.step);
    if (descriptor.acquire)
        text += "  takes " + text_of(tile, *descriptor.acquire);
    if (descriptor.release)
        text += "  gives " + text_of(tile, *descriptor.release);
    if (descriptor.next)
        text += format("  then %d", *descriptor.next);
    return text + "\n";
}

std::string text_of(const Tile& tile) {
    std::string text;
    for (const CoreProgram& program : tile.programs) {
        text += format("  program %s: %zu bytes of %u\n", program.name.c_str(),
                       program.bytes.size(), limits_of(tile.kind()).program_bytes);
        for (const Activity& activity : program.activities)
            text += "    " + activity.name +
                    (activity.instead_of.empty() ? "" : " instead of " + activity.instead_of) +
                    "  takes " + text_of(tile, activity.takes) + "  gives " +
                    text_of(tile, activity.gives) + "\n";
    }
    if (!tile.buffers.empty())
        text += "  memory\n";
    for (const Buffer& buffer : tile.buffers)
        text += format("    0x%05x to 0x%05x %6u bytes%s  %s\n", buffer.address,
                       buffer.address + buffer.bytes, buffer.bytes, banks_of(tile, buffer).c_str(),
                       buffer.name.c_str());
    for (const Contents& contents : tile.contents)
        text += format("    filled at configuration: %s, %zu bytes\n", contents.buffer.c_str(),
                       contents.bytes.size());
    if (!tile.locks.empty())
        text += "  locks\n";
    for (const Lock& lock : tile.locks)
        text += format("    %2d  begins at %2d  %s\n", lock.id, lock.initial, lock.name.c_str());
    for (const Channel& channel : tile.channels) {
        text += "  " + name_of(channel.direction, channel.index) + "\n";
        for (int id : channel.chain) {
            for (const Descriptor& descriptor : tile.descriptors) {
                if (descriptor.id == id)
                    text += text_of(tile, descriptor);
            }
        }
    }
    if (tile.sends_tokens)
        text += "  completion tokens: Ctrl 0 to South 0, packets\n";
    return text;
}

} // namespace

std::string explain(const FloorPlan& plan) {
    std::vector<std::pair<std::string, std::string>> kinds; // names, text
    for (const Tile* tile : plan.tiles()) {
        const std::string text = text_of(*tile);
        if (text.empty())
            continue;
        if (!kinds.empty() && kinds.back().second == text)
            kinds.back().first += ", " + name_of(tile->id());
        else
            kinds.emplace_back(name_of(tile->id()), text);
    }
    std::string text = plan.name() + ": " + std::to_string(plan.columns()) +
                       (plan.columns() == 1 ? " column" : " columns") + "\n";
    for (const auto& [names, what] : kinds)
        text += "\n" + names + "\n" + what;

    text += "\nroutes\n";
    for (const Route& route : plan.routes()) {
        const std::string from = kind_of(route.from.tile) == TileKind::shim ? "host memory, " : "";
        text += "  " + route.name + ": from " + from + name_of(route.from.tile) + " " +
                name_of(Direction::out_of_memory, route.from.channel) + "\n";
        for (const Hop& hop : route.hops) {
            text += "    " + name_of(hop.tile) + ": " + name_of(hop.slave) + " to " +
                    name_of(hop.master);
            for (const Endpoint& to : route.to) {
                if (to.tile == hop.tile &&
                    (hop.master.kind == PortKind::dma ||
                     (kind_of(to.tile) == TileKind::shim && hop.master.kind == PortKind::south)))
                    text += ", " + name_of(Direction::into_memory, to.channel);
            }
            text += "\n";
        }
    }
    return text;
}

} // namespace npuenc::aie2
