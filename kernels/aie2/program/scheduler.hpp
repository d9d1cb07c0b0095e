// SPDX-License-Identifier: MIT
// Packs a straight run of instructions into bundles: each goes into the first cycle in which its
// sources are there, its results overwrite nothing that is still wanted, and its slot and ports are
// free.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/aie2/program/program.hpp"

namespace npuenc::aie2 {

// What a load or store touches, as far as the schedule must know.
struct Place {
    // Accesses to the same place stay in order where one of them is a store, and so do those of a
    // place without a name with all others. Places with different names never overlap.
    std::string name;
    // Two accesses to one bank are kept out of one cycle; the core would stand still for one.
    std::string bank;
};

class Block {
  public:
    // In the order in which they would be executed one after another.
    void add(Instruction instruction, Place place = {});
    // Any of them does the same thing, in another slot; the first that fits is taken.
    void add(std::vector<Instruction> choices, Place place = {});

    size_t size() const { return items_.size(); }

    struct Branch {
        Program::Label target;
        std::string unless_zero; // a register, for JNZ; empty: J
    };
    // Adds the bundles to the program. After the last one every result has landed and every port is
    // free, so that anything may follow. A branch is taken at the end of the block, on the value
    // that the block gave to its register. Throws AssemblyError for an instruction that is not in
    // the table or is itself a branch.
    void emit(Program& program, std::optional<Branch> branch = {}) const;

    // The bundles alone.
    std::vector<Bundle> schedule() const;

  private:
    struct Item {
        std::vector<Instruction> choices;
        Place place;
    };
    std::vector<Item> items_;
};

} // namespace npuenc::aie2
