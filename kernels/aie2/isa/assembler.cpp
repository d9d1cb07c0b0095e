// SPDX-License-Identifier: MIT
#include "kernels/aie2/isa/assembler.hpp"

#include <algorithm>
#include <string>

namespace npuenc::aie2 {
namespace {

[[noreturn]] void fail(const Instruction& instruction, const std::string& what) {
    throw AssemblyError(instruction.name + ": " + what);
}

uint64_t spread(uint64_t field, const OperandEntry& entry) {
    uint64_t word = 0;
    for (const Piece& piece : entry.pieces)
        word |= (field >> piece.of & ((uint64_t{1} << piece.width) - 1)) << piece.lsb;
    return word;
}

uint64_t immediate_field(const Instruction& instruction, const OperandEntry& entry, int64_t value) {
    const int64_t size = int64_t{1} << entry.width;
    int64_t low = 0;
    int64_t high = size - 1;
    if (entry.kind == OperandKind::signed_immediate) {
        low = -size / 2;
        high = size / 2 - 1;
    } else if (entry.kind == OperandKind::negative_immediate) {
        low = -size;
        high = -1;
    }
    if (value % entry.step != 0)
        fail(instruction, "immediate " + std::to_string(value) + " is not a multiple of " +
                              std::to_string(entry.step));
    const int64_t field = value / entry.step;
    if (field < low || field > high)
        fail(instruction, "immediate " + std::to_string(value) + " is not in " +
                              std::to_string(low * entry.step) + ".." +
                              std::to_string(high * entry.step));
    return static_cast<uint64_t>(field & (size - 1));
}

// The number of the modifier (dN or dN_3d) that a 2D or 3D address operation uses.
int modifier_number(const Instruction& instruction, const InstructionEntry& entry) {
    for (size_t i = 0; i < entry.operands.size(); ++i) {
        if (entry.operands[i].kind != OperandKind::register_class)
            continue;
        const std::string_view class_name = register_class_name(entry.operands[i].index);
        const std::string& name = instruction.operands[i].name;
        if ((class_name == "eD" || class_name == "eDS") && name.size() >= 2)
            return name[1] - '0';
    }
    fail(instruction, "no modifier among its operands");
}

// The operand's bits. An operand without bits has to be the register that the others imply.
uint64_t operand_bits(const Instruction& instruction, const InstructionEntry& entry, size_t i) {
    const OperandEntry& expected = entry.operands[i];
    const Operand& operand = instruction.operands[i];
    const std::string which = "operand " + std::to_string(i);
    const bool immediate = expected.kind == OperandKind::signed_immediate ||
                           expected.kind == OperandKind::negative_immediate ||
                           expected.kind == OperandKind::unsigned_immediate;
    if (immediate == operand.is_register())
        fail(instruction, which + (immediate ? " has to be an immediate, not " + operand.name
                                             : " has to be a register"));
    switch (expected.kind) {
    case OperandKind::register_class: {
        const auto code = register_code(expected.index, operand.name);
        if (!code)
            fail(instruction, which + ": " + operand.name + " is not of class " +
                                  std::string(register_class_name(expected.index)));
        return spread(*code, expected);
    }
    case OperandKind::fixed_register:
        if (operand.name != register_name(expected.index))
            fail(instruction, which + " has to be " + std::string(register_name(expected.index)) +
                                  ", not " + operand.name);
        return 0;
    case OperandKind::tied_counter: {
        const std::string counter =
            "dc" + std::to_string(modifier_number(instruction, entry) + expected.index);
        if (operand.name != counter)
            fail(instruction, which + " has to be " + counter + ", not " + operand.name);
        return 0;
    }
    default:
        return spread(immediate_field(instruction, expected, operand.value), expected);
    }
}

uint64_t bits_of(const OperandEntry& entry) {
    return spread(~uint64_t{0}, entry);
}

void put(std::vector<uint8_t>& bytes, unsigned lsb, unsigned width, uint64_t word) {
    for (unsigned i = 0; i < width; ++i)
        bytes[(lsb + i) / 8] |= static_cast<uint8_t>((word >> i & 1) << (lsb + i) % 8);
}

const Format& full_format(bool with_lng) {
    static const Format& wide = *find_format("I128_LDB_LDA_ST_ALU_MV_VEC");
    static const Format& with_long_word = *find_format("I128_LDB_LDA_ST_LNG_VEC");
    return with_lng ? with_long_word : wide;
}

} // namespace

const InstructionEntry& entry_of(const Instruction& instruction) {
    const InstructionEntry* entry = find_instruction(instruction.name);
    if (entry == nullptr)
        throw AssemblyError("no instruction '" + instruction.name + "'");
    return *entry;
}

uint64_t encode(const Instruction& instruction) {
    const InstructionEntry& entry = entry_of(instruction);
    if (instruction.operands.size() != entry.operands.size())
        fail(instruction, std::to_string(instruction.operands.size()) + " operands where " +
                              std::to_string(entry.operands.size()) + " are wanted");
    uint64_t word = entry.value;
    uint64_t written = entry.mask;
    for (size_t i = 0; i < entry.operands.size(); ++i) {
        const uint64_t bits = operand_bits(instruction, entry, i);
        // A pointer that is read and then written is there twice, on the same bits.
        const uint64_t again = bits_of(entry.operands[i]) & written;
        if ((word & again) != (bits & again))
            fail(instruction, "operand " + std::to_string(i) + ": " + instruction.operands[i].name +
                                  " differs from the operand on the same bits");
        word |= bits;
        written |= bits_of(entry.operands[i]);
    }
    return word;
}

std::vector<uint8_t> encode(const Format& format, const Bundle& bundle) {
    std::vector<uint8_t> bytes(format.bytes);
    for (unsigned half = 0; half < 2 && half * 8 < format.bytes; ++half)
        put(bytes, half * 64, std::min(64u, (format.bytes - half * 8u) * 8u), format.value[half]);
    for (size_t i = 0; i < n_slots; ++i) {
        const auto slot = static_cast<Slot>(i);
        const Instruction& instruction = bundle[slot];
        if (instruction.name.empty())
            continue;
        if (entry_of(instruction).slot != slot)
            fail(instruction, "stands in slot " + std::string(slot_name(slot)) +
                                  " but belongs in " +
                                  std::string(slot_name(entry_of(instruction).slot)));
        if (!format.has(slot))
            fail(instruction, "format " + std::string(format.name) + " has no slot " +
                                  std::string(slot_name(slot)));
    }
    for (const Format::Place& place : format.slots()) {
        const Instruction& instruction = bundle[place.slot];
        put(bytes, place.lsb, slot_width(place.slot),
            instruction.name.empty() ? nop_of(place.slot).value : encode(instruction));
    }
    return bytes;
}

std::array<uint8_t, 16> encode(const Bundle& bundle) {
    const Instruction& lng = bundle[Slot::lng];
    if (!lng.name.empty() && !(bundle[Slot::alu].name.empty() && bundle[Slot::mv].name.empty()))
        fail(lng, "takes the place of alu and mv, which are used");
    const std::vector<uint8_t> bytes = encode(full_format(!lng.name.empty()), bundle);
    std::array<uint8_t, 16> result{};
    std::ranges::copy(bytes, result.begin());
    return result;
}

} // namespace npuenc::aie2
