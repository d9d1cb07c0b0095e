// SPDX-License-Identifier: MIT
#include <algorithm>

#include "kernels/aie2/checker/rules.hpp"

namespace npuenc::aie2 {
namespace {

std::vector<uint32_t> step(const ControlFlow& flow, const std::vector<uint32_t>& moments) {
    std::vector<uint32_t> next;
    for (const uint32_t moment : moments)
        next.insert(next.end(), flow.next(moment).begin(), flow.next(moment).end());
    std::ranges::sort(next);
    next.erase(std::unique(next.begin(), next.end()), next.end());
    return next;
}

} // namespace

void for_each_pair(const RuleContext& context, const std::function<int(const Effects&)>& reach,
                   const std::function<void(const Pair&)>& visit) {
    for (uint32_t from = 0; from < context.flow.moments().size(); ++from) {
        const std::vector<Effects>& instructions = context.bundle_of(from).instructions;
        std::vector<int> reaches;
        for (const Effects& effects : instructions)
            reaches.push_back(reach(effects));
        const int furthest = reaches.empty() ? -1 : std::ranges::max(reaches);
        std::vector<uint32_t> moments = {from};
        for (int distance = 0; distance <= furthest; ++distance) {
            for (const uint32_t moment : moments)
                for (const Effects& later : context.bundle_of(moment).instructions)
                    for (size_t i = 0; i < instructions.size(); ++i)
                        if (distance <= reaches[i] && (distance > 0 || &later != &instructions[i]))
                            visit({from, moment, instructions[i], later, distance});
            moments = step(context.flow, moments);
        }
    }
}

std::string before_text(const RuleContext& context, const Pair& pair) {
    const std::string name = pair.earlier.name();
    if (pair.distance == 0)
        return name + " in the same bundle";
    return name + " in " +
           context.findings.place(context.flow.moments()[pair.earlier_moment].bundle) + ", " +
           std::to_string(pair.distance) +
           (pair.distance == 1 ? " bundle before" : " bundles before");
}

} // namespace npuenc::aie2
