// SPDX-License-Identifier: MIT
// Loops whose iterations overlap: where instructions go, which registers values get, where pointers
// stand; and what the checker says of a loop that is repeated.
#include "kernels/aie2/program/pipeline.hpp" // before cmocka, which has a macro fail()

#include "kernels/aie2/checker/checker.hpp"
#include "kernels/aie2/program/mnemonics.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <stdexcept>
#include <string>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
extern "C" {
#include <cmocka.h>
}

using namespace npuenc::aie2;

namespace {

const Pipeline::Free few = {{4, 5, 6}, {2, 3}};

// x -> x * x, of 32 int16.
Pipeline squares() {
    Pipeline loop;
    loop.add(vlda("wl{x}", "p0", 0));
    loop.add(vlda("wh{x}", "p0", 32));
    loop.add(vmul("cm{sum}", "x{x}", "x{x}", "r24"));
    loop.add(vsrs_s16("x{y}", "cm{sum}", "s0"));
    loop.add(vst("wl{y}", "p1", 0), "y");
    loop.add(vst("wh{y}", "p1", 32), "y");
    loop.step("p0", paddb("p0", 64));
    loop.step("p1", paddb("p1", 64));
    return loop;
}

const Instruction* find(const Pipeline::Loop& loop, const std::string& name, int& bundle) {
    for (size_t i = 0; i < loop.body.size(); ++i)
        for (const Instruction& instruction : loop.body[i].slots)
            if (instruction.name.starts_with(name)) {
                bundle = static_cast<int>(i);
                return &instruction;
            }
    fail_msg("%s is not in the loop", name.c_str());
    return nullptr;
}

size_t count(const Pipeline::Loop& loop) {
    size_t n = 0;
    for (const Bundle& bundle : loop.body)
        n += static_cast<size_t>(
            std::ranges::count_if(bundle.slots, [](const Instruction& instruction) {
                return !instruction.name.empty();
            }));
    return n;
}

std::string error_of(const Pipeline& loop, int period, const Pipeline::Free& free = few) {
    try {
        loop.schedule(period, free);
    } catch (const std::logic_error& error) {
        return error.what();
    }
    return "";
}

// The product is issued 7 cycles after the second load. VSRS could be 5 cycles after it, but would
// want the port of vectors in the cycles in which the loads of the next turns do: it has to wait
// for two more.
void test_stages(void**) {
    const Pipeline::Loop loop = squares().schedule(10, few);
    assert_int_equal(loop.body.size(), 10);
    assert_int_equal(count(loop), 8);
    int multiplies = 0, rounds = 0, stores = 0;
    find(loop, "VMUL", multiplies);
    find(loop, "VSRS", rounds);
    find(loop, "VST", stores);
    assert_int_equal(multiplies, 8);
    assert_int_equal(rounds, 8 + 5 + 2 - 10);
    // Each value in a register that it may have.
    const Instruction& srs = *find(loop, "VSRS", rounds);
    assert_true(srs.operands[0].name == "x4" || srs.operands[0].name == "x5" ||
                srs.operands[0].name == "x6");
    assert_true(srs.operands[1].name == "cm2" || srs.operands[1].name == "cm3");
    // The stores are in the third turn, so that their pointer has moved twice before.
    assert_int_equal(loop.stages, 3);
    assert_int_equal(loop.steps_before.at("p0"), 0);
    assert_int_equal(loop.steps_before.at("p1"), 2);
}

// Three instructions are in the slot of stores.
void test_shortest(void**) {
    const Pipeline::Free many = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11},
                                 {0, 1, 2, 3, 4, 5, 6, 7, 8}};
    assert_non_null(std::strstr(error_of(squares(), 2, many).c_str(), "finds no place"));
    const Pipeline::Loop loop = squares().shortest(1, 20, many);
    for (int period = 1; period < static_cast<int>(loop.body.size()); ++period)
        assert_string_not_equal(error_of(squares(), period, many).c_str(), "");
    assert_string_equal(error_of(squares(), static_cast<int>(loop.body.size()), many).c_str(), "");
}

void test_errors(void**) {
    assert_string_equal(error_of(squares(), 5, few).c_str(), "x lives too long");
    assert_string_equal(error_of(squares(), 10, {{4}, {2}}).c_str(), "too few registers");
    Pipeline nobody = squares();
    nobody.step("p3", paddb("p3", 64));
    assert_string_equal(error_of(nobody, 10).c_str(), "p3 moves, but nobody uses it");
    Pipeline unread = squares();
    unread.add_late(vlda("wl{z}", "p0", 64));
    assert_string_equal(error_of(unread, 10).c_str(), "a late load that nobody reads");
}

void test_late_loads(void**) {
    Pipeline loop = squares();
    loop.add_late(vlda("wl{factor}", "p5", 0));
    loop.add_late(vlda("wh{factor}", "p5", 32));
    loop.pin("factor", 9);
    loop.add(vmul("cm{sum2}", "x{y}", "x{factor}", "r24"));
    loop.add(vsrs_s16("x{z}", "cm{sum2}", "s0"));
    loop.add(vst("wl{z}", "p2", 0));
    loop.step("p2", paddb("p2", 32));
    const Pipeline::Loop found = loop.shortest(8, 30, {{3, 4, 5, 6, 7}, {2, 3, 4}});
    const int period = static_cast<int>(found.body.size());
    int product = -1;
    std::vector<int> loads;
    for (int i = 0; i < period; ++i)
        for (const Instruction& instruction : found.body[static_cast<size_t>(i)].slots) {
            if (instruction.name.starts_with("VMUL") && instruction.operands[2].name == "x9")
                product = i;
            if (instruction.name.starts_with("VLDA") && instruction.operands[0].name.ends_with("9"))
                loads.push_back(i);
        }
    assert_true(product >= 0);
    assert_int_equal(loads.size(), 2);
    // Just in time, or where there is room before.
    for (const int load : loads) {
        const int before = ((product - load) % period + period) % period;
        assert_in_range(before, 7, 10);
    }
}

// What a value of one iteration must not meet in the next: in an endless loop the checker sees it.
void test_repeated(void**) {
    for (int period = 6; period < 16; ++period) {
        if (!error_of(squares(), period).empty())
            continue;
        const Pipeline::Loop loop = squares().schedule(period, few);
        Program program;
        const Program::Label start = program.new_label();
        program.place(start);
        for (int turn = 0; turn < 6; ++turn)
            for (const Bundle& bundle : loop.body) {
                std::vector<Instruction> list;
                std::ranges::copy_if(bundle.slots, std::back_inserter(list),
                                     [](const Instruction& in) { return !in.name.empty(); });
                program.emit(list);
            }
        program.emit_to(start, {j()});
        program.nops(delay_slots);
        program.finish();
        for (const Finding& finding : check(place(program.bundles())))
            if (finding.rule != "undefined" && !finding.rule.starts_with("memory"))
                fail_msg("period %d: %s", period, to_text(finding).c_str());
    }
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_stages),   cmocka_unit_test(test_shortest),
        cmocka_unit_test(test_errors),   cmocka_unit_test(test_late_loads),
        cmocka_unit_test(test_repeated),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
