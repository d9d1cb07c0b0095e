// SPDX-License-Identifier: MIT
// What one instruction does to the core, cycle by cycle, as far as the rules ask for it. Cycles
// count from 1, the cycle of the issue.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/aie2/checker/registers.hpp"
#include "kernels/aie2/isa/instruction_table.hpp"

namespace npuenc::aie2 {

struct RegisterAccess {
    Units units;
    uint8_t cycle;
    char bypass; // '-': none
};

// Loads and stores of data memory at `pointer` + `offset`. LDA_TM and ST_TM touch registers of the
// tile and are not among them.
struct MemoryAccess {
    bool loads, stores;
    uint8_t first, last; // cycles
    unsigned bytes;
    bool aligned;        // the core ignores the low bits of the address
    std::string pointer; // "p0".."p7" or "SP"; empty: more than one address, or none we know
    Operand offset = 0;  // an immediate, or "djN"
    bool part_word() const { return first != last; }
};

// A pointer that moves: after an access, or by PADD.
struct PointerUpdate {
    std::string pointer;
    std::optional<Operand> step; // an immediate or "mN"; nothing: 2D, 3D, or as data says
};

struct LockUse {
    bool acquires; // else releases
    bool conditional;
    Operand id, count;
};

enum class BranchKind { always, conditional, call, back };

struct BranchUse {
    BranchKind kind;
    std::optional<int64_t> target; // else in `pointer`, or where the caller said
    std::string pointer;
    std::string condition; // the register of JNZ and JZ
    bool if_zero = false;
};

struct Effects {
    const Instruction* instruction;
    const InstructionEntry* entry;
    const ScheduleClass* schedule;
    std::vector<RegisterAccess> reads, writes;
    std::vector<PortUse> ports;
    std::optional<MemoryAccess> memory;
    std::optional<PointerUpdate> update;
    std::optional<LockUse> lock;
    std::optional<BranchUse> branch;

    const std::string& name() const { return instruction->name; }
    bool writes_register(std::string_view register_name) const;
};

// Nothing for an instruction that the table does not have in this form.
std::optional<Effects> effects_of(const Instruction& instruction);

} // namespace npuenc::aie2
