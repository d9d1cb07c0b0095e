// SPDX-License-Identifier: MIT
// One instruction of an AIE2 core, one bundle of them, by the names of the instruction table.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace npuenc::aie2 {

// The issue slots of a core. lng takes the place of alu and mv together.
enum class Slot : uint8_t { lda, ldb, alu, mv, st, vec, lng };
constexpr size_t n_slots = 7;

// A register by its name ("x0", "cm3", "p2"), or an immediate value.
struct Operand {
    Operand(const char* register_name) : name(register_name) {}
    Operand(std::string register_name) : name(std::move(register_name)) {}
    Operand(int immediate) : value(immediate) {}
    Operand(int64_t immediate) : value(immediate) {}

    bool is_register() const { return !name.empty(); }
    bool operator==(const Operand&) const = default;

    std::string name;
    int64_t value = 0;
};

// By the instruction's name in the table, e.g. "VMAC_vmac_cm_core_dense", with its operands in the
// table's order: results first, then sources; a post-modified pointer is there twice.
struct Instruction {
    std::string name; // empty: nothing in this slot
    std::vector<Operand> operands;

    bool operator==(const Instruction&) const = default;
};

// What a core issues in one cycle.
struct Bundle {
    std::array<Instruction, n_slots> slots;

    Instruction& operator[](Slot slot) { return slots[static_cast<size_t>(slot)]; }
    const Instruction& operator[](Slot slot) const { return slots[static_cast<size_t>(slot)]; }
    bool operator==(const Bundle&) const = default;
};

} // namespace npuenc::aie2
