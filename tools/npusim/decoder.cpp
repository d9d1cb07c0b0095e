// SPDX-License-Identifier: MIT
// Decodes AIE2 bundles: bytes of program memory to instructions and operands.
#include "tools/npusim/decoder.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <optional>
#include <span>
#include <stdexcept>
#include <vector>

namespace npusim {

namespace {

#include "tools/npusim/decode_table.inc"

constexpr DecodeTable table = {
    register_names, register_codes, register_classes, timings, port_uses,
    port_names,     instructions,   operand_infos,    formats, slot_bits,
};

constexpr uint16_t no_register = 0xffff;

// 128 bits of a bundle, the first byte lowest.
struct Bits {
    std::array<uint64_t, 2> word{};

    uint64_t field(unsigned lsb, unsigned width) const {
        uint64_t value = lsb < 64 ? word[0] >> lsb : word[1] >> (lsb - 64);
        if (lsb < 64 && lsb + width > 64)
            value |= word[1] << (64 - lsb);
        return value & ((uint64_t{1} << width) - 1);
    }
};

uint64_t gather(uint64_t bits, const OperandInfo& operand) {
    uint64_t value = 0;
    for (const BitPiece& piece : operand.pieces)
        value |= ((bits >> piece.lsb) & ((uint64_t{1} << piece.width) - 1)) << piece.of;
    return value;
}

Operand named(OperandKind kind, uint16_t reg) {
    return {kind, reg, table.register_names[reg].unit, table.register_names[reg].units, 0};
}

// The counter register dcN of the modifier dN or dN_3d.
uint16_t counter(uint16_t modifier, unsigned offset) {
    unsigned n = table.register_names[modifier].name[1] - '0' + offset;
    char name[] = {'d', 'c', static_cast<char>('0' + n), 0};
    auto found =
        std::ranges::find(table.register_names, std::string_view(name), &RegisterName::name);
    return static_cast<uint16_t>(found - table.register_names.begin());
}

std::optional<std::vector<Operand>> decode_operands(const InstructionInfo& instruction,
                                                    uint64_t bits) {
    std::vector<Operand> operands;
    for (unsigned i = 0; i < instruction.operands; i++) {
        const OperandInfo& operand = table.operand_infos[instruction.first_operand + i];
        uint64_t field = gather(bits, operand);
        switch (operand.kind) {
        case OperandKind::reg: {
            const RegisterClass& members = table.register_classes[operand.index];
            uint16_t reg =
                field < members.size ? table.register_codes[members.first + field] : no_register;
            if (reg == no_register)
                return std::nullopt;
            operands.push_back(named(OperandKind::reg, reg));
            break;
        }
        case OperandKind::implicit:
            operands.push_back(named(OperandKind::implicit, operand.index));
            break;
        case OperandKind::signed_imm: {
            int64_t value = static_cast<int64_t>(field);
            if (operand.negative_only || (field >> (operand.width - 1) & 1))
                value -= int64_t{1} << operand.width;
            operands.push_back({operand.kind, 0, 0, 0, static_cast<int32_t>(value * operand.step)});
            break;
        }
        case OperandKind::unsigned_imm:
            operands.push_back({operand.kind, 0, 0, 0, static_cast<int32_t>(field * operand.step)});
            break;
        case OperandKind::tied_dc:
        case OperandKind::tied_dc4:
            operands.push_back({operand.kind, no_register, 0, 0, 0});
            break;
        }
    }
    // The modifier is the last register d of the instruction.
    for (Operand& operand : operands) {
        if (operand.reg != no_register || operand.units != 0)
            continue;
        if (operand.kind != OperandKind::tied_dc && operand.kind != OperandKind::tied_dc4)
            continue;
        for (const Operand& modifier : operands)
            if (modifier.kind == OperandKind::reg && modifier.unit >= 200 && modifier.unit < 212)
                operand =
                    named(operand.kind,
                          counter(modifier.reg, operand.kind == OperandKind::tied_dc ? 0 : 4));
    }
    return operands;
}

// The instructions that may stand in a slot: every bundle of every core is looked up here.
std::span<const uint16_t> instructions_of(Slot slot) {
    static const auto by_slot = [] {
        std::array<std::vector<uint16_t>, 8> lists;
        for (size_t i = 0; i < table.instructions.size(); i++)
            lists[static_cast<size_t>(table.instructions[i].slot)].push_back(
                static_cast<uint16_t>(i));
        return lists;
    }();
    return by_slot[static_cast<size_t>(slot)];
}

Instruction decode_slot(Slot slot, uint64_t bits) {
    std::optional<Instruction> found;
    for (const uint16_t i : instructions_of(slot)) {
        const InstructionInfo& candidate = table.instructions[i];
        if ((bits & candidate.mask) != candidate.value)
            continue;
        auto operands = decode_operands(candidate, bits);
        if (!operands)
            continue;
        Opcode opcode = static_cast<Opcode>(i);
        // The one overlap of the instruction set.
        if (found && found->opcode == Opcode::VMOV_mv_mcd && opcode == Opcode::VPACK_D4_D8)
            continue;
        if (found && !(found->opcode == Opcode::VPACK_D4_D8 && opcode == Opcode::VMOV_mv_mcd))
            throw std::runtime_error(std::string("the bits are both ") +
                                     std::string(info(found->opcode).name) + " and " +
                                     std::string(candidate.name));
        found = Instruction{opcode, std::move(*operands)};
    }
    if (!found) {
        char word[32];
        std::snprintf(word, sizeof word, "0x%llx", static_cast<unsigned long long>(bits));
        throw std::runtime_error("unknown instruction " + std::string(slot_name(slot)) + ":" +
                                 word);
    }
    return *found;
}

} // namespace

const DecodeTable& decode_table() {
    return table;
}

const InstructionInfo& info(Opcode opcode) {
    return table.instructions[static_cast<size_t>(opcode)];
}

std::string_view slot_name(Slot slot) {
    constexpr std::string_view names[] = {"lda", "ldb", "alu", "mv", "st", "vec", "lng", "nop"};
    return names[static_cast<size_t>(slot)];
}

DecodedBundle decode_bundle(std::span<const uint8_t> bytes) {
    Bits bits;
    std::memcpy(bits.word.data(), bytes.data(), std::min<size_t>(bytes.size(), 16));
    for (const FormatInfo& format : table.formats) {
        if ((bits.word[0] & format.mask[0]) != format.value[0] ||
            (bits.word[1] & format.mask[1]) != format.value[1])
            continue;
        if (format.bytes > bytes.size())
            throw std::runtime_error("the bundle is cut off");
        DecodedBundle bundle;
        bundle.size = format.bytes;
        bundle.format = format.name;
        for (unsigned i = 0; i < format.slots; i++) {
            const SlotBits& slot = table.slot_bits[format.first_slot + i];
            bundle.instructions.push_back(decode_slot(slot.slot, bits.field(slot.lsb, slot.width)));
        }
        return bundle;
    }
    throw std::runtime_error("unknown bundle format");
}

std::string text(const Instruction& instruction) {
    const InstructionInfo& of = info(instruction.opcode);
    std::string line = std::string(slot_name(of.slot)) + ":" + std::string(of.name);
    const char* separator = " ";
    for (const Operand& operand : instruction.operands) {
        if (operand.kind == OperandKind::tied_dc || operand.kind == OperandKind::tied_dc4)
            continue;
        line += separator;
        separator = ", ";
        if (operand.kind == OperandKind::signed_imm || operand.kind == OperandKind::unsigned_imm)
            line += '#', line += std::to_string(operand.value);
        else
            line += table.register_names[operand.reg].name;
    }
    return line;
}

std::string text(const DecodedBundle& bundle) {
    std::string line;
    for (const Instruction& instruction : bundle.instructions)
        line += (line.empty() ? "" : "; ") + text(instruction);
    return line;
}

std::vector<std::string> disassemble(std::span<const uint8_t> program, uint32_t address) {
    std::vector<std::string> lines;
    for (size_t at = 0; at < program.size();) {
        char head[16];
        std::snprintf(head, sizeof head, "0x%04zx", address + at);
        try {
            DecodedBundle bundle = decode_bundle(program.subspan(at));
            std::string line = head;
            line += ' ';
            for (unsigned i = 0; i < bundle.size; i++) {
                char byte[4];
                std::snprintf(byte, sizeof byte, "%02x", program[at + i]);
                line += byte;
            }
            lines.push_back(line + " " + text(bundle));
            at += bundle.size;
        } catch (const std::runtime_error& error) {
            throw std::runtime_error(std::string(head) + ": " + error.what());
        }
    }
    return lines;
}

} // namespace npusim
