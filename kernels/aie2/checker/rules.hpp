// SPDX-License-Identifier: MIT
// The program as the rules see it, and the rules.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "kernels/aie2/checker/control_flow.hpp"
#include "kernels/aie2/checker/findings.hpp"
#include "kernels/aie2/checker/values.hpp"

namespace npuenc::aie2 {

struct RuleContext {
    std::span<const CheckedBundle> program;
    const CheckOptions& options;
    const ControlFlow& flow;
    const Values& values;
    Findings& findings;

    const CheckedBundle& bundle_of(uint32_t moment) const {
        return program[flow.moments()[moment].bundle];
    }
};

void check_latencies(const RuleContext& context);
void check_ports(const RuleContext& context);
void check_memory_order(const RuleContext& context);
void check_addresses(const RuleContext& context);
void check_lock_distances(const RuleContext& context);
void check_lock_balance(const RuleContext& context);
void check_loops(const RuleContext& context);
void check_definitions(const RuleContext& context);
RegisterPressure pressure_of(const RuleContext& context);

// An instruction, and one that is issued `distance` bundles later on some way through the program
// (0: in the same bundle).
struct Pair {
    uint32_t earlier_moment, later_moment;
    const Effects& earlier;
    const Effects& later;
    int distance;

    size_t later_bundle(const RuleContext& context) const {
        return context.flow.moments()[later_moment].bundle;
    }
};

// Calls `visit` for every pair up to the distance that `reach` says of the earlier instruction;
// a negative reach leaves it out. Pairs in one bundle come in both orders.
void for_each_pair(const RuleContext& context, const std::function<int(const Effects&)>& reach,
                   const std::function<void(const Pair&)>& visit);

// "VLDA_... in bundle 12 (0xc0), 3 bundles before"
std::string before_text(const RuleContext& context, const Pair& pair);

} // namespace npuenc::aie2
