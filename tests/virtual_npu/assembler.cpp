// SPDX-License-Identifier: MIT
// Test programs for a simulated core, from text.
#include "tests/virtual_npu/assembler.hpp"

#include "tools/npusim/decode_table.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <stdexcept>
#include <string>

using namespace npusim;

namespace {

std::string trim(std::string_view text) {
    size_t first = text.find_first_not_of(" \t");
    size_t last = text.find_last_not_of(" \t");
    return first == text.npos ? std::string() : std::string(text.substr(first, last - first + 1));
}

std::vector<std::string> split(std::string_view text, char at) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        size_t end = std::min(text.find(at), text.size());
        if (std::string part = trim(text.substr(0, end)); !part.empty())
            parts.push_back(part);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

void place(uint64_t& word, const OperandInfo& operand, uint64_t field) {
    for (const BitPiece& piece : operand.pieces)
        word |= (field >> piece.of & ((uint64_t{1} << piece.width) - 1)) << piece.lsb;
}

uint64_t register_field(const RegisterClass& members, const std::string& name) {
    const DecodeTable& table = decode_table();
    for (uint32_t code = 0; code < members.size; code++) {
        uint16_t reg = table.register_codes[members.first + code];
        if (reg != 0xffff && table.register_names[reg].name == name)
            return code;
    }
    throw std::runtime_error("no register " + name + " in " + std::string(members.name));
}

uint64_t encode(const InstructionInfo& instruction, const std::vector<std::string>& operands,
                const std::map<std::string, uint32_t>& labels) {
    const DecodeTable& table = decode_table();
    uint64_t word = instruction.value;
    size_t next = 0;
    for (unsigned i = 0; i < instruction.operands; i++) {
        const OperandInfo& operand = table.operand_infos[instruction.first_operand + i];
        if (operand.kind == OperandKind::tied_dc || operand.kind == OperandKind::tied_dc4)
            continue;
        const std::string& text = operands.at(next++);
        if (operand.kind == OperandKind::implicit)
            continue;
        if (operand.kind == OperandKind::reg) {
            place(word, operand, register_field(table.register_classes[operand.index], text));
            continue;
        }
        int64_t value;
        if (text[0] == '@')
            value = labels.at(text.substr(1));
        else
            value = std::stoll(text.substr(1), nullptr, 0);
        if (value % operand.step)
            throw std::runtime_error(text + " is not a multiple of " +
                                     std::to_string(operand.step));
        value /= operand.step;
        int64_t limit = int64_t{1} << operand.width;
        if (value >= limit || value < -limit)
            throw std::runtime_error(text + " is out of range");
        place(word, operand, static_cast<uint64_t>(value));
    }
    if (next != operands.size())
        throw std::runtime_error("too many operands of " + std::string(instruction.name));
    return word;
}

void put(std::array<uint8_t, 16>& bundle, unsigned lsb, unsigned width, uint64_t value) {
    for (unsigned i = 0; i < width; i++)
        if (value >> i & 1)
            bundle[(lsb + i) / 8] |= static_cast<uint8_t>(1 << (lsb + i) % 8);
}

const InstructionInfo& find(Slot slot, std::string_view name) {
    for (const InstructionInfo& instruction : decode_table().instructions)
        if (instruction.slot == slot && instruction.name == name)
            return instruction;
    throw std::runtime_error("no instruction " + std::string(name));
}

std::array<uint8_t, 16> assemble_bundle(const std::string& line,
                                        const std::map<std::string, uint32_t>& labels) {
    constexpr std::string_view slots[] = {"lda", "ldb", "alu", "mv", "st", "vec", "lng"};
    constexpr std::string_view nops[] = {"NOPA", "NOPB", "NOPX", "NOPM", "NOPS", "NOPV", "NOPXM"};
    std::array<uint64_t, 7> words;
    for (size_t i = 0; i < words.size(); i++)
        words[i] = find(static_cast<Slot>(i), nops[i]).value;
    bool is_long = false;
    if (line != "nop")
        for (const std::string& part : split(line, ';')) {
            size_t colon = part.find(':');
            size_t slot = static_cast<size_t>(
                std::ranges::find(slots, std::string_view(part).substr(0, colon)) - slots);
            size_t space = std::min(part.find(' '), part.size());
            auto operands = split(std::string_view(part).substr(space), ',');
            const auto& instruction =
                find(static_cast<Slot>(slot), part.substr(colon + 1, space - colon - 1));
            words[slot] = encode(instruction, operands, labels);
            is_long |= static_cast<Slot>(slot) == Slot::lng;
        }
    std::array<uint8_t, 16> bundle{};
    const DecodeTable& table = decode_table();
    for (const FormatInfo& format : table.formats) {
        if (format.name != (is_long ? "I128_LDB_LDA_ST_LNG_VEC" : "I128_LDB_LDA_ST_ALU_MV_VEC"))
            continue;
        put(bundle, 0, 64, format.value[0]);
        put(bundle, 64, 64, format.value[1]);
        for (unsigned i = 0; i < format.slots; i++) {
            const SlotBits& bits = table.slot_bits[format.first_slot + i];
            put(bundle, bits.lsb, bits.width, words[static_cast<size_t>(bits.slot)]);
        }
    }
    return bundle;
}

} // namespace

std::vector<uint8_t> assemble(std::string_view program) {
    std::map<std::string, uint32_t> labels;
    std::vector<std::string> lines;
    for (const std::string& line : split(program, '\n')) {
        if (line.back() == ':')
            labels[line.substr(0, line.size() - 1)] = static_cast<uint32_t>(16 * lines.size());
        else
            lines.push_back(line);
    }
    std::vector<uint8_t> bytes;
    for (const std::string& line : lines) {
        auto bundle = assemble_bundle(line, labels);
        bytes.insert(bytes.end(), bundle.begin(), bundle.end());
    }
    return bytes;
}
