// SPDX-License-Identifier: MIT
// The GEMM programs of a core: what the checker says of them, that they fit, and how many of their
// bundles multiply. What they compute is seen in the array simulator.
#include "kernels/aie2/checker/checker.hpp" // before cmocka, which has a macro fail()
#include "kernels/aie2/gelu_results.hpp"
#include "kernels/aie2/gemm_bf16.hpp"
#include "kernels/aie2/gemm_s8.hpp"
#include "kernels/aie2/gemm_tile.hpp"
#include "kernels/aie2/program/colouring.hpp"
#include "kernels/aie2/program/timeline.hpp"

#include <algorithm>
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

CheckOptions options(uint32_t out_bytes) {
    using namespace gemm;
    CheckOptions options;
    options.locks = {{"A", 48 + a_full, 48 + a_empty},
                     {"B", 48 + b_full, 48 + b_empty},
                     {"OUT", 48 + out_empty, 48 + out_full}};
    options.regions = {{"A 0", a_buffers[0], 4096},
                       {"A 1", a_buffers[1], 4096},
                       {"B 0", b_buffers[0], 4096 + header_bytes},
                       {"B 1", b_buffers[1], 4096 + header_bytes},
                       {"OUT", out_buffer, out_bytes},
                       {"hidden", own_memory + hidden_address - beside_hidden,
                        hidden_bytes + 2 * beside_hidden, true},
                       // Quarters are loaded again a tile after they were stored.
                       {"sums", sums_buffer, sums_bytes, true, true}};
    return options;
}

void assert_clean(const Program& program, uint32_t out_bytes) {
    for (const Finding& finding : check(place(program.bundles()), options(out_bytes)))
        fail_msg("%s", to_text(finding).c_str());
}

bool multiplies(const Bundle& bundle) {
    return bundle[Slot::vec].name.starts_with("VMAC");
}

// The bundle that `name` sets as its target, for each time it does.
std::vector<size_t> targets(const Program& program, const std::string& name) {
    std::vector<size_t> found;
    for (const Bundle& bundle : program.bundles()) {
        const Instruction& lng = bundle[Slot::lng];
        const bool sets = lng.name == "MOVXM_lng_cg" && lng.operands[0].name == name;
        if (sets || lng.name == name)
            found.push_back(static_cast<size_t>(lng.operands.back().value) / bundle_bytes);
    }
    return found;
}

size_t macs(const Program& program, size_t first, size_t last) {
    const auto& bundles = program.bundles();
    return static_cast<size_t>(std::count_if(bundles.begin() + static_cast<ptrdiff_t>(first),
                                             bundles.begin() + static_cast<ptrdiff_t>(last),
                                             multiplies));
}

// Every bundle of the loops that multiply, which come before the others, is a MAC, and a tile in
// the middle of a product takes 1024 of them in at most `cycles`, locks included.
void assert_speed(const Program& program, size_t loops, size_t cycles, size_t other_loops = 0) {
    const auto starts = targets(program, "LS");
    const auto ends = targets(program, "LE");
    assert_int_equal(starts.size(), loops + other_loops);
    for (size_t loop = 0; loop < loops; ++loop)
        assert_int_equal(macs(program, starts[loop], ends[loop] + 1),
                         ends[loop] + 1 - starts[loop]);

    const auto& bundles = program.bundles();
    const size_t entry = targets(program, "JZ").at(0);
    size_t jump = ends[0];
    while (bundles[jump][Slot::lng].name != "JZ")
        ++jump;
    const size_t behind = jump + 1 + 5;
    const size_t body = ends[0] + 1 - starts[0];
    assert_int_equal(
        macs(program, entry, starts[0]) + 7 * body + macs(program, ends[0] + 1, behind), 1024);
    assert_true((starts[0] - entry) + 7 * body + (behind - ends[0] - 1) <= cycles);
}

void test_s8_s32(void**) {
    Program program = gemm_s8(GemmS8Result::s32);
    assert_true(program.finish().size() <= program_memory_bytes);
    assert_clean(program, gemm::sums_bytes);
    assert_speed(program, 2, 1056);
}

