// SPDX-License-Identifier: MIT
// npuenc-mkoverlay: makes the overlays that npuenc installs, and tells what is in them.
#include <cstdio>
#include <exception>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/aie2/array/explain.hpp"
#include "kernels/aie2/isa/decoder.hpp"
#include "kernels/aie2/overlay.hpp"

namespace npuenc::aie2 {
namespace {

constexpr int exit_usage = 2;

constexpr char usage[] =
    "usage: npuenc-mkoverlay NAME DIRECTORY\n"
    "       npuenc-mkoverlay --list\n"
    "       npuenc-mkoverlay --explain NAME [--svg]\n"
    "       npuenc-mkoverlay --disassemble NAME\n"
    "\n"
    "Writes DIRECTORY/NAME.xclbin and its manifest NAME.json. --list prints the names; --explain\n"
    "prints or draws the array: tiles, memory, locks, transfers and routes; --disassemble prints\n"
    "the program of each kind of core, a bundle a line.\n";

void write_file(const std::string& path, const char* data, size_t size) {
    std::ofstream file(path, std::ios::binary);
    file.write(data, static_cast<std::streamsize>(size));
    file.close();
    if (!file)
        throw std::runtime_error("cannot write " + path);
}

void make(const std::string& name, const std::string& directory) {
    const Overlay overlay = make_overlay(name);
    for (const std::string& fault : find_faults(overlay))
        std::fprintf(stderr, "%s\n", fault.c_str());
    const std::vector<uint8_t> xclbin = write_overlay(overlay);
    const std::string manifest = write_manifest(overlay.manifest, xclbin, NPUENC_VERSION);
    write_file(directory + "/" + name + ".xclbin", reinterpret_cast<const char*>(xclbin.data()),
               xclbin.size());
    write_file(directory + "/" + name + ".json", manifest.data(), manifest.size());
}

void disassemble(const Overlay& overlay) {
    std::vector<const CoreProgram*> printed;
    for (const Tile* tile : overlay.plan.tiles()) {
        for (const CoreProgram& program : tile->programs) {
            bool again = false;
            for (const CoreProgram* before : printed)
                again = again || before->bytes == program.bytes;
            if (again)
                continue;
            printed.push_back(&program);
            std::printf("%s, %s\n", name_of(tile->id()).c_str(), program.name.c_str());
            for (size_t at = 0; at < program.bytes.size();) {
                const Decoded decoded = decode(std::span(program.bytes).subspan(at));
                std::printf("%5zx  %s\n", at, to_text(decoded.bundle).c_str());
                at += decoded.format->bytes;
            }
        }
    }
}

int run(const std::vector<std::string>& arguments) {
    const size_t n = arguments.size();
    if (n == 1 && arguments[0] == "--list") {
        for (const std::string& name : overlay_names())
            std::puts(name.c_str());
    } else if (n == 1 && arguments[0] == "--help") {
        std::fputs(usage, stdout);
    } else if ((n == 2 || (n == 3 && arguments[2] == "--svg")) && arguments[0] == "--explain") {
        const FloorPlan plan = make_overlay(arguments[1]).plan;
        std::fputs((n == 3 ? draw(plan) : explain(plan)).c_str(), stdout);
    } else if (n == 2 && arguments[0] == "--disassemble") {
        disassemble(make_overlay(arguments[1]));
    } else if (n == 2 && arguments[0][0] != '-') {
        make(arguments[0], arguments[1]);
    } else {
        std::fputs(usage, stderr);
        return exit_usage;
    }
    return 0;
}

} // namespace
} // namespace npuenc::aie2

int main(int argc, char** argv) {
    try {
        return npuenc::aie2::run({argv + 1, argv + argc});
    } catch (const std::exception& error) {
        std::fprintf(stderr, "npuenc-mkoverlay: %s\n", error.what());
        return 1;
    }
}
