// SPDX-License-Identifier: MIT
// The scheduler: distances, slots, ports, memory, locks and branches; and random blocks compute
// what their instructions would one after another, whether results land early or late.
#include "kernels/aie2/program/scheduler.hpp" // before cmocka, which has a macro fail()

#include "kernels/aie2/checker/checker.hpp"
#include "kernels/aie2/checker/effects.hpp"
#include "kernels/aie2/isa/assembler.hpp"
#include "kernels/aie2/isa/decoder.hpp"

#include <algorithm>
#include <array>
#include <random>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
extern "C" {
#include <cmocka.h>
}

using namespace npuenc::aie2;

namespace {

const Instruction load_a = {"VLDA_dmw_lda_w_ag_idx_imm", {"wl0", "p0", 0}};
const Instruction load_b = {"VLDB_dmw_ldb_ag_idx_imm", {"wl0", "p0", 0}};
const Instruction mac = {"VMAC_vmac_cm_core_dense", {"cm0", "cm0", "x0", "x1", "r0"}};
const Instruction store = {"VST_dmw_sts_w_ag_idx_imm", {"wl2", "p0", 0}};
const Instruction store_rounded = {"VST_SRS_S8_S32_ag_idx_imm", {"p1", 0, "cm0", "s0"}};
const Instruction add = {"ADD", {"r1", "r1", "r2"}};

int bundle_of(const std::vector<Bundle>& bundles, const Instruction& instruction) {
    for (size_t i = 0; i < bundles.size(); ++i)
        for (const Instruction& in_slot : bundles[i].slots)
            if (in_slot == instruction)
                return static_cast<int>(i);
    fail_msg("%s is not in the schedule", to_text(instruction).c_str());
    return -1;
}

// Bundles between the issue of one and of the other.
int distance(const Instruction& first, const Instruction& second, Place first_place = {"a", ""},
             Place second_place = {"b", ""}) {
    Block block;
    block.add(first, std::move(first_place));
    block.add(second, std::move(second_place));
    const std::vector<Bundle> bundles = block.schedule();
    return bundle_of(bundles, second) - bundle_of(bundles, first);
}

void test_distances(void**) {
    assert_int_equal(distance(load_a, mac), 7);
    assert_int_equal(distance(mac, {"VMAC_vmac_cm_core_dense", {"cm0", "cm0", "x2", "x1", "r0"}}),
                     3);
    assert_int_equal(distance(mac, {"VMAC_vmac_cm_core_dense", {"cm1", "cm1", "x2", "x1", "r0"}}),
                     1);
    assert_int_equal(distance(mac, store_rounded), 5);
    assert_int_equal(distance(add, {"MUL_mul_r_rr", {"r3", "r1", "r1"}}), 1);
    // A part of what is read.
    assert_int_equal(distance({"VLDA_dmw_lda_w_ag_idx_imm", {"wh1", "p0", 0}}, mac), 7);
    assert_int_equal(distance({"VLDA_dmw_lda_w_ag_idx_imm", {"wh2", "p0", 0}}, mac), 0);
}

void test_what_is_overwritten(void**) {
    // Read in the first cycle; a load could land in that of its issue.
    assert_int_equal(distance(mac, load_b), 1);
    // The sums are read in the third.
    assert_int_equal(distance(mac, {"VUPS_S32_S16_mv_ups_x2c", {"cm0", "x5", "s0"}}), 5);
    assert_int_equal(distance({"VADD", {"cm2", "cm0", "cm1", "r0"}},
                              {"VUPS_S32_S16_mv_ups_x2c", {"cm0", "x5", "s0"}}),
                     3);
    // Two results for one register: the later one may land at once.
    assert_int_equal(distance(load_a, {"VMOV_mv_w", {"wl0", "wl5"}}), 7);
}

void test_slots(void**) {
    assert_int_equal(distance(add, {"SUB", {"r5", "r6", "r7"}}), 1);
    assert_int_equal(distance(add, {"MOV_mv_cg", {"r5", 3}}), 0);
    assert_int_equal(distance(add, {"MOVXM_lng_cg", {"r5", 3}}), 1); // takes alu and mv
    Block block;
    block.add(add);
    block.add(
        {Instruction{"ADD_add_r_ri", {"r3", "r4", 1}}, Instruction{"ADD_NC", {"r3", "r4", 1}}});
    const std::vector<Bundle> bundles = block.schedule();
    assert_int_equal(bundle_of(bundles, {"ADD_NC", {"r3", "r4", 1}}), 0);
}

void test_ports(void**) {
    // Both write a vector through the same port in cycle 7 of the load.
    const Instruction rounded = {"VSRS_S8_S32_mv_w_srs", {"wl5", "cm5", "s0"}};
    Block block;
    block.add(load_a);
    block.add({"MOV_mv_scl", {"r9", "r8"}});
    for (int i = 0; i < 4; ++i)
        block.add({"MOV_mv_scl", {"s0", "r9"}});
    block.add(rounded);
    const std::vector<Bundle> bundles = block.schedule();
    assert_true(bundle_of(bundles, rounded) - bundle_of(bundles, load_a) != 3);
}

void test_memory(void**) {
    const Instruction reload = {"VLDA_dmw_lda_w_ag_idx_imm", {"wl4", "p0", 0}};
    assert_int_equal(distance(store, reload, {"a", ""}, {"b", ""}), 0);
    assert_int_equal(distance(store, reload, {"a", ""}, {"a", ""}), 1);
    assert_int_equal(distance(store_rounded, reload, {"a", ""}, {"a", ""}), 3);
    assert_int_equal(distance({"ST_S8_ag_idx_imm", {"r0", "p2", 0}}, reload, {"a", ""}, {"a", ""}),
                     7);
    assert_int_equal(distance(store_rounded, reload, {}, {"a", ""}), 3); // may be anywhere
    assert_int_equal(distance(load_b, reload, {"a", ""}, {"a", ""}), 0);
    assert_int_equal(distance(load_b, reload, {"a", "0"}, {"a", "0"}), 1); // one bank
    assert_int_equal(distance(load_b, reload, {"a", "0"}, {"a", "1"}), 0);
}

void test_locks(void**) {
    const Instruction acquire = {"ACQ_mLockId_imm", {48, "r0"}};
    const Instruction release = {"REL_mLockId_imm", {49, "r0"}};
    assert_int_equal(distance(acquire, load_b), 4);
    assert_int_equal(distance(store, release), 4);
    assert_int_equal(distance(store_rounded, release), 6);
    assert_int_equal(distance({"ST_S8_ag_idx_imm", {"r0", "p2", 0}}, release), 10);
    assert_true(distance(acquire, release) >= 4); // one after the other through one unit
}

void test_end(void**) {
    Block block;
    block.add(load_a);
    assert_int_equal(block.schedule().size(), 7);

    Program program;
    const Program::Label start = program.new_label();
    program.place(start);
    Block loop;
    loop.add(load_a);
    loop.add({"ADD_add_r_ri", {"r9", "r9", -1}});
    loop.emit(program, Block::Branch{start, "r9"});
    assert_int_equal(program.bundles().size(), 7);
    assert_string_equal(program.bundles()[1][Slot::lng].name.c_str(), "JNZ");

    Program later; // the register is there only in bundle 1
    const Program::Label again = later.new_label();
    later.place(again);
    Block multiply;
    multiply.add({"MUL_mul_r_rr", {"r9", "r8", "r7"}});
    multiply.add({"ADD_add_r_ri", {"r9", "r9", -1}});
    multiply.emit(later, Block::Branch{again, "r9"});
    size_t added = 0, branched = 0;
    for (size_t i = 0; i < later.bundles().size(); ++i) {
        if (later.bundles()[i][Slot::alu].name == "ADD_add_r_ri")
            added = i;
        if (later.bundles()[i][Slot::lng].name == "JNZ")
            branched = i;
    }
    assert_true(branched > added);
    assert_int_equal(later.bundles().size(), branched + 6);
}

void test_errors(void**) {
    const auto fails = [](const Instruction& instruction) {
        Block block;
        block.add(instruction);
        try {
            block.schedule();
        } catch (const AssemblyError&) {
            return true;
        }
        return false;
    };
    assert_true(fails({"NOSUCH", {}}));
    assert_true(fails({"ADD", {"r1", "r2", "x3"}}));
    assert_true(fails({"J_jump_imm", {0}}));
}

// Which instruction, by its place in the program, each instruction has each of its sources from;
// those it has none for are there with -1.
using Sources = std::vector<std::vector<int>>;

constexpr size_t n_units = Units().size();
constexpr size_t n_places = 3; // of memory

bool is_status(size_t unit) {
    return unit_name(unit).starts_with("sr"); // written in any order, read by nobody here
}

template <class Action>
void for_each_unit(const Units& units, Action action) {
    for (size_t unit = 0; unit < n_units; ++unit)
        if (units.test(unit) && !is_status(unit))
            action(unit);
}

struct Origins {
    std::array<int, n_units> registers;
    std::array<int, n_places> memory;
    Origins() { registers.fill(-1), memory.fill(-1); }
};

struct Step {
    Instruction instruction;
    size_t place;
};

Sources sources_in_order(const std::vector<Step>& steps) {
    Origins origins;
    Sources sources;
    for (size_t i = 0; i < steps.size(); ++i) {
        const Effects effects = *effects_of(steps[i].instruction);
        std::vector<int>& list = sources.emplace_back();
        for (const RegisterAccess& read : effects.reads)
            for_each_unit(read.units,
                          [&](size_t unit) { list.push_back(origins.registers[unit]); });
        if (effects.memory)
            list.push_back(origins.memory[steps[i].place]);
        for (const RegisterAccess& write : effects.writes)
            for_each_unit(write.units,
                          [&](size_t unit) { origins.registers[unit] = static_cast<int>(i); });
        if (effects.memory && effects.memory->stores)
            origins.memory[steps[i].place] = static_cast<int>(i);
    }
    return sources;
}

// As above, cycle by cycle. Results land in their cycle, or early: as soon as the instruction has
// been issued and has read its sources.
Sources sources_in_time(const std::vector<Step>& steps, const std::vector<size_t>& issued,
                        bool early) {
    Origins origins;
    Sources sources(steps.size());
    const size_t end = *std::ranges::max_element(issued) + 16;
    for (size_t cycle = 0; cycle < end; ++cycle) {
        const auto is_now = [&](size_t i, int of_instruction) {
            return issued[i] + static_cast<size_t>(of_instruction) - 1 == cycle;
        };
        for (size_t i = 0; i < steps.size(); ++i) {
            const Effects effects = *effects_of(steps[i].instruction);
            for (const RegisterAccess& read : effects.reads)
                if (is_now(i, read.cycle))
                    for_each_unit(read.units, [&](size_t unit) {
                        sources[i].push_back(origins.registers[unit]);
                    });
            if (effects.memory && is_now(i, effects.memory->first))
                sources[i].push_back(origins.memory[steps[i].place]);
        }
        for (size_t i = 0; i < steps.size(); ++i) {
            const Effects effects = *effects_of(steps[i].instruction);
            int read = 1;
            for (const RegisterAccess& access : effects.reads)
                read = std::max<int>(read, access.cycle);
            for (const RegisterAccess& write : effects.writes)
                if (is_now(i, early ? std::min<int>(read, write.cycle) : write.cycle))
                    for_each_unit(write.units, [&](size_t unit) {
                        origins.registers[unit] = static_cast<int>(i);
                    });
            if (effects.memory && effects.memory->stores && is_now(i, effects.memory->last))
                origins.memory[steps[i].place] = static_cast<int>(i);
        }
    }
    return sources;
}

// Few registers, so that all kinds of dependences are there.
std::vector<Step> random_steps(std::mt19937& random, size_t count) {
    const auto number = [&](int n) {
        return static_cast<int>(random() % static_cast<unsigned>(n));
    };
    const auto name = [&](const char* file, int n) { return file + std::to_string(number(n)); };
    std::vector<Step> steps;
    for (size_t i = 0; i < count; ++i) {
        const std::string half = name(number(2) == 0 ? "wl" : "wh", 3);
        const std::string x = name("x", 3), y = name("x", 3), z = name("x", 3), cm = name("cm", 2);
        const std::string r = name("r", 4), q = name("r", 4), p = name("p", 2);
        const Instruction choices[] = {
            {"VLDA_dmw_lda_w_ag_idx_imm", {half, p, 32 * number(8)}},
            {"VLDA_dmw_lda_w_ag_pstm_nrm_imm", {half, p, p, 32}},
            {"VLDB_dmw_ldb_ag_pstm_nrm", {half, p, p, name("m", 2)}},
            {"LDA_dms_lda_idx_imm", {r, p, 4 * number(8)}},
            {"ST_dms_sts_idx_imm", {r, p, 4 * number(8)}},
            {"ST_S16_ag_idx_imm", {r, p, 2}},
            {"VST_dmw_sts_w_ag_idx_imm", {half, p, 32 * number(8)}},
            {"VST_SRS_S8_S32_ag_pstm_nrm_imm", {p, p, 32, cm, name("s", 2)}},
            {"VSRS_S16_S32_mv_x_srs", {x, cm, name("s", 2)}},
            {"VUPS_S32_S16_mv_ups_x2c", {cm, x, name("s", 2)}},
            {"VMUL_vmac_cm_core_dense", {cm, x, y, r}},
            {"VMAC_vmac_cm_core_dense", {cm, cm, x, y, r}},
            {"VADD_16", {x, y, z}},
            {"VMAX_LT_S8", {x, name("l", 2), y, z}},
            {"VMOV_mv_w", {half, name("wl", 3)}},
            {"MUL_mul_r_rr", {r, q, q}},
            {"ADD", {r, r, q}},
            {"MOV_mv_scl", {name("s", 2), r}},
            {"MOV_mv_scl", {p, name("m", 2)}},
            {"MOVXM_lng_cg", {name("m", 2), 32 * number(8)}},
        };
        const Instruction& choice = choices[random() % std::size(choices)];
        // Equal instructions have the same place, so that they cannot pass each other.
        steps.push_back({choice, to_text(choice).size() % n_places});
    }
    return steps;
}

// Where each step was issued.
std::vector<size_t> issue_cycles(const std::vector<Step>& steps,
                                 const std::vector<Bundle>& bundles) {
    std::vector<size_t> issued;
    std::vector<std::pair<size_t, size_t>> taken;
    for (const Step& step : steps) {
        bool found = false;
        for (size_t i = 0; i < bundles.size() && !found; ++i)
            for (size_t slot = 0; slot < n_slots && !found; ++slot)
                if (bundles[i].slots[slot] == step.instruction &&
                    std::ranges::find(taken, std::pair(i, slot)) == taken.end()) {
                    taken.emplace_back(i, slot);
                    issued.push_back(i);
                    found = true;
                }
        if (!found)
            fail_msg("%s is not in the schedule", to_text(step.instruction).c_str());
    }
    return issued;
}

void test_random_blocks(void**) {
    std::mt19937 random(1);
    for (int round = 0; round < 100; ++round) {
        const std::vector<Step> steps = random_steps(random, 2 + random() % 60);
        Block block;
        for (const Step& step : steps)
            block.add(step.instruction, {std::to_string(step.place), ""});
        const std::vector<Bundle> bundles = block.schedule();
        const std::vector<size_t> issued = issue_cycles(steps, bundles);
        Sources expected = sources_in_order(steps);
        for (const bool early : {false, true}) {
            Sources sources = sources_in_time(steps, issued, early);
            for (size_t i = 0; i < steps.size(); ++i) {
                // Sources that are read in different cycles come in another order.
                std::ranges::sort(expected[i]);
                std::ranges::sort(sources[i]);
                if (expected[i] != sources[i])
                    fail_msg("round %d, early %d: %s has other sources than in order", round, early,
                             to_text(steps[i].instruction).c_str());
            }
        }
        // In an endless loop, so that the end meets the start. Only what the checker cannot know is
        // left out: that registers were set before, and which accesses never overlap.
        Program program;
        const Program::Label start = program.new_label();
        program.place(start);
        block.emit(program, Block::Branch{start, ""});
        program.finish();
        for (const Finding& finding : check(place(program.bundles())))
            if (finding.rule != "undefined" && !finding.rule.starts_with("memory"))
                fail_msg("round %d: %s", round, to_text(finding).c_str());
    }
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_distances),     cmocka_unit_test(test_what_is_overwritten),
        cmocka_unit_test(test_slots),         cmocka_unit_test(test_ports),
        cmocka_unit_test(test_memory),        cmocka_unit_test(test_locks),
        cmocka_unit_test(test_end),           cmocka_unit_test(test_errors),
        cmocka_unit_test(test_random_blocks),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
