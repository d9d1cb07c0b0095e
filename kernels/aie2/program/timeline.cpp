// SPDX-License-Identifier: MIT
#include "kernels/aie2/program/timeline.hpp"

#include "kernels/aie2/isa/assembler.hpp"

namespace npuenc::aie2 {

void Timeline::check(int cycle, const Instruction& instruction) const {
    const auto found = issues_.find(cycle);
    if (found == issues_.end())
        return;
    for (const Instruction& other : found->second.instructions)
        if (entry_of(other).slot == entry_of(instruction).slot)
            throw AssemblyError("cycle " + std::to_string(cycle) + ": " + instruction.name +
                                " and " + other.name + " are both in slot " +
                                std::string(slot_name(entry_of(other).slot)));
}

void Timeline::at(int cycle, Instruction instruction) {
    check(cycle, instruction);
    issues_[cycle].instructions.push_back(std::move(instruction));
}

void Timeline::at(int cycle, Instruction instruction, Program::Label target) {
    check(cycle, instruction);
    Issue& issue = issues_[cycle];
    if (!issue.target.empty())
        throw AssemblyError("cycle " + std::to_string(cycle) + " has two targets");
    issue.instructions.insert(issue.instructions.begin(), std::move(instruction));
    issue.target.push_back(target);
}

void Timeline::add(const Timeline& other, int first, int last, int offset) {
    for (auto issue = other.issues_.lower_bound(first);
         issue != other.issues_.end() && issue->first < last; ++issue)
        for (const Instruction& instruction : issue->second.instructions)
            at(issue->first + offset, instruction);
}

int Timeline::last_memory_access() const {
    for (auto issue = issues_.rbegin(); issue != issues_.rend(); ++issue)
        for (const Instruction& instruction : issue->second.instructions)
            if (entry_of(instruction).may_load || entry_of(instruction).may_store)
                return issue->first;
    throw AssemblyError("no cycle touches memory");
}

bool Timeline::same(int a, int b, int n) const {
    for (int i = 0; i < n; ++i) {
        Bundle bundles[2];
        for (int side : {0, 1}) {
            const auto found = issues_.find((side == 0 ? a : b) + i);
            if (found != issues_.end())
                for (const Instruction& instruction : found->second.instructions)
                    bundles[side][entry_of(instruction).slot] = instruction;
        }
        if (bundles[0] != bundles[1])
            return false;
    }
    return true;
}

void Timeline::emit(Program& program, int first, int last) const {
    for (int cycle = first; cycle < last; ++cycle) {
        const auto found = issues_.find(cycle);
        if (found == issues_.end())
            program.nops(1);
        else if (found->second.target.empty())
            program.emit(found->second.instructions);
        else
            program.emit_to(found->second.target[0], found->second.instructions);
    }
}

} // namespace npuenc::aie2
