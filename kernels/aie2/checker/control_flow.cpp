// SPDX-License-Identifier: MIT
// Rules
//   branch.delay     A branch takes effect after five more bundles, the delay slots; there is no
//                    branch among them. (llvm-aie, AIE2InstrInfo.cpp: getNumDelaySlots,
//                    getAlignmentBoundaries: "Cannot have branch in branch delay slot")
//   branch.target    A branch goes to the start of a bundle of the program that we can name.
//   branch.alignment A bundle that is jumped or returned to lies at a multiple of 16.
//                    (llvm-aie, AIEMachineAlignment.cpp: verifyAlignment)
//   branch.return    RET has a JL to go back to; calls do not nest without end.
//   program.end      The core does not run past the last bundle.
//   loop.bounds      LS and LE are set to addresses of bundles, by immediates.
//   loop.delay       No loop ends in a delay slot. (as above: "Cannot have HWLoopEnd in branch
//   delay
//                    slot")
#include "kernels/aie2/checker/control_flow.hpp"

#include <algorithm>

namespace npuenc::aie2 {
namespace {

constexpr uint32_t delay_slots = 5;
constexpr uint32_t alignment = 16;
constexpr uint32_t most_calls = 32;
constexpr size_t most_moments = 200000;

// The value that an instruction moves into a register as an immediate.
std::optional<int64_t> immediate_for(const Effects& effects, std::string_view register_name) {
    const std::vector<Operand>& operands = effects.instruction->operands;
    if (operands.size() == 2 && operands[0].name == register_name && !operands[1].is_register() &&
        effects.entry->n_results == 1)
        return operands[1].value;
    return std::nullopt;
}

} // namespace

const BranchUse* CheckedBundle::branch() const {
    for (const Effects& effects : instructions)
        if (effects.branch)
            return &*effects.branch;
    return nullptr;
}

bool CheckedBundle::ends_program() const {
    return std::ranges::any_of(instructions,
                               [](const Effects& effects) { return effects.name() == "DONE"; });
}

ControlFlow::ControlFlow(std::span<const CheckedBundle> program, uint32_t entry, Findings& findings)
    : program_(program), findings_(findings), calls_{{0, 0, 0}} {
    for (uint32_t i = 0; i < program.size(); ++i)
        bundles_[program[i].address] = i;
    const auto first = bundle_at(entry);
    if (!first) {
        findings_.add("branch.target", 0,
                      "the entry " + hex(entry) + " is not the start of a bundle");
        return;
    }
    moments_.push_back({.bundle = *first});
    next_.emplace_back();
    known_[moments_[0]] = 0;
    for (uint32_t i = 0; i < moments_.size() && complete_; ++i)
        follow(i);
}

std::optional<uint32_t> ControlFlow::bundle_at(int64_t address) const {
    const auto found = bundles_.find(static_cast<uint32_t>(address));
    if (address < 0 || found == bundles_.end())
        return std::nullopt;
    return found->second;
}

void ControlFlow::go(uint32_t from, Moment to) {
    const auto [place, is_new] = known_.emplace(to, moments_.size());
    if (is_new) {
        if (moments_.size() == most_moments) {
            findings_.add("program.size", to.bundle, "too many ways through the program to check");
            complete_ = false;
            return;
        }
        moments_.push_back(to);
        next_.emplace_back();
    }
    if (std::ranges::find(next_[from], place->second) == next_[from].end())
        next_[from].push_back(place->second);
}

void ControlFlow::go_on(uint32_t from, Moment to) {
    const CheckedBundle& here = program_[to.bundle];
    const auto behind = bundle_at(here.address + here.bytes);
    if (!behind) {
        findings_.add("program.end", to.bundle,
                      to.branch >= 0 ? "the program ends in the delay slots of a branch"
                                     : "the core runs past the end of the program");
        return;
    }
    to.bundle = *behind;
    go(from, to);
}

// The registers hold what this bundle put into them from the next bundle on.
Moment ControlFlow::with_loop_registers(const Moment& moment) const {
    Moment after = moment;
    for (const Effects& effects : program_[moment.bundle].instructions)
        for (const auto& [name, value] :
             {std::pair{"LS", &after.loop_start}, {"LE", &after.loop_end}}) {
            if (!effects.writes_register(name))
                continue;
            *value = immediate_for(effects, name).value_or(-1);
            if (!bundle_at(*value))
                findings_.add("loop.bounds", moment.bundle,
                              effects.name() + " sets " + name +
                                  " to something other than the address of a bundle");
        }
    return after;
}

void ControlFlow::follow(uint32_t from) {
    const Moment here = moments_[from];
    const CheckedBundle& bundle = program_[here.bundle];
    Moment after = with_loop_registers(here);
    const bool loop_ends = here.loop_end == bundle.address;
    if (bundle.ends_program())
        return;
    const BranchUse* branch = bundle.branch();
    if (branch != nullptr && here.branch >= 0)
        findings_.add("branch.delay", here.bundle,
                      "a branch in the delay slots of the branch in " +
                          findings_.place(static_cast<size_t>(here.branch)));
    if (loop_ends && (branch != nullptr || here.branch >= 0))
        findings_.add("loop.delay", here.bundle, "a loop ends in the delay slots of a branch");
    if (here.branch >= 0) {
        if (here.slots_left == 1)
            return take_branch(from, after);
        --after.slots_left;
        return go_on(from, after);
    }
    if (branch != nullptr) {
        after.branch = static_cast<int32_t>(here.bundle);
        after.slots_left = delay_slots;
        return go_on(from, after);
    }
    if (loop_ends) {
        Moment again = after;
        if (const auto start = bundle_at(here.loop_start)) {
            again.bundle = *start;
            go(from, again);
        } else {
            findings_.add("loop.bounds", here.bundle, "a loop ends here, and LS was not set");
        }
    }
    go_on(from, after);
}

void ControlFlow::take_branch(uint32_t from, Moment after) {
    const uint32_t origin = static_cast<uint32_t>(after.branch);
    const BranchUse& branch = *program_[origin].branch();
    after.branch = -1;
    after.slots_left = 0;
    if (branch.kind == BranchKind::conditional)
        go_on(from, after);
    if (branch.kind == BranchKind::back) {
        if (after.caller == 0) {
            findings_.add("branch.return", origin, "RET without a call to go back to");
            return;
        }
        const Call& call = calls_[after.caller];
        after.bundle = call.back_to;
        after.caller = call.caller;
        if (program_[after.bundle].address % alignment != 0)
            findings_.add("branch.alignment", after.bundle,
                          "a call returns here, and the address is not a multiple of 16");
        go(from, after);
        return;
    }
    if (branch.kind == BranchKind::call) {
        const CheckedBundle& last = program_[after.bundle];
        const auto back_to = bundle_at(last.address + last.bytes);
        if (!back_to) {
            findings_.add("program.end", after.bundle,
                          "a call returns past the end of the program");
            return;
        }
        if (calls_[after.caller].depth == most_calls) {
            findings_.add("branch.return", origin, "calls nest without end");
            return;
        }
        after.caller = call(after.caller, *back_to, origin);
    }
    const std::vector<int64_t> addresses = targets(branch);
    if (addresses.empty())
        findings_.add("branch.target", origin,
                      "the program nowhere puts an address into " + branch.pointer);
    for (const int64_t address : addresses)
        jump(from, after, address, origin);
}

void ControlFlow::jump(uint32_t from, Moment to, int64_t address, uint32_t branch) {
    const auto target = bundle_at(address);
    if (!target) {
        findings_.add("branch.target", branch,
                      hex(static_cast<uint64_t>(address)) + " is not the start of a bundle");
        return;
    }
    if (address % alignment != 0)
        findings_.add("branch.alignment", branch,
                      "its target " + hex(static_cast<uint64_t>(address)) +
                          " is not a multiple of 16");
    to.bundle = *target;
    go(from, to);
}

// Of a branch through a pointer: every address of a bundle that the program moves into it.
std::vector<int64_t> ControlFlow::targets(const BranchUse& branch) const {
    if (branch.target)
        return {*branch.target};
    std::vector<int64_t> found;
    for (const CheckedBundle& bundle : program_)
        for (const Effects& effects : bundle.instructions)
            if (const auto value = immediate_for(effects, branch.pointer);
                value && bundle_at(*value))
                found.push_back(*value);
    return found;
}

uint32_t ControlFlow::call(uint32_t caller, uint32_t back_to, uint32_t branch) {
    const auto [place, is_new] = known_calls_.emplace(std::pair{caller, branch}, calls_.size());
    if (is_new)
        calls_.push_back({caller, back_to, calls_[caller].depth + 1});
    return place->second;
}

} // namespace npuenc::aie2
