// SPDX-License-Identifier: MIT
// xclbin, the file that XRT loads: an array's images and the kernels that run on them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/aie2/container/bytes.hpp"
#include "kernels/aie2/container/uuid.hpp"

namespace npuenc::aie2 {

struct KernelArgument {
    bool operator==(const KernelArgument&) const = default;

    std::string name;
    std::string type; // as in C
    uint32_t size = 0;
    uint32_t offset = 0; // in the bytes of the command that starts the kernel
    std::string memory;  // of a buffer: "HOST", or "SRAM" for instructions; a scalar has none
};

struct Kernel {
    bool operator==(const Kernel&) const = default;

    std::string name;
    std::string instance;
    uint32_t id = 0;                       // by which an image says that it is this kernel's
    std::vector<KernelArgument> arguments; // an argument's index is its number in XRT
};

// The kernel of an npu1 overlay as mlir-aie declares it: "MLIR_AIE", instance "MLIRAIE", id 0x901,
// taking an opcode, the instruction stream with its number of words, then bo0, bo1, …
Kernel dpu_kernel(size_t buffers);

// What configures the array for some of the kernels.
struct ArrayImage {
    bool operator==(const ArrayImage&) const = default;

    Uuid uuid{};
    uint64_t id = 0;
    std::vector<uint64_t> kernels; // their ids
    std::vector<uint8_t> pdi;
};

struct Xclbin {
    bool operator==(const Xclbin&) const = default;

    Uuid uuid{};
    uint16_t columns = 0;                // width of the partition
    std::vector<uint16_t> start_columns; // where a partition may begin
    std::vector<ArrayImage> images;
    std::vector<Kernel> kernels;
};

// The sections that xclbinutil makes for an mlir-aie overlay, in its order and with its bytes, but
// not xclbinutil's own description of the file behind them. The same overlay gives the same file:
// its time is 0, and its uuids are those of the images' bytes and of the file's own bytes while
// they still lack it; the overlay's uuids are not looked at. Throws ContainerError for what the
// file cannot hold.
std::vector<uint8_t> write_xclbin(const Xclbin& overlay);

// An overlay, by whatever tool it was made; the images are not looked into. Throws ContainerError,
// also where XRT would need a section that is not there.
Xclbin parse_xclbin(Bytes file);

} // namespace npuenc::aie2
