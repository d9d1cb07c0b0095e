// SPDX-License-Identifier: MIT
// From instructions to the bytes of a bundle.
#pragma once

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "kernels/aie2/isa/instruction_table.hpp"

namespace npuenc::aie2 {

// What cannot be encoded, in one line.
class AssemblyError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// The table's entry for an instruction. Throws AssemblyError where there is none.
const InstructionEntry& entry_of(const Instruction& instruction);

// The word of one slot. Throws AssemblyError for an unknown instruction, a wrong number of
// operands, a register that is not of its class, or an immediate that is out of range or not a
// multiple of its step.
uint64_t encode(const Instruction& instruction);

// As a program has it: 16 bytes, a NOP in each slot without an instruction. Throws AssemblyError as
// above, for an instruction in another slot than its own, and for lng beside alu or mv.
std::array<uint8_t, 16> encode(const Bundle& bundle);

// In any other format; the bundle may use only slots that the format has.
std::vector<uint8_t> encode(const Format& format, const Bundle& bundle);

} // namespace npuenc::aie2
