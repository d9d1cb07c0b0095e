// SPDX-License-Identifier: MIT
// Shapes of the simulator's table of AIE2 bundles, instructions, registers and times.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace npusim {

enum class Slot : uint8_t { lda, ldb, alu, mv, st, vec, lng, nop };

enum class Opcode : uint16_t {
#include "tools/npusim/opcodes.inc"
};

// A register by the units it takes: 0 to 127 are 32 bits each, from 128 on each is 256 bits of a
// vector or accumulator. Names that stand for several registers (d0, qx0) have no units.
struct RegisterName {
    std::string_view name;
    uint8_t unit;
    uint8_t units;
};

struct RegisterClass {
    std::string_view name;
    uint32_t first; // in register_codes
    uint32_t size;
};

enum class OperandKind : uint8_t {
    reg,
    signed_imm,
    unsigned_imm,
    implicit, // always the same register, without bits
    tied_dc,  // the counter of the 2D or 3D modifier, without bits
    tied_dc4  // the counter of the third dimension
};

struct BitPiece {
    uint8_t lsb;
    uint8_t width;
    uint8_t of; // lowest bit of the field that stands here
};

struct OperandInfo {
    OperandKind kind;
    uint16_t index; // register class, or the register if implicit
    uint8_t width;
    uint8_t step;
    bool negative_only;
    std::array<BitPiece, 2> pieces;
};

struct PortUse {
    uint8_t port;
    uint8_t first, last; // cycles, 1 is that of issue
};

struct Timing {
    std::string_view name;
    std::array<uint8_t, 12> cycles; // of the operands, then of implicit registers
    uint8_t count;
    std::string_view bypass; // a letter for each operand: a result may reach an operand of the same
                             // letter one cycle early
    std::array<uint8_t, 2> memory; // cycles that touch memory, 0: none
    uint16_t first_port, ports;
    std::array<uint16_t, 6> variants; // by the destination's file: r, p, m, dc, dj, dn
};

struct InstructionInfo {
    std::string_view name;
    Slot slot;
    uint64_t mask, value;
    uint16_t first_operand, operands;
    uint16_t timing; // 0xffff: none
    bool may_load, may_store;
};

struct FormatInfo {
    std::string_view name;
    uint8_t bytes;
    std::array<uint64_t, 2> mask, value;
    uint16_t first_slot, slots;
};

struct SlotBits {
    Slot slot;
    uint8_t lsb, width;
};

inline constexpr unsigned port_count = 25;

// Everything of the table, as decode_table.inc has it.
struct DecodeTable {
    std::span<const RegisterName> register_names;
    std::span<const uint16_t> register_codes;
    std::span<const RegisterClass> register_classes;
    std::span<const Timing> timings;
    std::span<const PortUse> port_uses;
    std::span<const char* const> port_names;
    std::span<const InstructionInfo> instructions;
    std::span<const OperandInfo> operand_infos;
    std::span<const FormatInfo> formats;
    std::span<const SlotBits> slot_bits;
};
const DecodeTable& decode_table();

const InstructionInfo& info(Opcode opcode);

} // namespace npusim
