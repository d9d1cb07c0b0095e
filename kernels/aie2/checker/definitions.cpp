// SPDX-License-Identifier: MIT
// Rule
//   undefined   No register is read that some way through the program never wrote. Among them are
//               crRnd and crSat, which our programs set themselves. Masks of exceptions, status
//               flags and SP have a value from the start; so do registers that are declared inputs.
// And the opposite question, register pressure: what is still wanted later.
#include <algorithm>

#include "kernels/aie2/checker/rules.hpp"

namespace npuenc::aie2 {
namespace {

Units defined_at_entry(const CheckOptions& options) {
    Units units;
    for (const char* name :
         {"SP", "CORE_ID", "tile_cntr", "crF2FMask", "crF2IMask", "crFPMask", "crMCDEn", "crSCDEn",
          "srCarry", "srSS0", "srMS0", "srSRS_of", "srUPS_of", "srCompr_uf", "srFPFlags",
          "srF2IFlags", "srF2FFlags", "srSparse_of"})
        units |= units_of(name);
    for (const std::string& input : options.inputs)
        units |= units_of(input);
    return units;
}

Units written_by(const CheckedBundle& bundle) {
    Units units;
    for (const Effects& effects : bundle.instructions)
        for (const RegisterAccess& write : effects.writes)
            units |= write.units;
    return units;
}

// What the bundles before have written on every way to each moment.
std::vector<Units> definitions(const RuleContext& context) {
    const size_t n = context.flow.moments().size();
    std::vector<Units> defined(n, ~Units{});
    std::vector<uint32_t> todo = {0};
    defined[0] = defined_at_entry(context.options);
    std::vector<bool> reached(n);
    reached[0] = true;
    while (!todo.empty()) {
        const uint32_t moment = todo.back();
        todo.pop_back();
        const Units after = defined[moment] | written_by(context.bundle_of(moment));
        for (const uint32_t next : context.flow.next(moment)) {
            const Units merged = defined[next] & after;
            if (!reached[next] || merged != defined[next]) {
                reached[next] = true;
                defined[next] = merged;
                todo.push_back(next);
            }
        }
    }
    return defined;
}

// A multiplication whose configuration says "from zero" only names its accumulator.
bool ignores_accumulator(const RuleContext& context, uint32_t moment, const Effects& effects) {
    const std::string_view name = effects.name();
    if (!name.starts_with("VMAC") && !name.starts_with("VMSC") && !name.starts_with("VNEGMAC") &&
        !name.starts_with("VNEGMSC"))
        return false;
    const Operand& configuration = effects.instruction->operands.back();
    const auto value = context.values.of(moment, configuration).constant;
    return value && (*value & 1) != 0;
}

// What compilers read and do not use: registers that they save, and halves of vectors. And what is
// read late may be written in between.
bool is_compilers_garbage(const RuleContext& context, const Effects& effects,
                          const RegisterAccess& read, const Units& missing) {
    const bool saves = effects.memory && effects.memory->stores && effects.memory->pointer == "SP";
    return context.options.compiled && (saves || missing != read.units || read.cycle > 1);
}

size_t count(const Units& live, const char* file, int registers) {
    size_t n = 0;
    for (int i = 0; i < registers; ++i)
        n += (live & units_of(file + std::to_string(i))).any();
    return n;
}

} // namespace

void check_definitions(const RuleContext& context) {
    if (context.flow.moments().empty())
        return;
    const std::vector<Units> defined = definitions(context);
    for (uint32_t moment = 0; moment < defined.size(); ++moment)
        for (const Effects& effects : context.bundle_of(moment).instructions)
            for (const RegisterAccess& read : effects.reads) {
                const Units missing = read.units & ~defined[moment];
                const bool accumulator = &read == &effects.reads.front();
                if (missing.none() || is_compilers_garbage(context, effects, read, missing) ||
                    (accumulator && ignores_accumulator(context, moment, effects)))
                    continue;
                context.findings.add("undefined", context.flow.moments()[moment].bundle,
                                     effects.name() + " reads " + unit_names(missing) +
                                         ", which some way here never writes");
            }
}

RegisterPressure pressure_of(const RuleContext& context) {
    const size_t n = context.flow.moments().size();
    std::vector<Units> wanted(n); // before the moment
    std::vector<std::vector<uint32_t>> before(n);
    std::vector<uint32_t> todo;
    for (uint32_t moment = 0; moment < n; ++moment) {
        todo.push_back(moment);
        for (const uint32_t next : context.flow.next(moment))
            before[next].push_back(moment);
    }
    while (!todo.empty()) {
        const uint32_t moment = todo.back();
        todo.pop_back();
        Units live;
        for (const uint32_t next : context.flow.next(moment))
            live |= wanted[next];
        live &= ~written_by(context.bundle_of(moment));
        for (const Effects& effects : context.bundle_of(moment).instructions)
            for (const RegisterAccess& read : effects.reads)
                live |= read.units;
        if (live != wanted[moment]) {
            wanted[moment] = live;
            todo.insert(todo.end(), before[moment].begin(), before[moment].end());
        }
    }
    RegisterPressure most;
    for (const Units& live : wanted) {
        most.vectors = std::max(most.vectors, count(live, "x", 12));
        most.accumulators = std::max(most.accumulators, count(live, "cm", 9));
        most.scalars = std::max(most.scalars, count(live, "r", 32));
        most.pointers = std::max(most.pointers, count(live, "p", 8));
    }
    return most;
}

} // namespace npuenc::aie2
