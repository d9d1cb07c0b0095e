// SPDX-License-Identifier: MIT
// When an instruction reads and writes, which ports it takes, and how it forms an address.
#include "tools/npusim/core_state.hpp"

#include <algorithm>
#include <string>

namespace npusim {

namespace {

bool is_register(const Operand& operand) {
    return operand.kind == OperandKind::reg;
}

// Register files by unit, in the order of Timing::variants; -1: none of them.
int file_of(uint8_t u) {
    if (u < unit::p0 || (u >= unit::s0 && u < unit::LC))
        return 0; // r and s are written through the same port
    if (u < unit::m0)
        return 1;
    if (u < unit::dn0)
        return 2;
    if (u >= unit::dc0 && u < unit::s0)
        return 3;
    if (u >= unit::dj0 && u < unit::dc0)
        return 4;
    if (u < unit::dj0)
        return 5;
    return -1;
}

bool is_accumulator(uint8_t u) {
    return u >= unit::am0 && u < unit::q0;
}

uint8_t port_by_name(std::string_view name) {
    const auto& names = decode_table().port_names;
    return static_cast<uint8_t>(std::ranges::find(names, name) - names.begin());
}

// The file of a vector operand, as the names of timing classes spell it.
std::string_view vector_file(const Operand& operand, bool narrow) {
    if (operand.unit >= unit::q0)
        return "Q";
    if (is_accumulator(operand.unit))
        return narrow ? "CM" : "BM";
    if (!narrow)
        return "XM";
    return operand.unit % 2 ? "WMH" : "WML";
}

const Timing* timing_by_name(const std::string& name) {
    const auto& timings = decode_table().timings;
    auto found = std::ranges::find(timings, std::string_view(name), &Timing::name);
    return found == timings.end() ? nullptr : &*found;
}

} // namespace

const Timing& timing_of(const Instruction& instruction) {
    const DecodeTable& table = decode_table();
    const Timing& general = table.timings[info(instruction.opcode).timing];
    const auto& operands = instruction.operands;
    if (operands.empty() || !is_register(operands[0]))
        return general;
    // Moves of vectors have classes by the files of both operands: they differ in the bypasses.
    if (general.name == "II_VMOV_W" || general.name == "II_VMOV_X") {
        bool narrow = general.name == "II_VMOV_W";
        const Timing* special = timing_by_name(std::string(general.name) + "_" +
                                               std::string(vector_file(operands[0], narrow)) + "_" +
                                               std::string(vector_file(operands[1], narrow)));
        return special ? *special : general;
    }
    int file = file_of(operands[0].unit);
    if (file < 0 || general.variants[static_cast<size_t>(file)] == 0xffff)
        return general;
    return table.timings[general.variants[static_cast<size_t>(file)]];
}

std::vector<PortUse> ports_of(const Instruction& instruction, const Timing& timing) {
    const DecodeTable& table = decode_table();
    std::vector<PortUse> uses;
    uint8_t destination = instruction.operands.empty() || !is_register(instruction.operands[0])
                              ? unit::none
                              : instruction.operands[0].unit;
    for (unsigned i = 0; i < timing.ports; i++) {
        PortUse use = table.port_uses[timing.first_port + i];
        std::string_view name = table.port_names[use.port];
        // AMD's own programs let two instructions read through one of these in a cycle.
        if (name == "R_RV" || name == "P_RM" || name == "CM_RM" || name == "W_RS")
            continue;
        // And use the two halves of the SRS unit for two accumulators of 512 bits.
        if (name == "UPPER_SRS" && info(instruction.opcode).name.starts_with("VSRS") &&
            instruction.operands[1].units == 2)
            continue;
        // Classes that serve several register files list the ports of all.
        if (name == "any_WM") {
            int file = file_of(destination);
            constexpr std::string_view ports[] = {"", "P_WM", "M_WM", "DC_WM", "DJ_WM", "DN_WM"};
            if (file <= 0)
                continue;
            use.port = port_by_name(ports[file]);
        } else if (destination != unit::none && unit::is_vector(destination) &&
                   (name == "CM_WM" || name == "W_WM" || name == "W_WA")) {
            if ((name == "CM_WM") != is_accumulator(destination))
                continue;
        } else if (name == "R_WA" && timing.name.starts_with("II_LDA") &&
                   file_of(destination) != 0) {
            continue;
        }
        uses.push_back(use);
    }
    return uses;
}

AddressMode address_mode(const Instruction& instruction) {
    const InstructionInfo& known = info(instruction.opcode);
    bool pointer_move = known.name.starts_with("PADD");
    if (!known.may_load && !known.may_store && !pointer_move)
        return {};
    AddressMode mode;
    const auto& operands = instruction.operands;
    // A scalar load or store may name a pointer as its data: the address follows it.
    size_t last_pointer = operands.size();
    for (size_t i = 0; i < operands.size(); i++)
        if (is_register(operands[i]) && operands[i].unit >= unit::p0 && operands[i].unit < unit::m0)
            last_pointer = i;
    if (known.name.ends_with("spill") || known.name.ends_with("sp_imm")) {
        mode.kind = AddressMode::stack;
        mode.imm = operands.back().value;
        return mode;
    }
    if (last_pointer == operands.size())
        return {};
    mode.pointer = operands[last_pointer].unit;
    mode.data = static_cast<uint8_t>(last_pointer - 1);
    if (last_pointer + 1 == operands.size()) {
        mode.kind = AddressMode::plain;
        return mode;
    }
    const Operand& modifier = operands[last_pointer + 1];
    bool post = pointer_move || known.name.find("pstm") != std::string_view::npos ||
                known.name.find("_2D") != std::string_view::npos ||
                known.name.find("_3D") != std::string_view::npos;
    if (!is_register(modifier)) {
        mode.kind = post ? AddressMode::post_imm : AddressMode::index_imm;
        mode.imm = modifier.value;
    } else if (modifier.unit >= 208 && modifier.unit < 212) {
        mode.kind = AddressMode::post_3d;
        mode.modifier = static_cast<uint8_t>(modifier.unit - 208);
    } else if (modifier.unit >= 200 && modifier.unit < 208) {
        mode.kind = AddressMode::post_2d;
        mode.modifier = static_cast<uint8_t>(modifier.unit - 200);
    } else {
        mode.kind = post ? AddressMode::post_reg : AddressMode::index_reg;
        mode.modifier = modifier.unit;
    }
    return mode;
}

} // namespace npusim
