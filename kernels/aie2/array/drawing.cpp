// SPDX-License-Identifier: MIT
// The array as SVG: cores on top, the host's side at the bottom, as the array is numbered.
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <map>
#include <tuple>

#include "kernels/aie2/array/explain.hpp"

namespace npuenc::aie2 {
namespace {

constexpr int tile_width = 230;
constexpr int gap = 70; // between tiles, for the routes
constexpr int margin = 20;
constexpr int title_height = 30;
constexpr int memory_width = tile_width - 20;
constexpr int memory_height = 46;
constexpr int line_height = 13;
constexpr int wire_spacing = 7;

[[gnu::format(printf, 1, 2)]] std::string format(const char* form, ...) {
    char line[512];
    va_list arguments;
    va_start(arguments, form);
    std::vsnprintf(line, sizeof(line), form, arguments);
    va_end(arguments);
    return line;
}

// For titles and labels, which may hold any character.
std::string escaped(const std::string& text) {
    std::string safe;
    for (char c : text)
        safe += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
    return safe;
}

std::string colour(size_t index) {
    return format("hsl(%zu,60%%,45%%)", index * 137 % 360);
}

class Drawing {
  public:
    explicit Drawing(const FloorPlan& plan) : plan_(plan) {
        for (const Tile* tile : plan.tiles()) {
            const int row = tile->id().row;
            heights_[row] = std::max(heights_[row], height_of(*tile));
        }
        int y = margin + title_height;
        for (int row = n_rows - 1; row >= 0; --row) {
            if (heights_[row] == 0)
                continue;
            tops_[row] = y;
            y += heights_[row] + gap;
        }
        height_ = y - gap + margin + gap / 2;
        width_ = 2 * margin + plan.columns() * (tile_width + gap);
    }

    std::string run() {
        text_ = format("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                       "font-family=\"sans-serif\" font-size=\"10\">\n"
                       "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
                       width_, height_);
        write(margin, margin + 12, plan_.name(), " font-size=\"16\"");
        for (const Tile* tile : plan_.tiles())
            draw(*tile);
        for (size_t i = 0; i < plan_.routes().size(); ++i)
            draw(plan_.routes()[i], i);
        return text_ + "</svg>\n";
    }

  private:
    struct Point {
        int x, y;
    };

    static int height_of(const Tile& tile) {
        const int lines = 1 + static_cast<int>(tile.programs.size() + (tile.locks.size() + 1) / 2 +
                                               tile.channels.size());
        return lines * line_height + (tile.buffers.empty() ? 0 : memory_height) + 14;
    }

    int left_of(TileId tile) const { return margin + gap / 2 + tile.column * (tile_width + gap); }

    void write(int x, int y, const std::string& what, const char* style = "") {
        text_ += format("<text x=\"%d\" y=\"%d\"%s>", x, y, style) + escaped(what) + "</text>\n";
    }

    void draw(const Tile& tile) {
        const int left = left_of(tile.id());
        const int top = tops_.at(tile.id().row);
        text_ += format("<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"4\" "
                        "fill=\"#f7f7f2\" stroke=\"#444\"/>\n",
                        left, top, tile_width, heights_[tile.id().row]);
        int y = top + line_height;
        write(left + 8, y, name_of(tile.id()), " font-weight=\"bold\"");
        y += line_height;
        for (const CoreProgram& program : tile.programs) {
            write(left + 8, y,
                  "program " + program.name + ", " + std::to_string(program.bytes.size()) +
                      " bytes");
            y += line_height;
        }
        if (!tile.buffers.empty()) {
            draw_memory(tile, left + 10, y - 6);
            y += memory_height;
        }
        for (size_t i = 0; i < tile.locks.size(); ++i) {
            const Lock& lock = tile.locks[i];
            write(left + 8 + static_cast<int>(i % 2) * tile_width / 2, y,
                  std::to_string(lock.id) + " " + lock.name + " = " + std::to_string(lock.initial));
            if (i % 2 == 1 || i + 1 == tile.locks.size())
                y += line_height;
        }
        for (const Channel& channel : tile.channels) {
            std::string line = name_of(channel.direction, channel.index) + ": BD";
            for (int id : channel.chain)
                line += " " + std::to_string(id);
            write(left + 20, y, line);
            const Point end{left + 11, y - 4};
            text_ += format("<circle cx=\"%d\" cy=\"%d\" r=\"3\"/>\n", end.x, end.y);
            channel_ends_[{tile.id(), channel.direction, channel.index}] = end;
            y += line_height;
        }
    }

