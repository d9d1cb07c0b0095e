// SPDX-License-Identifier: MIT
// What is known of each instruction of an AIE2 core: where its bits stand, which registers its
// operands may be, and what it does in which cycle after its issue.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "kernels/aie2/isa/instruction.hpp"

namespace npuenc::aie2 {

std::string_view slot_name(Slot slot);
unsigned slot_width(Slot slot); // bits of an instruction in this slot

enum class OperandKind : uint8_t {
    register_class,     // a register of class `index`
    signed_immediate,   // field * step, two's complement
    negative_immediate, // (field - 2^width) * step
    unsigned_immediate, // field
    fixed_register,     // always register `index`; no bits
    tied_counter,       // dc(N + index), N from the operand that is dN or dN_3d; no bits
};

// One piece of an operand: `width` bits of the field from bit `of` on stand at bit `lsb` of the
// word.
struct Piece {
    uint8_t lsb, width, of;
};

struct OperandEntry {
    OperandKind kind;
    uint16_t index;
    uint8_t width; // of the whole field
    uint8_t step;
    std::array<Piece, 2> pieces; // width 0: none
};

// One code of a register in a class. Codes that are decode_only are never written.
struct RegisterCode {
    uint16_t code;
    uint16_t register_index;
    bool decode_only;
};

struct PortUse {
    std::string_view port;
    uint8_t first, last; // cycles; 1 is that of the issue
};

// Cycles count from 1, the cycle of the issue.
struct ScheduleClass {
    std::string_view name;
    // When each operand is read or written, in the order of the instruction's operands and then of
    // its implicit registers; there may be more cycles than both together.
    std::span<const uint8_t> cycles;
    std::span<const PortUse> ports;
    std::span<const uint8_t> memory; // cycles in which memory is touched
    std::string_view bypass;         // a letter for each operand, '-' for none; may be empty
};

struct InstructionEntry {
    std::string_view name;
    Slot slot;
    uint64_t mask, value; // the bits of the word that are the same in every such instruction
    std::span<const OperandEntry> operands;
    size_t n_results; // the first operands are results, the others are sources
    const ScheduleClass* schedule;
    bool may_load, may_store;
    std::span<const uint16_t> implicit; // registers that are not among the operands
    size_t n_implicit_results;          // the first of them are written, the others are read

    bool is_result(size_t operand) const { return operand < n_results; }
};

// A kind of bundle: its size and where the words of its slots stand. Bits that are in no slot are 0
// unless `value` says otherwise.
struct Format {
    struct Place {
        Slot slot;
        uint8_t lsb;
    };
    std::string_view name;
    uint8_t bytes;
    std::array<uint64_t, 2> mask, value; // low word first
    uint8_t n_slots;
    std::array<Place, 6> places;

    std::span<const Place> slots() const { return {places.data(), n_slots}; }
    bool has(Slot slot) const;
};

std::span<const InstructionEntry> instructions(); // by name
const InstructionEntry* find_instruction(std::string_view name);
std::span<const InstructionEntry* const> instructions_of(Slot slot);
const InstructionEntry& nop_of(Slot slot);

std::string_view register_name(uint16_t index);
std::optional<uint16_t> register_index(std::string_view name);
std::string_view register_class_name(uint16_t register_class);
std::span<const RegisterCode> register_codes_of(uint16_t register_class);
// The code that an assembler writes; nothing where the register is not of the class.
std::optional<uint16_t> register_code(uint16_t register_class, std::string_view name);

std::span<const ScheduleClass> schedule_classes();
const ScheduleClass* find_schedule_class(std::string_view name);

std::span<const Format> bundle_formats();
const Format* find_format(std::string_view name);

} // namespace npuenc::aie2
