// SPDX-License-Identifier: MIT
// Rule
//   port   Two instructions do not hold one port of a register file, or one unit, in the same
//   cycle.
// Source: aie2-sched.json (llvm-aie, AIE2Schedule.td): itineraries. The core does not arbitrate:
// one of the two results is lost.
#include <algorithm>

#include "kernels/aie2/checker/rules.hpp"

namespace npuenc::aie2 {
namespace {

// An itinerary names a port for each file that an operand may come from. AMD's own compiler counts
// the one that it does come from.
bool is_idle(const RuleContext& context, const Effects& effects, const PortUse& use) {
    if (!context.options.compiled)
        return false;
    const auto touches = [](const std::vector<RegisterAccess>& accesses, std::string_view file,
                            int count) {
        return std::ranges::any_of(accesses, [&](const RegisterAccess& access) {
            for (int i = 0; i < count; ++i)
                if ((access.units & units_of(std::string(file) + std::to_string(i))).any())
                    return true;
            return false;
        });
    };
    if (use.port == "R_WX")
        return !touches(effects.writes, "r", 32);
    if (use.port == "CM_WM" || use.port == "W_WM")
        return !touches(effects.writes, use.port == "CM_WM" ? "cm" : "x", 12);
    if (use.port == "P_RM") {
        // The first source, of a move as of a store; the others are its address.
        const Operand& source = effects.instruction->operands[effects.entry->n_results];
        return numbered(source.name).file != "p";
    }
    return false;
}

} // namespace

void check_ports(const RuleContext& context) {
    const auto reach = [](const Effects& effects) {
        int last = -1;
        for (const PortUse& use : effects.ports)
            last = std::max(last, use.last - 1);
        return last;
    };
    for_each_pair(context, reach, [&](const Pair& pair) {
        if (pair.distance == 0 && &pair.later < &pair.earlier)
            return; // seen the other way round
        for (const PortUse& first : pair.earlier.ports)
            for (const PortUse& second : pair.later.ports) {
                const int begins = std::max<int>(first.first, second.first + pair.distance);
                const int ends = std::min<int>(first.last, second.last + pair.distance);
                if (first.port == second.port && begins <= ends &&
                    !is_idle(context, pair.earlier, first) && !is_idle(context, pair.later, second))
                    context.findings.add("port", pair.later_bundle(context),
                                         pair.later.name() + " needs " + std::string(second.port) +
                                             " in its cycle " +
                                             std::to_string(begins - pair.distance) +
                                             " together with " + before_text(context, pair));
            }
    });
}

} // namespace npuenc::aie2
