// SPDX-License-Identifier: MIT
// The operations that the NPU's controller executes for one run, in either published encoding.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace npusim {

struct Operation {
    enum class Kind : uint8_t { write, block_write, mask_write, mask_poll, sync, patch };

    Kind kind = Kind::write;
    uint32_t at = 0; // byte in the stream, for messages
    uint32_t address = 0;
    uint32_t value = 0;
    uint32_t mask = 0;
    std::vector<uint32_t> words; // of a block write

    // sync: waits for a token of one channel of each of these tiles
    uint32_t column = 0, row = 0, columns = 1, rows = 1;
    uint32_t direction = 0; // 0 S2MM, 1 MM2S
    uint32_t channel = 0;

    // patch: writes the address of a buffer argument, plus an offset
    uint32_t argument = 0;
    uint64_t plus = 0;
};

struct InstructionStream {
    // Version 0.1 (first word 0x06030100) and the compact 1.0 (0x06030001); layouts as in aie-rt's
    // xaiegbl.h. Throws SimulationError; operations of other kinds stop by name.
    static InstructionStream parse(std::span<const uint8_t> bytes);

    uint32_t major = 0, minor = 0;
    uint32_t columns = 0;
    std::vector<Operation> operations;
};

std::string to_string(const Operation& operation);

} // namespace npusim
