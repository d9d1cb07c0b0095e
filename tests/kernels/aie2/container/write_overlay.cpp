// SPDX-License-Identifier: MIT
// Writes an overlay for the tests that give one to the real XRT, and its image beside it.
//
// usage: write-overlay COLUMNS BUFFERS START_COLUMN... FILE.xclbin FILE.pdi
#include "kernels/aie2/container/cdo.hpp"
#include "kernels/aie2/container/pdi.hpp"
#include "kernels/aie2/container/xclbin.hpp"

#include <cstdio>
#include <cstdlib>
#include <fstream>

using namespace npuenc::aie2;

namespace {

void write_file(const char* path, Bytes bytes) {
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    file.close();
    if (!file) {
        throw ContainerError(std::string("cannot write ") + path);
    }
}

} // namespace

int main(int argc, char** argv) {
    if (argc < 6) {
        std::fprintf(stderr, "usage: write-overlay COLUMNS BUFFERS START_COLUMN... XCLBIN PDI\n");
        return 2;
    }
    const auto number = [&](int i) { return static_cast<uint16_t>(std::atoi(argv[i])); };
    try {
        Xclbin overlay;
        overlay.columns = number(1);
        overlay.kernels = {dpu_kernel(number(2))};
        for (int i = 3; i < argc - 2; i++) {
            overlay.start_columns.push_back(number(i));
        }
        const std::vector<uint8_t> cdo = write_cdo({
            CdoCommand::mask_write(0x232000, 1, 0),
            CdoCommand::dma_write(0x220000, std::vector<uint32_t>(1001, 0x00010001)),
            CdoCommand::mask_write(0x232000, 1, 1),
        });
        overlay.images = {{{}, 1, {0x901}, write_pdi(cdo)}};
        write_file(argv[argc - 2], write_xclbin(overlay));
        write_file(argv[argc - 1], overlay.images[0].pdi);
    } catch (const ContainerError& error) {
        std::fprintf(stderr, "write-overlay: %s\n", error.what());
        return 1;
    }
    return 0;
}