    void draw_memory(const Tile& tile, int x, int y) {
        const uint32_t size = limits_of(tile.kind()).memory_bytes;
        const auto place = [&](uint64_t address) {
            return static_cast<int>(address * memory_width / size);
        };
        text_ += format("<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"24\" fill=\"white\" "
                        "stroke=\"#999\"/>\n",
                        x, y, memory_width);
        for (size_t i = 0; i < tile.buffers.size(); ++i) {
            const Buffer& buffer = tile.buffers[i];
            const int from = place(buffer.address);
            const int to = place(uint64_t{buffer.address} + buffer.bytes);
            text_ += format("<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"24\" fill=\"%s\" "
                            "fill-opacity=\"0.5\"><title>",
                            x + from, y, std::max(to - from, 1), colour(i).c_str());
            text_ += escaped(buffer.name) +
                     format(": 0x%05x, %u bytes</title></rect>\n", buffer.address, buffer.bytes);
            write(x + from + 1, y + 15, buffer.name, " font-size=\"8\"");
        }
        constexpr int n_banks = 4;
        for (int bank = 1; tile.kind() == TileKind::core && bank < n_banks; ++bank)
            text_ += format("<path d=\"M%d %dv30\" stroke=\"#444\" stroke-dasharray=\"2\"/>\n",
                            x + bank * memory_width / n_banks, y - 3);
    }

    // Where a route crosses the edge of a tile: each wire at its own place.
    Point edge(TileId tile, Port port, PortSide side) const {
        const int left = left_of(tile);
        const int top = tops_.at(tile.row);
        // Wires in both directions lie side by side; both ends agree on where.
        const bool onward = (side == PortSide::master) ==
                            (port.kind == PortKind::north || port.kind == PortKind::east);
        const int along = 20 + wire_spacing * port.index + (onward ? 0 : tile_width / 2);
        const int beside = 16 + wire_spacing * port.index + (onward ? 0 : 40);
        switch (port.kind) {
        case PortKind::north:
            return {left + along, top};
        case PortKind::south:
            return {left + along, top + heights_[tile.row]};
        case PortKind::west:
            return {left, top + beside};
        case PortKind::east:
            return {left + tile_width, top + beside};
        default:
            return channel_ends_.at(
                {tile, side == PortSide::slave ? Direction::out_of_memory : Direction::into_memory,
                 port.index});
        }
    }

    void draw(const Route& route, size_t index) {
        text_ += "<g stroke=\"" + colour(index) + "\" fill=\"none\" stroke-width=\"1.5\"><title>" +
                 escaped(route.name) + "</title>\n";
        for (const Hop& hop : route.hops) {
            const Point from = edge(hop.tile, hop.slave, PortSide::slave);
            const Point to = edge(hop.tile, hop.master, PortSide::master);
            text_ += format("<path d=\"M%d %dL%d %d\" stroke-opacity=\"0.35\"/>\n", from.x, from.y,
                            to.x, to.y);
            if (const auto wire = across(hop.tile, hop.master, plan_.columns())) {
                const Point end = edge(wire->tile, wire->port, PortSide::slave);
                text_ += format("<path d=\"M%d %dL%d %d\"/>\n", to.x, to.y, end.x, end.y);
            } else if (hop.tile.row == 0 && hop.master.kind == PortKind::south) {
                text_ += format("<path d=\"M%d %dv%d\"/>\n", to.x, to.y, gap / 2);
            }
            if (hop.tile.row == 0 && hop.slave.kind == PortKind::south)
                text_ += format("<path d=\"M%d %dv%d\"/>\n", from.x, from.y, gap / 2);
        }
        text_ += "</g>\n";
    }

    const FloorPlan& plan_;
    int heights_[n_rows] = {};
    std::map<int, int> tops_;
    std::map<std::tuple<TileId, Direction, int>, Point> channel_ends_;
    int width_ = 0;
    int height_ = 0;
    std::string text_;
};

} // namespace

std::string draw(const FloorPlan& plan) {
    return Drawing(plan).run();
}

} // namespace npuenc::aie2
