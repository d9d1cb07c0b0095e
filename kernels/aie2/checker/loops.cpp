// SPDX-License-Identifier: MIT
// Rules for zero-overhead loops, which run from LS to the bundle at LE, LC times
//   loop.setup      LS, LE and LC are written at least 7 bundles, and 112 bytes of program, before
//                   the bundle at LE is issued. (llvm-aie, AIE2InstrInfo.cpp: "112 bytes distance
//                   from the loop setup to the loop end"; AMD's own compiler does with 100 bytes)
//   loop.alignment  LS and LE are multiples of 16, and the bundle at LE is 16 bytes long.
//                   (llvm-aie, AIE2InstrInfo.cpp: getAlignmentBoundaries)
//   loop.order      LE is not before LS.
//   loop.nested     LS, LE and LC are not written inside the loop: there is one set of them.
//   loop.store      No store of 8 or 16 bits in the bundle at LE: the core can lose it. (seen on a
//                   Phoenix by xdna-emu, "BUG-B")
// Bounds that are not bundles, and ends in delay slots, are found while the program is followed.
#include <algorithm>
#include <map>
#include <set>

#include "kernels/aie2/checker/rules.hpp"

namespace npuenc::aie2 {
namespace {

constexpr uint32_t setup_bundles = 7;
constexpr uint32_t setup_bytes = 112;
constexpr uint32_t alignment = 16;

bool writes_loop_register(const CheckedBundle& bundle) {
    return std::ranges::any_of(bundle.instructions, [](const Effects& effects) {
        return effects.writes_register("LS") || effects.writes_register("LE") ||
               effects.writes_register("LC");
    });
}

bool ends_loop(const RuleContext& context, uint32_t moment) {
    return context.flow.moments()[moment].loop_end == context.bundle_of(moment).address;
}

// The ends of loops that come too soon behind a bundle which sets loop registers.
class SetupCheck {
  public:
    SetupCheck(const RuleContext& context, uint32_t moment) : context_(context), from_(moment) {}

    void run() { look(from_, 0, 0); }

  private:
    void look(uint32_t moment, uint32_t bundles, uint32_t bytes) {
        if (bundles >= setup_bundles && (bytes >= setup_bytes || context_.options.compiled))
            return;
        const auto [known, is_new] = seen_.emplace(std::pair{moment, bundles}, bytes);
        if (!is_new && known->second <= bytes)
            return;
        known->second = bytes;
        if (bundles > 0 && ends_loop(context_, moment)) {
            const size_t setup = context_.flow.moments()[from_].bundle;
            context_.findings.add(
                "loop.setup", setup,
                "the loop that ends in " +
                    context_.findings.place(context_.flow.moments()[moment].bundle) +
                    " is set up only " + std::to_string(bundles) + " bundles and " +
                    std::to_string(bytes) + " bytes before; 7 and 112 are needed");
            return;
        }
        for (const uint32_t next : context_.flow.next(moment))
            look(next, bundles + 1, bytes + context_.bundle_of(moment).bytes);
    }

    const RuleContext& context_;
    const uint32_t from_;
    std::map<std::pair<uint32_t, uint32_t>, uint32_t> seen_;
};

void check_bounds(const RuleContext& context, uint32_t moment) {
    const Moment& here = context.flow.moments()[moment];
    const CheckedBundle& bundle = context.bundle_of(moment);
    if (here.loop_start < 0)
        return; // found before
    if (here.loop_start % alignment != 0 || here.loop_end % alignment != 0)
        context.findings.add("loop.alignment", here.bundle,
                             "the loop from " + hex(static_cast<uint64_t>(here.loop_start)) +
                                 " to " + hex(static_cast<uint64_t>(here.loop_end)) +
                                 " does not begin and end at multiples of 16");
    if (bundle.bytes != alignment)
        context.findings.add("loop.alignment", here.bundle,
                             "the last bundle of a loop has " + std::to_string(bundle.bytes) +
                                 " bytes and not 16");
    if (here.loop_end < here.loop_start)
        context.findings.add("loop.order", here.bundle,
                             "the loop begins behind its end, at " +
                                 hex(static_cast<uint64_t>(here.loop_start)));
    for (const Effects& effects : bundle.instructions)
        if (effects.memory && effects.memory->part_word())
            context.findings.add("loop.store", here.bundle,
                                 effects.name() + " in the last bundle of a loop");
}

// What runs from the start of a loop on, as far as it lies in the loop.
std::set<uint32_t> body_from(const RuleContext& context, uint32_t start) {
    const Moment& first = context.flow.moments()[start];
    std::set<uint32_t> body;
    std::vector<uint32_t> todo = {start};
    while (!todo.empty()) {
        const uint32_t moment = todo.back();
        todo.pop_back();
        const Moment& here = context.flow.moments()[moment];
        const uint32_t address = context.bundle_of(moment).address;
        if (here.loop_start != first.loop_start || here.loop_end != first.loop_end ||
            here.caller != first.caller || address < here.loop_start || address > here.loop_end ||
            !body.insert(moment).second || ends_loop(context, moment))
            continue;
        const auto next = context.flow.next(moment);
        todo.insert(todo.end(), next.begin(), next.end());
    }
    return body;
}

void check_nesting(const RuleContext& context, uint32_t start) {
    for (const uint32_t moment : body_from(context, start)) {
        const Moment& here = context.flow.moments()[moment];
        if (writes_loop_register(context.bundle_of(moment)))
            context.findings.add("loop.nested", here.bundle,
                                 "LS, LE or LC is written inside the loop from " +
                                     hex(static_cast<uint64_t>(here.loop_start)) + " to " +
                                     hex(static_cast<uint64_t>(here.loop_end)));
    }
}

} // namespace

void check_loops(const RuleContext& context) {
    for (uint32_t moment = 0; moment < context.flow.moments().size(); ++moment) {
        if (ends_loop(context, moment))
            check_bounds(context, moment);
        if (context.flow.moments()[moment].loop_start == context.bundle_of(moment).address)
            check_nesting(context, moment);
        if (writes_loop_register(context.bundle_of(moment)))
            SetupCheck(context, moment).run();
    }
}

} // namespace npuenc::aie2
