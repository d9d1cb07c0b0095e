// SPDX-License-Identifier: MIT
// Instructions by the cycle in which they are issued: what a software-pipelined loop is written in,
// iteration by iteration, before it is cut into prologue, body and epilogue.
#pragma once

#include <map>

#include "kernels/aie2/program/program.hpp"

namespace npuenc::aie2 {

class Timeline {
  public:
    // Throws AssemblyError if another instruction is issued in the slot in that cycle.
    void at(int cycle, Instruction instruction);
    // The same for a jump, or MOVXM to LS or LE, whose last operand is the label's address.
    void at(int cycle, Instruction instruction, Program::Label target);
    // What `other` issues in [first, last), `offset` cycles later.
    void add(const Timeline& other, int first, int last, int offset);

    int last_memory_access() const; // the cycle of the last load or store
    // Whether n cycles from a on issue what those from b on issue.
    bool same(int a, int b, int n) const;
    // A bundle for each cycle of [first, last), empty ones too.
    void emit(Program& program, int first, int last) const;

  private:
    struct Issue {
        std::vector<Instruction> instructions; // one with a target is the first
        std::vector<Program::Label> target;    // one or none
    };
    void check(int cycle, const Instruction& instruction) const;

    std::map<int, Issue> issues_;
};

} // namespace npuenc::aie2
