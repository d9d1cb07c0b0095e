// SPDX-License-Identifier: MIT
#include "kernels/aie2/isa/instruction_table.hpp"

#include <algorithm>
#include <iterator>
#include <unordered_map>

namespace npuenc::aie2 {
namespace {

// Rows as instruction_table.inc has them: a list is its first element and its length.
struct RegisterClassRow {
    std::string_view name;
    uint16_t first, size;
};

struct ScheduleRow {
    std::string_view name;
    uint16_t cycles, n_cycles, ports, n_ports, memory, n_memory;
    std::string_view bypass;
};

struct InstructionRow {
    std::string_view name;
    Slot slot;
    uint64_t mask, value;
    uint16_t operands, n_operands, n_results, schedule, flags, implicit, n_implicit;
    uint16_t n_implicit_results;
};

#include "kernels/aie2/isa/instruction_table.inc"

constexpr uint16_t flag_load = 1;
constexpr uint16_t flag_store = 2;

// The rows with their lists, and indices by name.
struct Table {
    std::vector<ScheduleClass> schedule_classes;
    std::vector<InstructionEntry> instructions;
    std::array<std::vector<const InstructionEntry*>, n_slots> by_slot;
    std::array<const InstructionEntry*, n_slots> nops{};
    std::unordered_map<std::string_view, const InstructionEntry*> by_name;
    std::unordered_map<std::string_view, uint16_t> register_indices;

    Table() {
        for (const ScheduleRow& row : schedule_rows)
            schedule_classes.push_back({row.name,
                                        {operand_cycles + row.cycles, row.n_cycles},
                                        {port_uses + row.ports, row.n_ports},
                                        {memory_cycles + row.memory, row.n_memory},
                                        row.bypass});
        for (const InstructionRow& row : instruction_rows)
            instructions.push_back({row.name,
                                    row.slot,
                                    row.mask,
                                    row.value,
                                    {operand_entries + row.operands, row.n_operands},
                                    row.n_results,
                                    &schedule_classes[row.schedule],
                                    (row.flags & flag_load) != 0,
                                    (row.flags & flag_store) != 0,
                                    {implicit_registers + row.implicit, row.n_implicit},
                                    row.n_implicit_results});
        for (const InstructionEntry& entry : instructions) {
            by_slot[static_cast<size_t>(entry.slot)].push_back(&entry);
            by_name.emplace(entry.name, &entry);
            if (entry.name.starts_with("NOP"))
                nops[static_cast<size_t>(entry.slot)] = &entry;
        }
        for (uint16_t i = 0; i < std::size(registers); ++i)
            register_indices.emplace(registers[i], i);
    }
};

const Table& table() {
    static const Table made;
    return made;
}

} // namespace

std::string_view slot_name(Slot slot) {
    constexpr std::string_view names[n_slots] = {"lda", "ldb", "alu", "mv", "st", "vec", "lng"};
    return names[static_cast<size_t>(slot)];
}

unsigned slot_width(Slot slot) {
    return slot_widths[static_cast<size_t>(slot)];
}

bool Format::has(Slot slot) const {
    return std::ranges::any_of(slots(), [&](const Place& place) { return place.slot == slot; });
}

std::span<const InstructionEntry> instructions() {
    return table().instructions;
}

const InstructionEntry* find_instruction(std::string_view name) {
    const auto found = table().by_name.find(name);
    return found == table().by_name.end() ? nullptr : found->second;
}

std::span<const InstructionEntry* const> instructions_of(Slot slot) {
    return table().by_slot[static_cast<size_t>(slot)];
}

const InstructionEntry& nop_of(Slot slot) {
    return *table().nops[static_cast<size_t>(slot)];
}

std::string_view register_name(uint16_t index) {
    return registers[index];
}

std::optional<uint16_t> register_index(std::string_view name) {
    const auto found = table().register_indices.find(name);
    if (found == table().register_indices.end())
        return std::nullopt;
    return found->second;
}

std::string_view register_class_name(uint16_t register_class) {
    return register_classes[register_class].name;
}

std::span<const RegisterCode> register_codes_of(uint16_t register_class) {
    const RegisterClassRow& row = register_classes[register_class];
    return {register_codes + row.first, row.size};
}

// Codes are sorted, so that the first that fits is the smallest.
std::optional<uint16_t> register_code(uint16_t register_class, std::string_view name) {
    for (const RegisterCode& code : register_codes_of(register_class))
        if (!code.decode_only && registers[code.register_index] == name)
            return code.code;
    return std::nullopt;
}

std::span<const ScheduleClass> schedule_classes() {
    return table().schedule_classes;
}

const ScheduleClass* find_schedule_class(std::string_view name) {
    const auto& classes = table().schedule_classes;
    const auto found = std::ranges::find(classes, name, &ScheduleClass::name);
    return found == classes.end() ? nullptr : &*found;
}

std::span<const Format> bundle_formats() {
    return formats;
}

const Format* find_format(std::string_view name) {
    const auto* found = std::ranges::find(formats, name, &Format::name);
    return found == std::end(formats) ? nullptr : found;
}

} // namespace npuenc::aie2
