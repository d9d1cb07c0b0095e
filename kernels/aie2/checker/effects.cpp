// SPDX-License-Identifier: MIT
// Sources: the instruction table, and llvm-aie, llvm/lib/Target/AIE/aie2: AIE2GenInstrInfo.td and
// AIE2GenFixupInstrInfo.td (ItineraryRegPairs: the scheduling class depends on the registers).
#include "kernels/aie2/checker/effects.hpp"

#include <algorithm>
#include <array>

namespace npuenc::aie2 {
namespace {

bool begins(std::string_view text, std::string_view with) {
    return text.starts_with(with);
}

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != text.npos;
}

// How the names of scheduling classes call the file of a register.
std::string_view scalar_file(std::string_view name) {
    const std::string_view file = numbered(name).file;
    if (file == "r")
        return "R";
    if (file == "s")
        return "S";
    if (file == "p")
        return "P";
    if (file == "m")
        return "M";
    if (file == "dj")
        return "DJ";
    if (file == "dn")
        return "DN";
    if (file == "dc")
        return "DC";
    return "";
}

std::string_view vector_file(std::string_view name) {
    if (begins(name, "am"))
        return "CM";
    if (begins(name, "wl"))
        return "WML";
    if (begins(name, "wh"))
        return "WMH";
    if (begins(name, "q"))
        return "Q";
    if (begins(name, "bm"))
        return "BM";
    return "XM";
}

// Some classes exist once for each file of registers.
std::string variant_of(std::string_view base, const Instruction& instruction) {
    const auto name = [&](size_t i) -> std::string_view { return instruction.operands[i].name; };
    if (base == "II_VMOV_W" || base == "II_VMOV_X")
        return std::string(base) + "_" + std::string(vector_file(name(0))) + "_" +
               std::string(vector_file(name(1)));
    if (base == "II_VCONVfp32bf16")
        return vector_file(name(1)) == "WML" ? "II_VCONVfp32bf16_WL" : std::string(base);
    const bool moves =
        base == "II_ADD_NC" || base == "II_MOV" || base == "II_MOV_SCL" || base == "II_VEXTRACT";
    const bool loads = base == "II_MOVA" || base == "II_LDA" || base == "II_LDA_POST_1D" ||
                       base == "II_LDA_POST_2D" || base == "II_LDA_POST_3D";
    if (!moves && !loads)
        return std::string(base);
    const std::string_view file = scalar_file(name(0));
    const bool general = file == "R" || file == "S";
    const std::string_view suffix = moves && general ? "RS" : file;
    return suffix.empty() ? std::string(base) : std::string(base) + "_" + std::string(suffix);
}

const ScheduleClass& schedule_of(const InstructionEntry& entry, const Instruction& instruction) {
    const ScheduleClass* variant =
        find_schedule_class(variant_of(entry.schedule->name, instruction));
    return variant == nullptr ? *entry.schedule : *variant;
}

void add_registers(Effects& effects) {
    const auto add = [&](std::string_view name, size_t place, bool result) {
        const ScheduleClass& schedule = *effects.schedule;
        const RegisterAccess access{
            units_of(name), place < schedule.cycles.size() ? schedule.cycles[place] : uint8_t{1},
            place < schedule.bypass.size() ? schedule.bypass[place] : '-'};
        (result ? effects.writes : effects.reads).push_back(access);
    };
    const InstructionEntry& entry = *effects.entry;
    const std::vector<Operand>& operands = effects.instruction->operands;
    for (size_t i = 0; i < operands.size(); ++i)
        if (operands[i].is_register())
            add(operands[i].name, i, entry.is_result(i));
    for (size_t i = 0; i < entry.implicit.size(); ++i)
        add(register_name(entry.implicit[i]), operands.size() + i, i < entry.n_implicit_results);
}

// A port that stands for "the one of the register that is written" has been resolved by the class;
// where it is still there the register is a special one, without a port.
void add_ports(Effects& effects) {
    for (const PortUse& use : effects.schedule->ports)
        if (use.port != "any_WM")
            effects.ports.push_back(use);
}

unsigned access_bytes(std::string_view name) {
    if (begins(name, "V"))
        return contains(name, "128") ? 16 : 32;
    if (contains(name, "S8") || contains(name, "U8"))
        return 1;
    if (contains(name, "S16") || contains(name, "U16"))
        return 2;
    return contains(name, "dmv") ? 16 : 4;
}

bool is_file(const Operand& operand, std::string_view file) {
    return numbered(operand.name).file == file;
}

// The last source that is a pointer: the address of a load, a store or PADD. What is stored may be
// a pointer too and stands before it.
std::optional<size_t> pointer_operand(const Effects& effects) {
    const std::vector<Operand>& operands = effects.instruction->operands;
    for (size_t i = operands.size(); i > effects.entry->n_results; --i)
        if (is_file(operands[i - 1], "p"))
            return i - 1;
    return std::nullopt;
}

void add_memory(Effects& effects) {
    const std::string_view name = effects.name();
    if (effects.schedule->memory.empty() || name.ends_with("_TM"))
        return;
    const auto [first, last] = std::ranges::minmax(effects.schedule->memory);
    const bool compressed = contains(name, "SPARSE") || contains(name, "COMPR");
    effects.memory = MemoryAccess{.loads = effects.entry->may_load,
                                  .stores = effects.entry->may_store,
                                  .first = first,
                                  .last = last,
                                  .bytes = access_bytes(name),
                                  .aligned = !compressed,
                                  .pointer = ""};
}

// What stands behind the pointer among the operands: an offset, or how the pointer moves.
void add_address(Effects& effects, size_t pointer_at) {
    const std::vector<Operand>& operands = effects.instruction->operands;
    const Operand& pointer = operands[pointer_at];
    const auto results_end = operands.begin() + static_cast<ptrdiff_t>(effects.entry->n_results);
    const bool moves = std::find(operands.begin(), results_end, pointer) != results_end;
    std::optional<Operand> behind;
    if (pointer_at + 1 < operands.size())
        behind = operands[pointer_at + 1];
    const bool plain = behind && (!behind->is_register() || is_file(*behind, moves ? "m" : "dj"));
    if (moves)
        effects.update = PointerUpdate{pointer.name, plain ? behind : std::nullopt};
    if (effects.memory) {
        effects.memory->pointer = pointer.name;
        if (!moves && plain)
            effects.memory->offset = *behind;
    }
}

void add_addressing(Effects& effects) {
    add_memory(effects);
    const std::string_view name = effects.name();
    const std::vector<Operand>& operands = effects.instruction->operands;
    if (name.ends_with("_spill")) {
        effects.memory->pointer = "SP";
        effects.memory->offset = operands.back();
    } else if (contains(name, "_sp_imm")) {
        effects.update = PointerUpdate{"SP", operands.back()};
    } else if (effects.memory || begins(name, "PADD")) {
        if (const auto at = pointer_operand(effects))
            add_address(effects, *at);
    }
}

void add_lock(Effects& effects) {
    const std::string_view name = effects.name();
    const bool acquires = begins(name, "ACQ_");
    if (!acquires && !begins(name, "REL_"))
        return;
    const std::vector<Operand>& operands = effects.instruction->operands;
    effects.lock = LockUse{acquires, contains(name, "_COND_"), operands[0], operands[1]};
}

void add_branch(Effects& effects) {
    const std::string_view name = effects.name();
    const std::vector<Operand>& operands = effects.instruction->operands;
    const auto to = [&](BranchKind kind) {
        BranchUse branch{.kind = kind, .target = {}, .pointer = "", .condition = ""};
        if (operands.back().is_register())
            branch.pointer = operands.back().name;
        else
            branch.target = operands.back().value;
        return branch;
    };
    if (name == "J_jump_imm" || name == "J_jump_ind")
        effects.branch = to(BranchKind::always);
    else if (name == "JL" || name == "JL_IND")
        effects.branch = to(BranchKind::call);
    else if (name == "JNZD")
        effects.branch = to(BranchKind::conditional);
    else if (name == "JNZ" || name == "JZ") {
        effects.branch = to(BranchKind::conditional);
        effects.branch->condition = operands[0].name;
        effects.branch->if_zero = name == "JZ";
    } else if (name == "RET")
        effects.branch =
            BranchUse{.kind = BranchKind::back, .target = {}, .pointer = "", .condition = ""};
}

} // namespace

