// SPDX-License-Identifier: MIT
// Rules
//   latency.read   A register that an instruction writes in cycle D may be read by a later one in
//                  cycle U from D - U + 1 bundles on, and not before: the old value is gone as soon
//                  as the result chooses to land.
//   latency.write  A register is not written again so that the earlier result could land last, nor
//                  so early that an instruction which is still to read it gets the new value.
// Source: aie2-sched.json (llvm-aie, AIE2Schedule.td): cycles of operands. Only "at most 7" is
// known of loads from programs that run: the rules hold whether a result lands in time or before.
// A result is never there before its operands were read and its memory was touched.
// In a compiler's program a result lands in its cycle, one earlier over a bypass, and the old value
// may be read, and even a later result written, until then. Nobody can tell from such a program
// that the old value was not meant, unless it is the new one that nobody reads; nor that an
// instruction which reads late was not meant to read what a later one writes.
#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "kernels/aie2/checker/rules.hpp"

namespace npuenc::aie2 {
namespace {

// Status flags are only ever added to: it does not matter who comes last.
bool is_sticky(const Units& units) {
    static const Units sticky = [] {
        Units all;
        for (const char* name : {"srSRS_of", "srUPS_of", "srCompr_uf", "srSparse_of", "srFPFlags",
                                 "srF2IFlags", "srF2FFlags", "srSS0", "srMS0"})
            all |= units_of(name);
        return all;
    }();
    return (units & ~sticky).none();
}

int earliest_result(const Effects& effects, const RegisterAccess& write) {
    int earliest = effects.memory && effects.memory->loads ? effects.memory->first : 1;
    for (const RegisterAccess& read : effects.reads)
        earliest = std::max<int>(earliest, read.cycle);
    return std::min<int>(earliest, write.cycle);
}

// From how many bundles on the result is there for the reader.
int distance_needed(const RuleContext& context, const RegisterAccess& write,
                    const RegisterAccess& read) {
    const bool bypassed =
        context.options.compiled && write.bypass != '-' && write.bypass == read.bypass;
    return write.cycle - read.cycle + 1 - (bypassed ? 1 : 0);
}

// Whether anybody reads a result: after it has landed, and before the next one has.
class ResultSearch {
  public:
    ResultSearch(const RuleContext& context, const RegisterAccess& write)
        : context_(context), write_(write) {}

    bool finds_reader(uint32_t moment, const Units& units) {
        return look(moment, {.distance = 0, .units = units, .next = {}});
    }

  private:
    // A later result for some of the units, `distance` bundles after its issue.
    struct NextResult {
        int distance, cycle;
        Units units;
    };
    struct State {
        int distance; // no more than the result needs to land
        Units units;  // where it still is, or will be
        std::vector<NextResult> next;
    };

    bool look(uint32_t moment, State state) {
        if (state.units.none() || !seen_.insert(key(moment, state)).second)
            return false;
        if (state.distance > 0) {
            if (is_read_in(moment, state))
                return true;
            overwrite(moment, state);
        }
        state.distance = std::min(state.distance + 1, int{write_.cycle});
        for (NextResult& next : state.next)
            if (++next.distance == next.cycle)
                state.units &= ~next.units;
        std::erase_if(state.next,
                      [](const NextResult& next) { return next.distance >= next.cycle; });
        for (const uint32_t to : context_.flow.next(moment))
            if (look(to, state))
                return true;
        return false;
    }

    bool is_read_in(uint32_t moment, const State& state) const {
        for (const Effects& effects : context_.bundle_of(moment).instructions)
            for (const RegisterAccess& read : effects.reads) {
                Units units = read.units & state.units;
                for (const NextResult& next : state.next)
                    if (next.distance >= next.cycle - read.cycle + 1)
                        units &= ~next.units;
                if (units.any() && state.distance >= distance_needed(context_, write_, read))
                    return true;
            }
        return false;
    }

