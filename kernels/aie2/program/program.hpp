// SPDX-License-Identifier: MIT
// A program of one core while it is written: bundles, labels, and then its bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/aie2/isa/instruction.hpp"

namespace npuenc::aie2 {

// Every bundle of a program is 16 bytes long, so that the address of bundle i is 16 * i and loops
// and branches may begin anywhere.
constexpr uint32_t bundle_bytes = 16;
constexpr uint32_t program_memory_bytes = 16 * 1024;

class Program {
  public:
    // A place in the program that is known before it is reached.
    struct Label {
        size_t index;
    };

    Label new_label();
    // The next bundle stands here. Once for each label.
    void place(Label label);

    // Adds a bundle made of these instructions, each in the slot that its table entry names. Throws
    // AssemblyError for an unknown instruction, a slot taken twice, or operands out of range.
    void emit(std::vector<Instruction> instructions = {});
    // As emit; the last operand of `instructions[0]`, which is left out, will be the address of
    // `target` (J, JL, JNZ, JZ, and MOVXM to LS or LE).
    void emit_to(Label target, std::vector<Instruction> instructions);
    void nops(size_t n);

    const std::vector<Bundle>& bundles() const { return bundles_; } // labels resolved by finish()
    // Fills labels in and encodes. Throws AssemblyError for a label that was never placed, and for
    // a program that is larger than program memory.
    std::vector<uint8_t> finish();

  private:
    struct Fixup {
        size_t bundle;
        size_t slot;
        size_t label;
    };
    std::vector<Bundle> bundles_;
    std::vector<int64_t> labels_; // the bundle, -1 until placed
    std::vector<Fixup> fixups_;
};

} // namespace npuenc::aie2