bool Effects::writes_register(std::string_view register_name) const {
    const Units units = units_of(register_name);
    return std::ranges::any_of(
        writes, [&](const RegisterAccess& write) { return (write.units & units).any(); });
}

std::optional<Effects> effects_of(const Instruction& instruction) {
    const InstructionEntry* entry = find_instruction(instruction.name);
    if (entry == nullptr || entry->operands.size() != instruction.operands.size())
        return std::nullopt;
    for (size_t i = 0; i < entry->operands.size(); ++i) {
        const OperandKind kind = entry->operands[i].kind;
        const bool immediate = kind == OperandKind::signed_immediate ||
                               kind == OperandKind::negative_immediate ||
                               kind == OperandKind::unsigned_immediate;
        const Operand& operand = instruction.operands[i];
        if (operand.is_register() == immediate ||
            (operand.is_register() && units_of(operand.name).none()))
            return std::nullopt;
    }
    Effects effects{.instruction = &instruction,
                    .entry = entry,
                    .schedule = &schedule_of(*entry, instruction),
                    .reads = {},
                    .writes = {},
                    .ports = {},
                    .memory = {},
                    .update = {},
                    .lock = {},
                    .branch = {}};
    add_registers(effects);
    add_ports(effects);
    add_addressing(effects);
    add_lock(effects);
    add_branch(effects);
    return effects;
}

} // namespace npuenc::aie2
