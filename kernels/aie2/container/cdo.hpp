// SPDX-License-Identifier: MIT
// CDO, the list of register writes that configures an array before its first run.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/aie2/container/bytes.hpp"

namespace npuenc::aie2 {

// One command. Addresses are column << 25 | row << 20 | offset, columns counted from the
// partition's first.
struct CdoCommand {
    enum class Kind : uint8_t {
        write,      // address = value
        mask_write, // address = (address & ~mask) | (value & mask)
        dma_write,  // words from address on
        other,      // nothing known here: opcode, and its words as they stand
    };

    static CdoCommand write(uint64_t address, uint32_t value);
    static CdoCommand mask_write(uint64_t address, uint32_t mask, uint32_t value);
    static CdoCommand dma_write(uint64_t address, std::vector<uint32_t> words);

    bool operator==(const CdoCommand&) const = default;

    Kind kind = Kind::other;
    uint16_t opcode = 0; // Kind::other: module << 8 | command
    uint64_t address = 0;
    uint32_t mask = 0;
    uint32_t value = 0;
    std::vector<uint32_t> words;
};

// As bootgen lays out what aie-rt records: one NOP first, and before each DMA write the NOP that
// brings it to a multiple of 16 bytes. Throws ContainerError for what this form cannot hold.
std::vector<uint8_t> write_cdo(const std::vector<CdoCommand>& commands);

// The commands in their order, NOPs left out; the 64-bit forms of aie-rt's own files too. The bytes
// are one CDO and nothing after it. Throws ContainerError.
std::vector<CdoCommand> parse_cdo(Bytes cdo);

} // namespace npuenc::aie2