    // What lands before our result does not take its place.
    void overwrite(uint32_t moment, State& state) const {
        for (const Effects& effects : context_.bundle_of(moment).instructions)
            for (const RegisterAccess& next : effects.writes)
                if ((next.units & state.units).any() && state.distance + next.cycle > write_.cycle)
                    state.next.push_back({0, next.cycle, next.units});
    }

    static std::string key(uint32_t moment, const State& state) {
        std::string text = std::to_string(moment) + ' ' + std::to_string(state.distance) + ' ' +
                           state.units.to_string();
        for (const NextResult& next : state.next)
            text += ' ' + std::to_string(next.distance) + ' ' + std::to_string(next.cycle) + ' ' +
                    next.units.to_string();
        return text;
    }

    const RuleContext& context_;
    const RegisterAccess& write_;
    std::set<std::string> seen_;
};

void check_read(const RuleContext& context, const Pair& pair, const RegisterAccess& write,
                const RegisterAccess& read) {
    const Units shared = write.units & read.units;
    const int needed = distance_needed(context, write, read);
    if (shared.none() || pair.distance == 0 || pair.distance >= needed)
        return;
    if (context.options.compiled &&
        ResultSearch(context, write).finds_reader(pair.earlier_moment, shared))
        return;
    context.findings.add("latency.read", pair.later_bundle(context),
                         pair.later.name() + " reads " + unit_names(shared) + ", written by " +
                             before_text(context, pair) + " where " + std::to_string(needed) +
                             " are needed");
}

// The later instruction writes what the earlier one reads.
void check_late_read(const RuleContext& context, const Pair& pair, const RegisterAccess& read,
                     const RegisterAccess& write) {
    const Units shared = write.units & read.units;
    const int needed = read.cycle - earliest_result(pair.later, write);
    if (context.options.compiled || shared.none() || pair.distance >= needed)
        return;
    context.findings.add("latency.write", pair.later_bundle(context),
                         pair.later.name() + " writes " + unit_names(shared) +
                             ", which is read in cycle " + std::to_string(read.cycle) + " by " +
                             before_text(context, pair) + " where " + std::to_string(needed) +
                             " are needed");
}

void check_second_write(const RuleContext& context, const Pair& pair, const RegisterAccess& first,
                        const RegisterAccess& second) {
    const Units shared = first.units & second.units;
    const bool counted = pair.distance == 0 && &pair.later < &pair.earlier; // the other way round
    if (shared.none() || is_sticky(shared) || counted)
        return;
    if (context.options.compiled && pair.distance + second.cycle != first.cycle)
        return; // the order in which they land is the one that was meant
    const int lands = context.options.compiled ? second.cycle : earliest_result(pair.later, second);
    const int needed = first.cycle - lands + 1;
    const bool together =
        pair.distance == 0 && (first.cycle == second.cycle || !context.options.compiled);
    if (!together && (pair.distance == 0 || pair.distance >= needed))
        return;
    context.findings.add("latency.write", pair.later_bundle(context),
                         pair.later.name() + " writes " + unit_names(shared) +
                             ", whose earlier result may land last, of " +
                             before_text(context, pair) +
                             (together ? "" : " where " + std::to_string(needed) + " are needed"));
}

} // namespace

void check_latencies(const RuleContext& context) {
    const auto reach = [](const Effects& effects) {
        int last = 0;
        for (const RegisterAccess& write : effects.writes)
            last = std::max<int>(last, write.cycle);
        for (const RegisterAccess& read : effects.reads)
            last = std::max<int>(last, read.cycle);
        return last;
    };
    for_each_pair(context, reach, [&](const Pair& pair) {
        for (const RegisterAccess& write : pair.earlier.writes) {
            for (const RegisterAccess& read : pair.later.reads)
                check_read(context, pair, write, read);
            for (const RegisterAccess& second : pair.later.writes)
                check_second_write(context, pair, write, second);
        }
        for (const RegisterAccess& read : pair.earlier.reads)
            for (const RegisterAccess& write : pair.later.writes)
                check_late_read(context, pair, read, write);
    });
}

} // namespace npuenc::aie2
