// SPDX-License-Identifier: MIT
// Prints the names and the PDIs' SHA-256 of xclbins, as lines of a C++ table.
//
//     list_overlays XCLBIN...
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <vector>

#include "kernels/aie2/container/sha256.hpp"
#include "kernels/aie2/container/xclbin.hpp"

namespace {

std::vector<uint8_t> read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file)
        throw std::runtime_error(path.string() + " cannot be read");
    return {std::istreambuf_iterator<char>(file), {}};
}

void list(const std::filesystem::path& path) {
    using namespace npuenc::aie2;
    const Xclbin xclbin = parse_xclbin(read_file(path));
    std::printf("{\"%s\", {", path.stem().c_str());
    for (const uint8_t byte : sha256(xclbin.images.at(0).pdi))
        std::printf("0x%02x, ", byte);
    std::puts("}},");
}

} // namespace

int main(int argc, char** argv) {
    try {
        for (int i = 1; i < argc; ++i)
            list(argv[i]);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "list_overlays: %s\n", error.what());
        return 1;
    }
}
