// SPDX-License-Identifier: MIT
// A loop whose iterations overlap: in each period another one begins, and the stages of those
// before it are executed beside it. There is no prologue and no epilogue. So the first turns
// execute later stages of iterations that never began, and the last ones begin iterations that
// never end: what they compute must do no harm, where pointers are set so that they store it beside
// the rest.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "kernels/aie2/program/program.hpp"

namespace npuenc::aie2 {

class Pipeline {
  public:
    // Of one iteration, in the order in which they would be executed one after another. Operands
    // like "x{sum}" or "bml{sum}" are registers of the iteration, to be found; a value of an
    // iteration may live no longer than a period. Others stay the same in the loop. Accesses to the
    // same place stay in order.
    void add(Instruction instruction, std::string place = "");
    // Not before the first instruction that writes `value` is executed.
    void add_after(const std::string& value, Instruction instruction);
    // A load, as late as its first reader allows.
    void add_late(Instruction load, std::string place = "");
    // What moves a pointer on, once in each iteration, after all accesses with it.
    void step(const std::string& pointer, Instruction instruction);
    // The number of a value's register, which the others do not get.
    void pin(const std::string& value, int number);

    // Registers that values may have.
    struct Free {
        std::vector<int> vectors, accumulators;
    };
    struct Loop {
        std::vector<Bundle> body;
        int stages = 0;
        // How often each pointer is moved before the first iteration uses it.
        std::map<std::string, int> steps_before;
    };
    // Throws std::logic_error where a period is too short.
    Loop schedule(int period, const Free& free) const;
    // Of the shortest period from `least` to `most`.
    Loop shortest(int least, int most, const Free& free) const;

  private:
    struct Item {
        Instruction instruction;
        std::string place, after, pointer;
        bool late = false;
    };
    class Scheduler;

    std::vector<Item> items_;
    std::map<std::string, int> pins_;
};

} // namespace npuenc::aie2
