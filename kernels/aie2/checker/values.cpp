// SPDX-License-Identifier: MIT
#include "kernels/aie2/checker/values.hpp"

#include <algorithm>
#include <numeric>

namespace npuenc::aie2 {
namespace {

constexpr uint32_t largest_modulus = 32;
// r0..r31, then p, m, dn, dj, dc of eight each, then SP.
constexpr size_t n_scalars = 32;
constexpr std::string_view files_of_eight[] = {"p", "m", "dn", "dj", "dc"};
constexpr size_t stack_slot = n_scalars + 8 * std::size(files_of_eight);
constexpr size_t n_slots_of_state = stack_slot + 1;

// Both may be what the register holds.
Value joined(const Value& a, const Value& b) {
    Value result;
    if (a.constant == b.constant)
        result.constant = a.constant;
    result.modulus = std::min(a.modulus, b.modulus);
    while (a.remainder % result.modulus != b.remainder % result.modulus)
        result.modulus /= 2;
    result.remainder = a.remainder % result.modulus;
    result.regions = a.regions | b.regions;
    result.anywhere = a.anywhere || b.anywhere;
    return result;
}

// A number added to an address gives an address in the same region.
Value sum(const Value& a, const Value& b, std::span<const Region> regions) {
    Value result = joined(a, b);
    result.constant.reset();
    if (a.constant && b.constant)
        result = Value::of(*a.constant + *b.constant, regions);
    result.modulus = std::min(a.modulus, b.modulus);
    result.remainder = (a.remainder + b.remainder) % result.modulus;
    result.regions = a.regions | b.regions;
    // What is added to a known address is a distance, wherever it came from.
    result.anywhere = result.regions == 0 && (a.anywhere || b.anywhere);
    return result;
}

Value negative(const Value& value, std::span<const Region> regions) {
    if (value.constant)
        return Value::of(-*value.constant, regions);
    Value result = value;
    result.remainder = (value.modulus - value.remainder) % value.modulus;
    return result;
}

} // namespace

Value Value::of(int64_t constant, std::span<const Region> regions) {
    Value value;
    value.constant = constant;
    value.modulus = largest_modulus;
    value.remainder = static_cast<uint32_t>(constant & (largest_modulus - 1));
    value.anywhere = false;
    for (size_t i = 0; i < regions.size() && i < 64; ++i)
        if (constant >= regions[i].address && constant < regions[i].address + regions[i].bytes)
            value.regions |= uint64_t{1} << i;
    return value;
}

std::optional<size_t> Values::slot_of(std::string_view register_name) {
    if (register_name == "SP")
        return stack_slot;
    const NumberedRegister reg = numbered(register_name);
    if (reg.file == "r")
        return static_cast<size_t>(reg.number);
    for (size_t i = 0; i < std::size(files_of_eight); ++i)
        if (reg.file == files_of_eight[i])
            return n_scalars + 8 * i + static_cast<size_t>(reg.number);
    return std::nullopt;
}

Values::Values(const ControlFlow& flow, std::span<const CheckedBundle> program,
               std::span<const Region> regions)
    : regions_(regions), before_(flow.moments().size()) {
    if (before_.empty())
        return;
    before_[0] = State(n_slots_of_state);
    std::vector<uint32_t> todo = {0};
    while (!todo.empty()) {
        const uint32_t moment = todo.back();
        todo.pop_back();
        const State state = after(before_[moment], program[flow.moments()[moment].bundle]);
        for (const uint32_t next : flow.next(moment)) {
            State merged = state;
            if (!before_[next].empty())
                for (size_t i = 0; i < merged.size(); ++i)
                    merged[i] = joined(before_[next][i], state[i]);
            if (merged != before_[next]) {
                before_[next] = std::move(merged);
                todo.push_back(next);
            }
        }
    }
}

Value Values::before(uint32_t moment, std::string_view register_name) const {
    const auto slot = slot_of(register_name);
    return slot && !before_[moment].empty() ? before_[moment][*slot] : Value{};
}

Value Values::of(uint32_t moment, const Operand& operand) const {
    return operand.is_register() ? before(moment, operand.name)
                                 : Value::of(operand.value, regions_);
}

Value Values::of(const State& state, const Operand& operand) const {
    if (!operand.is_register())
        return Value::of(operand.value, regions_);
    const auto slot = slot_of(operand.name);
    return slot ? state[*slot] : Value{};
}

Values::State Values::after(const State& state, const CheckedBundle& bundle) const {
    State result = state;
    for (const Effects& effects : bundle.instructions)
        apply(state, effects, result);
    return result;
}

void Values::apply(const State& state, const Effects& effects, State& result) const {
    const std::vector<Operand>& operands = effects.instruction->operands;
    for (size_t i = 0; i < effects.entry->n_results; ++i)
        if (const auto slot = slot_of(operands[i].name))
            result[*slot] = i == 0 ? result_of(state, effects) : Value{};
    // A pair of scalars, written as one.
    for (const RegisterAccess& write : effects.writes)
        for (size_t i = 0; i < n_scalars; ++i)
            if (write.units.count() == 2 && (write.units & units_of("r" + std::to_string(i))).any())
                result[i] = Value{};
    if (!effects.update)
        return;
    Value& pointer = result[*slot_of(effects.update->pointer)];
    const Value old = of(state, Operand(effects.update->pointer));
    if (effects.update->step) {
        pointer = sum(old, of(state, *effects.update->step), regions_);
    } else {
        pointer = old;
        pointer.constant.reset();
        pointer.modulus = 1;
        pointer.remainder = 0;
    }
}

// Of the first result, for the few instructions that make addresses, flags and lock counts.
Value Values::result_of(const State& state, const Effects& effects) const {
    const std::string_view name = effects.name();
    const std::vector<Operand>& operands = effects.instruction->operands;
    const auto source = [&](size_t i) { return of(state, operands[i]); };
    if (name == "MOVXM_lng_cg" || name == "MOVA_lda_cg" || name == "MOVX_alu_cg" ||
        name == "MOV_mv_cg" || name == "MOV_mv_scl")
        return source(1);
    if (name == "ADD" || name == "ADD_NC" || name == "ADD_add_r_ri")
        return sum(source(1), source(2), regions_);
    if (name == "SUB")
        return sum(source(1), negative(source(2), regions_), regions_);
    if (name == "OR" && operands[1] == operands[2])
        return source(1);
    if (name == "SELEQZ" || name == "SELNEZ")
        return joined(source(1), source(2));
    return Value{};
}

} // namespace npuenc::aie2
