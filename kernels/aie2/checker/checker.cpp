// SPDX-License-Identifier: MIT
// Rules
//   encoding      Every instruction is one of the table, in its slot, with operands that it can
//                 hold. (aie2-isa.json; immediates are multiples of their step)
//   program.size  Bundles follow each other and fit into program memory. (AM020: 16 KB)
#include "kernels/aie2/checker/checker.hpp"

#include <algorithm>

#include "kernels/aie2/checker/rules.hpp"
#include "kernels/aie2/isa/assembler.hpp"
#include "kernels/aie2/program/program.hpp"

namespace npuenc::aie2 {
namespace {

void check_encoding(const Instruction& instruction, size_t slot, size_t bundle,
                    Findings& findings) {
    try {
        encode(instruction);
        const Slot own = entry_of(instruction).slot;
        if (own != static_cast<Slot>(slot))
            findings.add("encoding", bundle,
                         instruction.name + " does not belong into slot " +
                             std::string(slot_name(static_cast<Slot>(slot))));
    } catch (const AssemblyError& error) {
        findings.add("encoding", bundle, error.what());
    }
}

CheckedBundle effects_of(const PlacedBundle& placed, size_t bundle, Findings& findings) {
    CheckedBundle result{placed.address, placed.bytes, {}};
    for (size_t slot = 0; slot < n_slots; ++slot) {
        const Instruction& instruction = placed.bundle.slots[slot];
        if (instruction.name.empty())
            continue;
        check_encoding(instruction, slot, bundle, findings);
        if (auto effects = effects_of(instruction))
            result.instructions.push_back(std::move(*effects));
    }
    const auto used = [&](Slot slot) { return !placed.bundle[slot].name.empty(); };
    if (used(Slot::lng) && (used(Slot::alu) || used(Slot::mv)))
        findings.add("encoding", bundle, "slot lng beside slot alu or mv");
    return result;
}

void check_places(std::span<const PlacedBundle> program, Findings& findings) {
    for (size_t i = 0; i < program.size(); ++i) {
        const uint32_t end = program[i].address + program[i].bytes;
        if (i + 1 < program.size() && program[i + 1].address < end)
            findings.add("program.size", i + 1, "the bundle begins within the one before");
        if (end > program_memory_bytes)
            findings.add("program.size", i, "the program does not fit into program memory");
    }
}

class Checker {
  public:
    Checker(std::span<const PlacedBundle> program, const CheckOptions& options)
        : findings_(program), bundles_(analysed(program, findings_)),
          flow_(bundles_, options.entry, findings_),
          values_(flow_, bundles_, options.regions), context_{bundles_, options, flow_, values_,
                                                              findings_} {}

    std::vector<Finding> run() {
        if (flow_.complete())
            for (const auto rule :
                 {check_latencies, check_ports, check_memory_order, check_addresses,
                  check_lock_distances, check_lock_balance, check_loops, check_definitions})
                rule(context_);
        return findings_.in_order();
    }

    RegisterPressure pressure() const { return pressure_of(context_); }

  private:
    static std::vector<CheckedBundle> analysed(std::span<const PlacedBundle> program,
                                               Findings& findings) {
        check_places(program, findings);
        std::vector<CheckedBundle> bundles;
        for (size_t i = 0; i < program.size(); ++i)
            bundles.push_back(effects_of(program[i], i, findings));
        return bundles;
    }

    Findings findings_;
    std::vector<CheckedBundle> bundles_;
    ControlFlow flow_;
    Values values_;
    RuleContext context_;
};

} // namespace

std::vector<PlacedBundle> place(const std::vector<Bundle>& bundles) {
    std::vector<PlacedBundle> program;
    for (const Bundle& bundle : bundles)
        program.push_back(
            {static_cast<uint32_t>(program.size() * bundle_bytes), bundle_bytes, bundle});
    return program;
}

std::vector<Finding> check(std::span<const PlacedBundle> program, const CheckOptions& options) {
    if (program.empty())
        return {{"program.end", 0, 0, "the program is empty"}};
    return Checker(program, options).run();
}

RegisterPressure register_pressure(std::span<const PlacedBundle> program,
                                   const CheckOptions& options) {
    return program.empty() ? RegisterPressure{} : Checker(program, options).pressure();
}

std::string to_text(const Finding& finding) {
    return "bundle " + std::to_string(finding.bundle) + " (" + hex(finding.address) +
           "): " + finding.rule + ": " + finding.message;
}

} // namespace npuenc::aie2
