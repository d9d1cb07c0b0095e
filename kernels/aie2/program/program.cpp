// SPDX-License-Identifier: MIT
#include "kernels/aie2/program/program.hpp"

#include "kernels/aie2/isa/assembler.hpp"

namespace npuenc::aie2 {
namespace {

constexpr int64_t unplaced = -1;

} // namespace

Program::Label Program::new_label() {
    labels_.push_back(unplaced);
    return {labels_.size() - 1};
}

void Program::place(Label label) {
    if (labels_.at(label.index) != unplaced)
        throw AssemblyError("label " + std::to_string(label.index) + " is placed twice");
    labels_[label.index] = static_cast<int64_t>(bundles_.size());
}

void Program::emit(std::vector<Instruction> instructions) {
    Bundle bundle;
    for (Instruction& instruction : instructions) {
        const Slot slot = entry_of(instruction).slot;
        if (!bundle[slot].name.empty())
            throw AssemblyError(instruction.name + " and " + bundle[slot].name +
                                " are both in slot " + std::string(slot_name(slot)));
        bundle[slot] = std::move(instruction);
    }
    encode(bundle); // for what it throws
    bundles_.push_back(std::move(bundle));
}

void Program::emit_to(Label target, std::vector<Instruction> instructions) {
    if (instructions.empty())
        throw AssemblyError("no instruction goes to label " + std::to_string(target.index));
    instructions[0].operands.emplace_back(int64_t{0});
    const Slot slot = entry_of(instructions[0]).slot;
    emit(std::move(instructions));
    fixups_.push_back({bundles_.size() - 1, static_cast<size_t>(slot), target.index});
}

void Program::nops(size_t n) {
    bundles_.resize(bundles_.size() + n);
}

std::vector<uint8_t> Program::finish() {
    for (const Fixup& fixup : fixups_) {
        const int64_t bundle = labels_.at(fixup.label);
        if (bundle == unplaced)
            throw AssemblyError("label " + std::to_string(fixup.label) + " is not placed");
        if (bundle >= static_cast<int64_t>(bundles_.size()))
            throw AssemblyError("label " + std::to_string(fixup.label) + " is behind the program");
        bundles_[fixup.bundle].slots[fixup.slot].operands.back() =
            Operand(bundle * int64_t{bundle_bytes});
    }
    if (bundles_.size() * bundle_bytes > program_memory_bytes)
        throw AssemblyError("the program takes " + std::to_string(bundles_.size() * bundle_bytes) +
                            " bytes, program memory has " + std::to_string(program_memory_bytes));
    std::vector<uint8_t> bytes;
    for (const Bundle& bundle : bundles_) {
        const auto encoded = encode(bundle);
        bytes.insert(bytes.end(), encoded.begin(), encoded.end());
    }
    return bytes;
}

} // namespace npuenc::aie2
