// SPDX-License-Identifier: MIT
#include "kernels/aie2/isa/decoder.hpp"

#include <cstdio>
#include <optional>

namespace npuenc::aie2 {
namespace {

std::string hex(uint64_t word) {
    char text[2 + 16 + 1];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(word));
    return text;
}

uint64_t gather(uint64_t word, const OperandEntry& entry) {
    uint64_t field = 0;
    for (const Piece& piece : entry.pieces)
        field |= (word >> piece.lsb & ((uint64_t{1} << piece.width) - 1)) << piece.of;
    return field;
}

int64_t immediate_value(uint64_t field, const OperandEntry& entry) {
    auto value = static_cast<int64_t>(field);
    const int64_t size = int64_t{1} << entry.width;
    if (entry.kind == OperandKind::negative_immediate ||
        (entry.kind == OperandKind::signed_immediate && value >= size / 2))
        value -= size;
    return value * entry.step;
}

std::optional<std::string> register_of(const OperandEntry& entry, uint64_t code) {
    for (const RegisterCode& known : register_codes_of(entry.index))
        if (known.code == code)
            return std::string(register_name(known.register_index));
    return std::nullopt;
}

// Nothing if a field of the word is no register of its class: then it is another instruction.
std::optional<Instruction> match(const InstructionEntry& entry, uint64_t word) {
    if ((word & entry.mask) != entry.value)
        return std::nullopt;
    Instruction instruction{std::string(entry.name), {}};
    int modifier = 0;
    for (const OperandEntry& operand : entry.operands) {
        const uint64_t field = gather(word, operand);
        switch (operand.kind) {
        case OperandKind::register_class: {
            auto name = register_of(operand, field);
            if (!name)
                return std::nullopt;
            const std::string_view class_name = register_class_name(operand.index);
            if (class_name == "eD" || class_name == "eDS")
                modifier = (*name)[1] - '0';
            instruction.operands.emplace_back(std::move(*name));
            break;
        }
        case OperandKind::fixed_register:
            instruction.operands.emplace_back(std::string(register_name(operand.index)));
            break;
        case OperandKind::tied_counter:
            instruction.operands.emplace_back(""); // known when the modifier is
            break;
        default:
            instruction.operands.emplace_back(immediate_value(field, operand));
        }
    }
    for (size_t i = 0; i < entry.operands.size(); ++i)
        if (entry.operands[i].kind == OperandKind::tied_counter)
            instruction.operands[i].name =
                "dc" + std::to_string(modifier + entry.operands[i].index);
    return instruction;
}

uint64_t get(std::span<const uint8_t> bytes, unsigned lsb, unsigned width) {
    uint64_t word = 0;
    for (unsigned i = 0; i < width; ++i)
        word |= uint64_t{bytes[(lsb + i) / 8] >> (lsb + i) % 8 & 1u} << i;
    return word;
}

bool is_nop(const Instruction& instruction) {
    return instruction.name.starts_with("NOP");
}

const Format& format_of(std::span<const uint8_t> bytes) {
    for (const Format& format : bundle_formats()) {
        if (format.bytes != bytes.size())
            continue;
        bool fits = true;
        for (unsigned half = 0; half < 2 && half * 8 < format.bytes; ++half) {
            const unsigned width =
                format.bytes - half * 8u < 8 ? (format.bytes - half * 8u) * 8 : 64;
            fits = fits && (get(bytes, half * 64, width) & format.mask[half]) == format.value[half];
        }
        if (fits)
            return format;
    }
    throw DecodeError("no bundle of " + std::to_string(bytes.size()) + " bytes begins with " +
                      hex(get(bytes, 0, bytes.size() < 8 ? unsigned(bytes.size()) * 8 : 64)));
}

std::string slot_text(Slot slot, const Instruction& instruction) {
    return std::string(slot_name(slot)) + ":" +
           (instruction.name.empty() ? std::string(nop_of(slot).name) : to_text(instruction));
}

} // namespace

size_t bundle_size(uint8_t first_byte) {
    if ((first_byte & 1) == 0)
        return 16;
    if ((first_byte & 7) == 5)
        return 6;
    switch (first_byte & 15) {
    case 1:
        return 2;
    case 3:
        return 8;
    case 7:
        return 12;
    case 9:
        return 4;
    case 11:
        return 10;
    default:
        return 14;
    }
}

Instruction decode(Slot slot, uint64_t word) {
    std::optional<Instruction> found;
    for (const InstructionEntry* entry : instructions_of(slot)) {
        auto candidate = match(*entry, word);
        if (!candidate)
            continue;
        // These two share twelve words, which are VMOV_mv_mcd; it comes first by name.
        if (found && found->name == "VMOV_mv_mcd" && candidate->name == "VPACK_D4_D8")
            continue;
        if (found)
            throw DecodeError(std::string(slot_name(slot)) + " word " + hex(word) + " is both " +
                              found->name + " and " + candidate->name);
        found = std::move(candidate);
    }
    if (!found)
        throw DecodeError("no instruction of slot " + std::string(slot_name(slot)) + " is " +
                          hex(word));
    return *found;
}

Decoded decode(std::span<const uint8_t> bytes) {
    if (bytes.empty())
        throw DecodeError("no bundle in 0 bytes");
    const size_t size = bundle_size(bytes[0]);
    if (bytes.size() < size)
        throw DecodeError("a bundle of " + std::to_string(size) + " bytes has only " +
                          std::to_string(bytes.size()));
    const Format& format = format_of(bytes.first(size));
    Decoded decoded{&format, {}};
    for (const Format::Place& place : format.slots()) {
        Instruction instruction = decode(place.slot, get(bytes, place.lsb, slot_width(place.slot)));
        if (!is_nop(instruction))
            decoded.bundle[place.slot] = std::move(instruction);
    }
    return decoded;
}

std::string to_text(const Instruction& instruction) {
    std::string text = instruction.name;
    for (size_t i = 0; i < instruction.operands.size(); ++i) {
        const Operand& operand = instruction.operands[i];
        text += i == 0 ? " " : ", ";
        if (operand.is_register())
            text += operand.name;
        else
            text.append("#").append(std::to_string(operand.value));
    }
    return text;
}

std::string to_text(const Decoded& decoded) {
    // Two formats have a slot of one bit that can hold nothing else.
    std::string text = decoded.format->name.find("_NOP") == std::string_view::npos ? "" : "nop:NOP";
    for (const Format::Place& place : decoded.format->slots())
        text += (text.empty() ? "" : "; ") + slot_text(place.slot, decoded.bundle[place.slot]);
    return text;
}

std::string to_text(const Bundle& bundle) {
    std::string text;
    for (size_t i = 0; i < n_slots; ++i) {
        const auto slot = static_cast<Slot>(i);
        if (!bundle[slot].name.empty())
            text += (text.empty() ? "" : "; ") + slot_text(slot, bundle[slot]);
    }
    return text.empty() ? "nop" : text;
}

} // namespace npuenc::aie2
