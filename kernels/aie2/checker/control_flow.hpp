// SPDX-License-Identifier: MIT
// Every way a core can take through a program.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "kernels/aie2/checker/effects.hpp"
#include "kernels/aie2/checker/findings.hpp"

namespace npuenc::aie2 {

// A bundle of the program, with the effects of its instructions.
struct CheckedBundle {
    uint32_t address;
    uint32_t bytes;
    std::vector<Effects> instructions;

    const BranchUse* branch() const; // of the first instruction that is one
    bool ends_program() const;       // DONE: the core stops
};

// A moment in a run of the program: a bundle that is issued, and what decides where the core goes
// on from there. One bundle is several moments where it is reached in several ways.
struct Moment {
    uint32_t bundle;
    int32_t branch = -1;     // the bundle of the branch whose delay slot this is
    uint32_t slots_left = 0; // of that branch, this one included
    int64_t loop_start = -1; // in LS and LE; -1: nothing that we know
    int64_t loop_end = -1;
    uint32_t caller = 0; // which chain of calls led here; 0: none

    auto operator<=>(const Moment&) const = default;
};

class ControlFlow {
  public:
    // Follows the program from `entry`; what is wrong with its branches is added to `findings`.
    ControlFlow(std::span<const CheckedBundle> program, uint32_t entry, Findings& findings);

    const std::vector<Moment>& moments() const { return moments_; } // the first is the entry
    std::span<const uint32_t> next(uint32_t moment) const { return next_[moment]; }
    bool complete() const { return complete_; } // else there were too many moments to follow

  private:
    struct Call {
        uint32_t caller;
        uint32_t back_to; // bundle
        uint32_t depth;
    };

    void follow(uint32_t moment);
    void go(uint32_t from, Moment to);
    void go_on(uint32_t from, Moment to);       // to the bundle behind
    void take_branch(uint32_t from, Moment to); // after the last delay slot
    void jump(uint32_t from, Moment to, int64_t address, uint32_t branch);
    std::vector<int64_t> targets(const BranchUse& branch) const;
    Moment with_loop_registers(const Moment& moment) const;
    std::optional<uint32_t> bundle_at(int64_t address) const;
    uint32_t call(uint32_t caller, uint32_t back_to, uint32_t branch);

    std::span<const CheckedBundle> program_;
    Findings& findings_;
    std::vector<Moment> moments_;
    std::vector<std::vector<uint32_t>> next_;
    std::vector<Call> calls_;
    std::map<Moment, uint32_t> known_;
    std::map<std::pair<uint32_t, uint32_t>, uint32_t> known_calls_;
    std::map<uint32_t, uint32_t> bundles_; // by address
    bool complete_ = true;
};

} // namespace npuenc::aie2