void test_s8_s8(void**) {
    Program program = gemm_s8(GemmS8Result::s8);
    assert_true(program.finish().size() <= program_memory_bytes);
    assert_clean(program, 64 * 64);
    assert_speed(program, 2, 1056);
}

void test_s8_s16(void**) {
    Program program = gemm_s8(GemmS8Result::s16);
    assert_true(program.finish().size() <= program_memory_bytes);
    assert_clean(program, gemm::sums_bytes / 2);
    assert_speed(program, 2, 1056);
}

void test_bf16(void**) {
    Program program = gemm_bf16();
    assert_true(program.finish().size() <= program_memory_bytes);
    assert_clean(program, gemm::sums_bytes);
    assert_speed(program, 3, 1056, 1); // a loop for each form of results; GELU
}

template <class Action>
std::string error_of(Action action) {
    try {
        action();
    } catch (const std::exception& error) {
        return error.what();
    }
    return "";
}

void test_program(void**) {
    Program program;
    const auto begin = program.new_label();
    const auto end = program.new_label();
    program.place(begin);
    program.emit_to(end, {{"JNZ", {"r1"}}});
    program.nops(5);
    program.place(end);
    program.emit_to(begin, {{"J_jump_imm", {}}});
    const auto bytes = program.finish();
    assert_int_equal(bytes.size(), 7 * 16);
    assert_int_equal(program.bundles()[0][Slot::lng].operands[1].value, 6 * 16);
    assert_int_equal(program.bundles()[6][Slot::lng].operands[0].value, 0);

    assert_string_equal(error_of([&] { program.place(end); }).c_str(), "label 1 is placed twice");
    assert_string_equal(
        error_of([&] {
            program.emit({{"ADD", {"r0", "r1", "r2"}}, {"AND", {"r0", "r1", "r2"}}});
        }).c_str(),
        "AND and ADD are both in slot alu");
    program.emit_to(program.new_label(), {{"J_jump_imm", {}}});
    assert_string_equal(error_of([&] { program.finish(); }).c_str(), "label 2 is not placed");

    Program behind;
    const auto nowhere = behind.new_label();
    behind.emit_to(nowhere, {{"J_jump_imm", {}}});
    behind.place(nowhere);
    assert_string_equal(error_of([&] { behind.finish(); }).c_str(),
                        "label 0 is behind the program");

    Program large;
    large.nops(1025);
    assert_string_equal(error_of([&] { large.finish(); }).c_str(),
                        "the program takes 16400 bytes, program memory has 16384");
}

void test_timeline(void**) {
    Timeline timeline;
    timeline.at(3, {"ADD", {"r0", "r1", "r2"}});
    timeline.at(7, {"ADD", {"r0", "r1", "r2"}});
    timeline.at(7, {"MOV_mv_cg", {"r3", 1}});
    assert_true(timeline.same(2, 6, 1));
    assert_true(timeline.same(0, 4, 3));
    assert_false(timeline.same(0, 4, 4));
    assert_string_equal(error_of([&] {
                            timeline.at(3, {"AND", {"r0", "r1", "r2"}});
                        }).c_str(),
                        "cycle 3: AND and ADD are both in slot alu");
    Program program;
    timeline.emit(program, 2, 5);
    assert_int_equal(program.bundles().size(), 3);
    assert_string_equal(program.bundles()[1][Slot::alu].name.c_str(), "ADD");
}

// Three lives of 4 cycles, 4 apart in a period of 10: two overlap across its end.
void test_colouring(void**) {
    const std::vector<Life> lives = {{0, 3}, {4, 7}, {8, 11}};
    const std::vector<int> registers = colour(lives, 10, 2);
    assert_int_equal(registers[0], registers[1]);
    assert_int_not_equal(registers[0], registers[2]);
    assert_string_equal(error_of([&] { colour(lives, 10, 1); }).c_str(), "too few registers");
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_s8_s32),    cmocka_unit_test(test_s8_s8),
        cmocka_unit_test(test_s8_s16),    cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_program),   cmocka_unit_test(test_timeline),
        cmocka_unit_test(test_colouring),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
