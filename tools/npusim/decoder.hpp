// SPDX-License-Identifier: MIT
// Decodes AIE2 bundles: bytes of program memory to instructions and operands.
#pragma once

#include "tools/npusim/decode_table.hpp"

#include <string>
#include <vector>

namespace npusim {

struct Operand {
    OperandKind kind;
    uint16_t reg;  // index in register_names, if a register
    uint8_t unit;  // its first unit
    uint8_t units; // 0 for names of several registers
    int32_t value; // if an immediate
};

struct Instruction {
    Opcode opcode;
    std::vector<Operand> operands; // outputs, then inputs
};

struct DecodedBundle {
    unsigned size = 0; // bytes
    std::string_view format;
    std::vector<Instruction> instructions; // NOPs included
};

// Throws std::runtime_error where the bytes are no bundle that the table knows.
DecodedBundle decode_bundle(std::span<const uint8_t> bytes);

// "lda:NOPA; alu:ADD r1, r2, r3"
std::string text(const Instruction& instruction);
std::string text(const DecodedBundle& bundle);

std::string_view slot_name(Slot slot);

// One line a bundle: address, bytes, text. Stops with std::runtime_error at what does not decode.
std::vector<std::string> disassemble(std::span<const uint8_t> program, uint32_t address);

} // namespace npusim
