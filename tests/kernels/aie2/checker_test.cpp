// SPDX-License-Identifier: MIT
// For every rule of the checker a program that breaks it and its twin that does not; and a kernel
// without a fault, which is damaged in many ways, each of them found.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "kernels/aie2/checker/checker.hpp"
#include "kernels/aie2/isa/instruction_table.hpp"

extern "C" {
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
}

namespace {

using namespace npuenc::aie2;

using Instructions = std::vector<Instruction>; // of one bundle
using Bundles = std::vector<Instructions>;

// Instructions of the programs below.
Instruction set(const char* reg, int value) {
    return {"MOVXM_lng_cg", {reg, value}};
}
Instruction set_in_alu(const char* reg, int value) {
    return {"MOVX_alu_cg", {reg, value}};
}
Instruction set_in_mv(const char* reg, int value) {
    return {"MOV_mv_cg", {reg, value}};
}
Instruction load(const char* reg, const char* pointer, int offset = 0) {
    return {"VLDA_dmw_lda_w_ag_idx_imm", {reg, pointer, offset}};
}
Instruction load_next(const char* reg, const char* pointer) {
    return {"VLDA_dmw_lda_w_ag_pstm_nrm_imm", {reg, pointer, pointer, 32}};
}
Instruction load_b_next(const char* reg, const char* pointer) {
    return {"VLDB_dmw_ldb_ag_pstm_nrm_imm", {reg, pointer, pointer, 32}};
}
Instruction store(const char* reg, const char* pointer, int offset = 0) {
    return {"VST_dmw_sts_w_ag_idx_imm", {reg, pointer, offset}};
}
Instruction store_byte(const char* reg, const char* pointer) {
    return {"ST_S8_ag_idx_imm", {reg, pointer, 0}};
}
Instruction mac(const char* acc, const char* a, const char* b, const char* config) {
    return {"VMAC_vmac_cm_core_dense", {acc, acc, a, b, config}};
}
Instruction clear(const char* acc) {
    return {"VCLR_vclr", {acc}};
}
Instruction narrow(const char* reg, const char* acc) {
    return {"VSRS_S8_S32_mv_w_srs", {reg, acc, "s0"}};
}
Instruction narrow_to_memory(const char* acc, const char* pointer) {
    return {"VST_SRS_S8_S32_ag_idx_imm", {pointer, 0, acc, "s0"}};
}
Instruction add(const char* result, const char* a, const char* b) {
    return {"ADD", {result, a, b}};
}
Instruction copy(const char* result, const char* source) {
    return {"MOV_mv_scl", {result, source}};
}
Instruction acquire(int lock, const char* count) {
    return {"ACQ_mLockId_imm", {lock, count}};
}
Instruction release(int lock, const char* count) {
    return {"REL_mLockId_imm", {lock, count}};
}
Instruction jump(size_t bundle) {
    return {"J_jump_imm", {static_cast<int>(16 * bundle)}};
}
Instruction jump_if(const char* reg, size_t bundle) {
    return {"JNZ", {reg, static_cast<int>(16 * bundle)}};
}
Instruction jump_if_zero(const char* reg, size_t bundle) {
    return {"JZ", {reg, static_cast<int>(16 * bundle)}};
}
Instruction call(size_t bundle) {
    return {"JL", {static_cast<int>(16 * bundle)}};
}
Instruction ret() {
    return {"RET", {}};
}

int address(size_t bundle) {
    return static_cast<int>(16 * bundle);
}

void nops(Bundles& bundles, size_t n) {
    bundles.insert(bundles.end(), n, Instructions{});
}

// A jump to itself, with its delay slots.
void stop(Bundles& bundles) {
    bundles.push_back({jump(bundles.size())});
    nops(bundles, 5);
}

std::vector<PlacedBundle> placed(const Bundles& bundles) {
    std::vector<Bundle> result;
    for (const Instructions& instructions : bundles) {
        Bundle& bundle = result.emplace_back();
        for (const Instruction& instruction : instructions) {
            const InstructionEntry* entry = find_instruction(instruction.name);
            assert_non_null(entry);
            bundle[entry->slot] = instruction;
        }
    }
    return place(result);
}

// Everything that the programs below read without having written it.
CheckOptions with_inputs() {
    CheckOptions options;
    for (const char* file : {"x", "cm", "r", "p", "m", "dj", "dn", "dc", "s"})
        for (int i = 0; i < 32; ++i)
            options.inputs.push_back(file + std::to_string(i));
    for (const char* special : {"crSat", "crRnd", "crSRSSign", "lr"})
        options.inputs.push_back(special);
    return options;
}

std::set<std::string> rules_of(const std::vector<Finding>& findings) {
    std::set<std::string> rules;
    for (const Finding& finding : findings)
        rules.insert(finding.rule);
    return rules;
}

void expect_silent(const std::string& what, const std::vector<Finding>& findings) {
    for (const Finding& finding : findings)
        print_error("%s: %s\n", what.c_str(), to_text(finding).c_str());
    assert_true(findings.empty());
}

void expect_found(const std::string& what, const std::string& rule,
                  const std::vector<Finding>& findings) {
    if (rules_of(findings).count(rule) != 0)
        return;
    print_error("%s: %s was not found\n", what.c_str(), rule.c_str());
    for (const Finding& finding : findings)
        print_error("    %s\n", to_text(finding).c_str());
    fail();
}

// Latencies of one register are two rules: a result that comes too late for its reader may also be
// overtaken by the reader's own.
std::string family_of(const std::string& rule) {
    return rule.starts_with("latency") ? "latency" : rule;
}

// What is broken is the only thing that is wrong.
struct Case {
    const char* what;
    const char* rule;
    std::function<Bundles(bool broken)> program;
    std::function<void(CheckOptions&)> options = [](CheckOptions&) {};
};

void run_cases(const std::vector<Case>& cases) {
    for (const Case& c : cases) {
        CheckOptions options = with_inputs();
        c.options(options);
        expect_silent(c.what, check(placed(c.program(false)), options));
        const std::vector<Finding> findings = check(placed(c.program(true)), options);
        expect_found(c.what, c.rule, findings);
        for (const Finding& finding : findings)
            assert_string_equal(family_of(finding.rule).c_str(), family_of(c.rule).c_str());
    }
}

// `first`, then `distance` bundles later `second`.
Bundles apart(Instructions first, size_t distance, Instructions second) {
    Bundles bundles = {std::move(first)};
    nops(bundles, distance - 1);
    bundles.push_back(std::move(second));
    stop(bundles);
    return bundles;
}

Case distance_case(const char* what, const char* rule, Instruction first, size_t needed,
                   Instruction second) {
    return {what, rule,
            [=](bool broken) { return apart({first}, broken ? needed - 1 : needed, {second}); }};
}

void test_latencies(void**) {
    run_cases({
        distance_case("a load", "latency.read", load("wl0", "p0"), 7, mac("cm0", "x0", "x1", "r0")),
        distance_case("a load of one half, read as a whole", "latency.read", load("wh3", "p0"), 7,
                      mac("cm0", "x1", "x3", "r0")),
        distance_case("an accumulator to the next product, without the bypass", "latency.read",
                      mac("cm0", "x0", "x1", "r0"), 3, mac("cm0", "x0", "x1", "r0")),
        distance_case("a floating-point product", "latency.read",
                      {"VMAC_F_vmac_bm_core_dense", {"bml0", "bml0", "x0", "x1", "r0"}}, 4,
                      {"VMAC_F_vmac_bm_core_dense", {"bml0", "bml0", "x0", "x1", "r0"}}),
        distance_case("an accumulator that is narrowed", "latency.read",
                      mac("cm0", "x0", "x1", "r0"), 5, narrow("wl0", "cm0")),
        distance_case("a narrowed vector that is stored", "latency.read", narrow("wl0", "cm0"), 4,
                      store("wl0", "p0")),
        distance_case("a product of scalars", "latency.read", {"MUL_mul_r_rr", {"r0", "r1", "r2"}},
                      2, {"ST_dms_sts_idx_imm", {"r0", "p0", 0}}),
        distance_case("a pair of scalars", "latency.read", {"VEXTRACT_S64", {"l0", "x0", "r16"}}, 2,
                      add("r3", "r17", "r1")),
        distance_case("a load of a modifier's count", "latency.read",
                      {"LDA_dms_lda_idx_imm", {"dc4", "p0", 0}}, 7,
                      {"PADDA_3D", {"p1", "dc0", "dc4", "p1", "d0_3d"}}),
        distance_case("status of products", "latency.read",
                      {"VMAC_F_vmac_bm_core_dense", {"bml0", "bml0", "x0", "x1", "r0"}}, 7,
                      copy("r0", "srFPFlags")),
        distance_case("a load that lands after a later move", "latency.write", load("wl0", "p0"), 7,
                      {"VMOV_mv_w", {"wl0", "wl2"}}),
        distance_case("an accumulator written before it is read", "latency.write",
                      {"VMAC_vmac_cm_core_dense", {"cm1", "cm0", "x0", "x1", "r0"}}, 2,
                      {"VMOV_mv_w", {"amll0", "wl2"}}),
    });
}

void test_two_results_in_one_bundle(void**) {
    run_cases({{"one register written twice", "latency.write", [](bool broken) {
                    Bundles bundles = {
                        {load_next("wl0", "p0"), load_b_next(broken ? "wl0" : "wh0", "p1")}};
                    stop(bundles);
                    return bundles;
                }}});
}

// The old value of a register may be meant; it is not there for sure.
void test_old_values(void**) {
    const Bundles bundles = apart({load("wl0", "p0")}, 2, {mac("cm0", "x0", "x1", "r0")});
    Bundles read_later = bundles;
    read_later.insert(read_later.begin() + 3, 7, Instructions{});
    read_later.insert(read_later.begin() + 9, {mac("cm1", "x0", "x1", "r0")});
    read_later[11] = {jump(11)};
    CheckOptions options = with_inputs();
    expect_found("the old value", "latency.read", check(placed(read_later), options));
    options.compiled = true;
    expect_found("a result that nobody reads", "latency.read", check(placed(bundles), options));
    expect_silent("a result that is read later", check(placed(read_later), options));
}

void test_latencies_over_branches(void**) {
    run_cases({
        {"a load before a jump", "latency.read",
         [](bool broken) {
             // With the jump itself and its slots six bundles, and one more before the use or none.
             Bundles bundles = {{jump(broken ? 9 : 8), load("wl0", "p0")}};
             nops(bundles, 8);
             bundles.push_back({mac("cm0", "x0", "x1", "r0")});
             stop(bundles);
             return bundles;
         }},
        {"a load in the last delay slot, the branch taken", "latency.read",
         [](bool broken) {
             Bundles bundles = {{jump_if("r0", 14)}};
             nops(bundles, 4);
             bundles.push_back({load("wl0", "p0")});
             nops(bundles, 8);
             nops(bundles, broken ? 5 : 6);
             bundles.push_back({mac("cm0", "x0", "x1", "r0")});
             stop(bundles);
             return bundles;
         }},
        {"a load in the last delay slot, the branch not taken", "latency.read",
         [](bool broken) {
             Bundles bundles = {{jump_if_zero("r0", 20)}};
             nops(bundles, 4);
             bundles.push_back({load("wl0", "p0")});
             nops(bundles, broken ? 5 : 6);
             bundles.push_back({mac("cm0", "x0", "x1", "r0")});
             while (bundles.size() < 20)
                 bundles.push_back({});
             stop(bundles);
             return bundles;
         }},
        {"a load before a call, read by the callee", "latency.read",
         [](bool broken) {
             Bundles bundles = {{load("wl0", "p0")}, {call(16)}};
             if (broken)
                 std::swap(bundles[0], bundles[1]);
             nops(bundles, broken ? 4 : 5);
             stop(bundles);
             while (bundles.size() < 16)
                 bundles.push_back({});
             bundles.push_back({ret(), mac("cm0", "x0", "x1", "r0")});
             nops(bundles, 5);
             return bundles;
         }},
        {"a load by the callee, read after it returned", "latency.read",
         [](bool broken) {
             Bundles bundles = {{call(16)}};
             nops(bundles, 7);
             bundles.push_back({mac("cm0", "x0", "x1", "r0")});
             stop(bundles);
             while (bundles.size() < 16)
                 bundles.push_back({});
             bundles.push_back({ret()});
             if (broken)
                 bundles.push_back({});
             bundles.push_back({load("wl0", "p0")});
             nops(bundles, broken ? 3 : 4);
             return bundles;
         }},
    });
}

// LS at bundle 9, LE at the last bundle of the body, LC in bundle 2.
Bundles loop_of(Bundles body) {
    Bundles bundles = {
        {set("LS", address(9))}, {set("LE", address(9 + body.size() - 1))}, {set("LC", 4)}};
    nops(bundles, 6);
    bundles.insert(bundles.end(), body.begin(), body.end());
    stop(bundles);
    return bundles;
}

void test_latency_around_a_loop(void**) {
    run_cases({{"a load at the end of a loop, read at its start", "latency.read", [](bool broken) {
                    Bundles body(12);
                    body[1] = {mac("cm0", "x0", "x1", "r0")};
                    body[broken ? 7 : 6] = {load("wl0", "p0")};
                    return loop_of(body);
                }}});
}

void test_ports(void**) {
    run_cases({
        {"a load and a narrowing that write vectors in one cycle", "port",
         [](bool broken) {
             return apart({load("wl0", "p0")}, broken ? 3 : 2, {narrow("wl2", "cm0")});
         }},
        {"a load of an accumulator and a conversion to one", "port",
         [](bool broken) {
             return apart({{"VLDA_dmw_lda_am_ag_idx_imm", {"amll0", "p0", 0}}}, broken ? 5 : 4,
                          {{"VMOV_mv_w", {"amll1", "wl0"}}});
         }},
        {"two lock operations at once", "port",
         [](bool broken) {
             return apart({acquire(48, "r0")}, broken ? 3 : 4, {acquire(50, "r0")});
         }},
        {"two moves into scalars, one of them delayed", "port",
         [](bool broken) {
             return apart({{"MOV_D1", {"r1", "r2"}}}, broken ? 1 : 2, {copy("r3", "r4")});
         }},
        {"around a loop", "port",
         [](bool broken) {
             Bundles body(8);
             body[7] = {load("wl0", "p0")};
             body[broken ? 2 : 3] = {narrow("wl2", "cm0")};
             return loop_of(body);
         }},
    });
}

// The table counts ports that an operand might use; compilers know the one it does.
void test_ports_of_compilers(void**) {
    Bundles bundles = {{copy("p1", "p2"), {"ST_dms_sts_idx_imm", {"r0", "p0", 0}}}};
    stop(bundles);
    CheckOptions options = with_inputs();
    expect_found("a move of a pointer beside a store", "port", check(placed(bundles), options));
    options.compiled = true;
    expect_silent("a move of a pointer beside a store", check(placed(bundles), options));
    bundles[0] = {copy("p1", "p2"), {"ST_dms_sts_idx_imm", {"p3", "p0", 0}}};
    expect_found("a move beside a store of a pointer", "port", check(placed(bundles), options));
}

void test_memory_order(void**) {
    const auto regions = [](CheckOptions& options) {
        options.regions = {{"A", 0x70000, 0x1000}, {"C", 0x71000, 0x1000}};
    };
    run_cases({
        {"a load beside the store", "memory.order",
         [](bool broken) {
             Bundles bundles = {{load("wl0", "p0", broken ? 64 : 32), store("wl2", "p0", 64)}};
             stop(bundles);
             return bundles;
         }},
        distance_case("a load behind a narrowing store", "memory.order",
                      narrow_to_memory("cm0", "p0"), 3, load("wl0", "p0")),
        distance_case("a load behind a byte's store", "memory.order", store_byte("r0", "p0"), 7,
                      load("wl0", "p0")),
        {"a pointer that moved", "memory.order",
         [](bool broken) {
             Bundles bundles = {{{"VST_SRS_S8_S32_ag_pstm_nrm_imm", {"p0", "p0", 32, "cm0", "s0"}}},
                                {load("wl0", "p0", broken ? -32 : 0)}};
             stop(bundles);
             return bundles;
         }},
        {"a copy of the pointer", "memory.order",
         [](bool broken) {
             Bundles bundles = {{store_byte("r0", "p0")},
                                {copy("p1", "p0")},
                                {load("wl0", "p1", broken ? 0 : 32)}};
             stop(bundles);
             return bundles;
         }},
        {"two constants", "memory.order",
         [](bool broken) {
             Bundles bundles = {{set("p0", 0x70040)},
                                {set("p1", broken ? 0x70040 : 0x70060)},
                                {narrow_to_memory("cm0", "p0")},
                                {load("wl0", "p1")}};
             stop(bundles);
             return bundles;
         }},
        {"somewhere in one region", "memory.order",
         [](bool broken) {
             Bundles bundles = {{set("p0", 0x70040)},
                                {set("p1", broken ? 0x70080 : 0x71080)},
                                {{"PADDA_lda_ptr_inc_idx", {"p0", "p0", "m0"}}},
                                {narrow_to_memory("cm0", "p0")},
                                {load("wl0", "p1")}};
             stop(bundles);
             return bundles;
         },
         regions},
        {"around a loop", "memory.order",
         [](bool broken) {
             Bundles body(8);
             body[broken ? 6 : 5] = {narrow_to_memory("cm0", "p0")};
             body[0] = {load("wl0", "p0")};
             return loop_of(body);
         }},
    });
    CheckOptions options = with_inputs();
    regions(options);
    options.regions[0].in_order = true;
    Bundles bundles = {{set("p0", 0x70040)},
                       {set("p1", 0x70080)},
                       {{"PADDA_lda_ptr_inc_idx", {"p0", "p0", "m0"}}},
                       {narrow_to_memory("cm0", "p0")},
                       {load("wl0", "p1")}};
    stop(bundles);
    expect_silent("a region whose order the kernel promises", check(placed(bundles), options));
}

void test_addresses(void**) {
    const auto regions = [](CheckOptions& options) { options.regions = {{"A", 0x70000, 0x1000}}; };
    run_cases({
        {"a vector at 16 modulo 32", "memory.alignment",
         [](bool broken) {
             Bundles bundles = {{set("p0", broken ? 0x70010 : 0x70020)}, {load("wl0", "p0")}};
             stop(bundles);
             return bundles;
         }},
        {"a word at 2 modulo 4, in a loop", "memory.alignment",
         [](bool broken) {
             Bundles body(8);
             body[1] = {{"LDA_dms_lda_pstm_nrm_imm", {"r0", "p0", "p0", 4}}};
             Bundles bundles = loop_of(body);
             bundles[4] = {set("p0", broken ? 0x70002 : 0x70004)};
             return bundles;
         }},
        {"an index that is no multiple", "memory.alignment",
         [](bool broken) {
             Bundles bundles = {{set("p0", 0x70000)},
                                {set("dj0", broken ? 48 : 64)},
                                {{"VLDA_dmw_lda_w_ag_idx", {"wl0", "p0", "dj0"}}}};
             stop(bundles);
             return bundles;
         }},
        {"a pointer that is stored is not the address", "memory.alignment",
         [](bool broken) {
             Bundles bundles = {
                 {set("p0", 0x70000)},
                 {set("p3", 0x70002)},
                 {{"ST_dms_sts_idx_imm", {broken ? "p0" : "p3", broken ? "p3" : "p0", 0}}}};
             stop(bundles);
             return bundles;
         }},
        {"behind the region", "memory.region",
         [](bool broken) {
             Bundles bundles = {{set("p0", 0x70fe0)}, {load("wl0", "p0", broken ? 32 : 0)}};
             stop(bundles);
             return bundles;
         },
         regions},
    });
}

void test_lock_distances(void**) {
    run_cases({
        distance_case("a store before a release", "lock.early_release", store("wl0", "p0"), 4,
                      release(48, "r0")),
        distance_case("a load before a release", "lock.early_release", load("wl0", "p0"), 4,
                      release(48, "r0")),
        distance_case("a narrowing store before a release", "lock.early_release",
                      narrow_to_memory("cm0", "p0"), 6, release(48, "r0")),
        distance_case("a byte's store before a release", "lock.early_release",
                      store_byte("r0", "p0"), 10, release(48, "r0")),
        distance_case("a load after an acquire", "lock.late_acquire", acquire(48, "r0"), 4,
                      load("wl0", "p0")),
        distance_case("a narrowing store after an acquire", "lock.late_acquire", acquire(48, "r0"),
                      2, narrow_to_memory("cm0", "p0")),
        {"a store at the end of a loop, a release behind it", "lock.early_release",
         [](bool broken) {
             Bundles body(8);
             body[7] = {store("wl0", "p0")};
             Bundles bundles = loop_of(body);
             bundles.resize(17);
             nops(bundles, broken ? 2 : 3);
             bundles.push_back({release(48, "r0")});
             stop(bundles);
             return bundles;
         }},
    });
    CheckOptions options = with_inputs();
    options.regions = {{"C", 0x70000, 0x1000, true}};
    Bundles bundles = {{set("p0", 0x70000)}, {store("wl0", "p0")}, {release(48, "r0")}};
    stop(bundles);
    expect_silent("memory of the core alone", check(placed(bundles), options));
    options.regions[0].core_only = false;
    expect_found("memory of the DMA too", "lock.early_release", check(placed(bundles), options));
}

CheckOptions with_locks() {
    CheckOptions options = with_inputs();
    options.locks = {{"in", 49, 48}, {"out", 52, 53}};
    return options;
}

// An endless loop around `body`, which begins with r0 = -1 and r1 = 1.
Bundles endless(const Bundles& body) {
    Bundles bundles = {{set("r0", -1)}, {set("r1", 1)}};
    bundles.insert(bundles.end(), body.begin(), body.end());
    bundles.push_back({jump(2)});
    nops(bundles, 5);
    return bundles;
}

void test_lock_balance(void**) {
    const auto locks = [](CheckOptions& options) { options = with_locks(); };
    run_cases({
        {"a missing release", "lock.balance",
         [](bool broken) {
             Bundles body(5);
             body[0] = {acquire(49, "r0")};
             if (!broken)
                 body[4] = {release(48, "r1")};
             return endless(body);
         },
         locks},
        {"a release without an acquire", "lock.balance",
         [](bool broken) {
             Bundles body(5);
             if (!broken)
                 body[0] = {acquire(49, "r0")};
             body[4] = {release(48, "r1")};
             return endless(body);
         },
         locks},
        {"a release on one way of a branch only", "lock.balance",
         [](bool broken) {
             // 2: acquire, 3: if r2, over the release at 9.
             Bundles body(16);
             body[0] = {acquire(49, "r0")};
             body[1] = {jump_if("r2", broken ? 11 : 9)};
             body[7] = {release(48, "r1")};
             return endless(body);
         },
         locks},
        {"a lock taken and released under one condition, and under two", "lock.balance",
         [](bool broken) {
             Bundles body(25);
             body[0] = {jump_if_zero("r2", 9)};
             body[6] = {acquire(52, "r0")};
             body[10] = {jump_if_zero(broken ? "r3" : "r2", 20)};
             body[16] = {release(53, "r1")};
             return endless(body);
         },
         locks},
        {"two acquired, one released", "lock.balance",
         [](bool broken) {
             Bundles body(5);
             body[0] = {acquire(49, "r0")};
             body[4] = {release(48, "r1")};
             Bundles bundles = endless(body);
             bundles[0] = {set("r0", broken ? -2 : -1)};
             return bundles;
         },
         locks},
        {"the program ends with a buffer in hand", "lock.balance",
         [](bool broken) {
             Bundles bundles = {{set("r0", -1)}, {set("r1", 1)}, {acquire(49, "r0")}};
             nops(bundles, 3);
             if (!broken)
                 bundles.push_back({release(48, "r1")});
             nops(bundles, 3);
             bundles.push_back({{"DONE", {}}});
             return bundles;
         },
         locks},
        {"a lock that nobody declared", "lock.unknown",
         [](bool broken) {
             Bundles body(10);
             body[0] = {acquire(49, "r0")};
             body[4] = {release(48, "r1")};
             if (broken)
                 body[8] = {release(60, "r1")};
             return endless(body);
         },
         locks},
        {"a count that nobody knows", "lock.unknown",
         [](bool broken) {
             Bundles body(10);
             if (broken)
                 body[0] = {acquire(49, "r5")};
             return endless(body);
         },
         locks},
    });
}

void test_branches(void**) {
    run_cases({
        {"a branch in a delay slot", "branch.delay",
         [](bool broken) {
             Bundles bundles = {{jump(8)}};
             nops(bundles, 7);
             bundles.push_back({}); // 8
             stop(bundles);
             if (broken)
                 bundles[5] = {jump(8)};
             return bundles;
         }},
        {"a target that is no bundle", "branch.target",
         [](bool broken) {
             Bundles bundles = {{{"J_jump_imm", {broken ? 136 : 128}}}};
             nops(bundles, 8);
             stop(bundles);
             return bundles;
         }},
        {"a target behind the end", "branch.target",
         [](bool broken) {
             Bundles bundles = {{jump_if("r0", broken ? 100 : 6)}};
             nops(bundles, 5);
             stop(bundles);
             return bundles;
         }},
        {"a target in a pointer that was never set", "branch.target",
         [](bool broken) {
             Bundles bundles = {{set(broken ? "p1" : "p0", address(8))}, {{"J_jump_ind", {"p0"}}}};
             nops(bundles, 6);
             stop(bundles);
             return bundles;
         }},
        {"a return without a call", "branch.return",
         [](bool broken) {
             Bundles bundles = {{broken ? ret() : jump(0)}};
             nops(bundles, 5);
             return bundles;
         }},
        {"a call of itself", "branch.return",
         [](bool broken) {
             Bundles bundles = {{call(16)}};
             nops(bundles, 5);
             stop(bundles);
             while (bundles.size() < 16)
                 bundles.push_back({});
             bundles.push_back({broken ? call(16) : ret()});
             nops(bundles, 5);
             bundles.push_back({ret()});
             nops(bundles, 5);
             return bundles;
         }},
        {"the end of the program", "program.end",
         [](bool broken) {
             Bundles bundles(3);
             if (!broken)
                 stop(bundles);
             return bundles;
         }},
        {"the end of the program in delay slots", "program.end",
         [](bool broken) {
             Bundles bundles(3);
             stop(bundles);
             if (broken)
                 bundles.pop_back();
             return bundles;
         }},
    });
}

void test_unaligned_targets(void**) {
    Bundles bundles = {{jump(8)}};
    nops(bundles, 7);
    stop(bundles);
    std::vector<PlacedBundle> program = placed(bundles);
    const CheckOptions options = with_inputs();
    expect_silent("an aligned target", check(program, options));
    // Bundle 7 grows shorter, and what follows moves up by 8.
    program[7].bytes = 8;
    for (size_t i = 8; i < program.size(); ++i)
        program[i].address -= 8;
    program[0].bundle[Slot::lng].operands[0] = 120;
    program[8].bundle[Slot::lng].operands[0] = 120;
    expect_found("a target at 8 modulo 16", "branch.alignment", check(program, options));
}

void test_loops(void**) {
    run_cases({
        {"LC six bundles before the end", "loop.setup",
         [](bool broken) {
             Bundles bundles = loop_of(Bundles(4));
             bundles[2] = {};
             bundles[broken ? 6 : 5] = {set("LC", 4)};
             return bundles;
         }},
        {"LE six bundles before the end", "loop.setup",
         [](bool broken) {
             Bundles bundles = loop_of(Bundles(4));
             std::swap(bundles[1], bundles[broken ? 6 : 5]);
             return bundles;
         }},
        {"LS set again inside", "loop.nested",
         [](bool broken) {
             Bundles body(16);
             body[2] = {set(broken ? "LC" : "r3", 5)};
             return loop_of(body);
         }},
        {"a byte stored in the last bundle", "loop.store",
         [](bool broken) {
             Bundles body(10);
             body[broken ? 9 : 8] = {store_byte("r0", "p0")};
             return loop_of(body);
         }},
        {"two loops, the second set up behind the first, its end first", "loop.nested",
         [](bool broken) {
             Bundles bundles = loop_of(Bundles(8));
             bundles.resize(17);
             bundles.push_back({set("LE", address(35))});
             bundles.push_back({set("LS", address(broken ? 18 : 30))});
             bundles.push_back({set("LC", 4)});
             nops(bundles, 18);
             stop(bundles);
             return bundles;
         }},
        {"an end that is no bundle", "loop.bounds",
         [](bool broken) {
             Bundles bundles = loop_of(Bundles(8));
             bundles[1] = {set("LE", address(16) + (broken ? 8 : 0))};
             return bundles;
         }},
        {"a start that was never set", "loop.bounds",
         [](bool broken) {
             Bundles bundles = loop_of(Bundles(8));
             if (broken)
                 bundles[0] = {};
             return bundles;
         }},
        {"a start behind the end", "loop.order",
         [](bool broken) {
             Bundles bundles = loop_of(Bundles(8));
             if (broken)
                 bundles[0] = {set("LS", address(17))};
             return bundles;
         }},
        {"an end in delay slots", "loop.delay",
         [](bool broken) {
             Bundles body(12);
             body[broken ? 6 : 5] = {jump_if("r0", 21)};
             return loop_of(body);
         }},
    });
}

void test_loops_of_short_bundles(void**) {
    const CheckOptions options = with_inputs();
    std::vector<PlacedBundle> program = placed(loop_of(Bundles(8)));
    expect_silent("a loop", check(program, options));
    std::vector<PlacedBundle> short_end = program;
    short_end[16].bytes = 8;
    for (size_t i = 17; i < short_end.size(); ++i)
        short_end[i].address -= 8;
    short_end[17].bundle[Slot::lng].operands[0] = static_cast<int>(short_end[17].address);
    expect_found("a last bundle of 8 bytes", "loop.alignment", check(short_end, options));

    // Seven bundles between setup and end, but some of 8 bytes: the core fetches 16 at a time.
    program = placed(loop_of(Bundles(1)));
    expect_silent("seven bundles of 16 bytes", check(program, options));
    program[4].bytes = program[5].bytes = 8;
    for (size_t i = 5; i < program.size(); ++i)
        program[i].address -= i == 5 ? 8 : 16;
    program[0].bundle[Slot::lng].operands[1] = address(8);
    program[1].bundle[Slot::lng].operands[1] = address(8);
    program[10].bundle[Slot::lng].operands[0] = address(9);
    expect_found("seven bundles of less than 112 bytes", "loop.setup", check(program, options));
}

void test_definitions(void**) {
    const auto nothing = [](CheckOptions& options) { options = {}; };
    run_cases({
        {"a register that nobody wrote", "undefined",
         [](bool broken) {
             Bundles bundles = {{set("r1", 1)}, {add("r2", "r1", broken ? "r3" : "r1")}};
             stop(bundles);
             return bundles;
         },
         nothing},
        {"a register that one way does not write", "undefined",
         [](bool broken) {
             Bundles bundles = {{set("r1", 1)}, {jump_if("r1", broken ? 8 : 7)}};
             nops(bundles, 5);
             bundles.push_back({set("r2", 1)});
             bundles.push_back({add("r3", "r2", "r2")});
             stop(bundles);
             return bundles;
         },
         nothing},
        {"the rounding mode", "undefined",
         [](bool broken) {
             Bundles bundles = {
                 {set("crRnd", 12)}, {set("crSat", 1)}, {set("s0", 4)}, {clear("cm0")}};
             if (broken)
                 bundles[0] = {};
             nops(bundles, 4);
             bundles.push_back({narrow("wl0", "cm0")});
             stop(bundles);
             return bundles;
         },
         nothing},
        {"an accumulator that counts", "undefined",
         [](bool broken) {
             Bundles bundles = {{set("r0", broken ? 776 : 777)}, {set("p0", 0x70000)}};
             for (const char* half : {"wl0", "wh0", "wl1", "wh1"})
                 bundles.push_back({load_next(half, "p0")});
             nops(bundles, 6);
             bundles.push_back({mac("cm0", "x0", "x1", "r0")});
             stop(bundles);
             return bundles;
         },
         nothing},
    });
}

void test_encodings(void**) {
    const CheckOptions options = with_inputs();
    Bundles bundles = {{load("wl0", "p0", 32)}};
    stop(bundles);
    const std::vector<PlacedBundle> good = placed(bundles);
    expect_silent("an offset of 32", check(good, options));
    const auto broken = [&](const std::string& what, std::function<void(Bundle&)> change) {
        std::vector<PlacedBundle> program = good;
        change(program[0].bundle);
        expect_found(what, "encoding", check(program, options));
    };
    broken("an offset of 16", [](Bundle& b) { b[Slot::lda].operands[2] = 16; });
    broken("an offset too far", [](Bundle& b) { b[Slot::lda].operands[2] = 32 * 32; });
    broken("a register of another kind", [](Bundle& b) { b[Slot::lda].operands[0] = "cm0"; });
    broken("an instruction that is none", [](Bundle& b) { b[Slot::lda].name = "VLDA_what"; });
    broken("an operand too few", [](Bundle& b) { b[Slot::lda].operands.pop_back(); });
    broken("another slot", [](Bundle& b) { std::swap(b[Slot::lda], b[Slot::st]); });
    broken("lng beside mv", [](Bundle& b) {
        b[Slot::lng] = set("r0", 1);
        b[Slot::mv] = copy("p1", "p0");
    });
}

void test_program_size(void**) {
    for (const size_t n : {1018, 1019}) {
        Bundles bundles(n);
        stop(bundles);
        const std::vector<Finding> findings = check(placed(bundles), with_inputs());
        if (n == 1018)
            expect_silent("16 KB", findings);
        else
            expect_found("more than 16 KB", "program.size", findings);
    }
    expect_found("nothing", "program.end", check({}, {}));
}

void test_register_pressure(void**) {
    Bundles bundles = {{set("p0", 0x70000)}, {set("r0", 776)}};
    for (const char* half : {"wl0", "wh0", "wl1", "wh1"})
        bundles.push_back({load_next(half, "p0")});
    nops(bundles, 6);
    bundles.push_back({{"VMUL_vmac_cm_core_dense", {"cm3", "x0", "x1", "r0"}}});
    nops(bundles, 4);
    bundles.push_back({{"VST_dmw_sts_am_ag_idx_imm", {"amll3", "p0", 0}}});
    stop(bundles);
    const RegisterPressure pressure = register_pressure(placed(bundles));
    assert_int_equal(pressure.vectors, 2);
    assert_int_equal(pressure.accumulators, 1);
    assert_int_equal(pressure.scalars, 1);
    assert_int_equal(pressure.pointers, 1);
}

// A kernel that multiplies what comes in buffer "in" and sends the product, without end. Names of
// its bundles say what stands there, so that it can be damaged.
struct Kernel {
    Bundles bundles;
    size_t n_setup, acquire_in, acquire_out, set_pointer, set_count, loop, product, loop_end,
        narrow, store, release_in, release_out, jump;
};

Kernel kernel() {
    Kernel k = {};
    Bundles& b = k.bundles;
    b = {{set("LS", 0)}, {set("LE", 0)}, {set("r0", -1)}, {set("r1", 1)}, {set("r2", 776)}};
    b.push_back({set_in_alu("r3", 0), set_in_mv("s0", 7)});
    b.push_back({set("crRnd", 12)});
    b.push_back({set("crSat", 1)});
    k.n_setup = b.size();
    k.acquire_in = b.size();
    b.push_back({acquire(49, "r0"), clear("cm0")});
    nops(b, 3);
    k.acquire_out = b.size();
    b.push_back({acquire(52, "r0")});
    k.set_pointer = b.size();
    b.push_back({set("p0", 0x74000)});
    b.push_back({set("p1", 0x75000)});
    b.push_back({set("p2", 0x78000)});
    k.set_count = b.size();
    b.push_back({set("LC", 8)});
    k.loop = b.size();
    b.push_back({load_next("wl0", "p0"), load_b_next("wl1", "p1")});
    b.push_back({load_next("wh0", "p0"), load_b_next("wh1", "p1")});
    nops(b, 6);
    k.product = b.size();
    b.push_back({mac("cm0", "x0", "x1", "r2")});
    k.loop_end = b.size();
    b.push_back({});
    nops(b, 3);
    k.narrow = b.size();
    b.push_back({narrow("wl2", "cm0")});
    nops(b, 3);
    k.store = b.size();
    b.push_back({store("wl2", "p2")});
    nops(b, 3);
    k.release_in = b.size();
    b.push_back({release(48, "r1")});
    nops(b, 3);
    k.release_out = b.size();
    b.push_back({release(53, "r1")});
    nops(b, 3);
    k.jump = b.size();
    b.push_back({jump(k.n_setup)});
    nops(b, 5);
    b[0] = {set("LS", address(k.loop))};
    b[1] = {set("LE", address(k.loop_end))};
    return k;
}

CheckOptions kernel_options() {
    CheckOptions options;
    options.locks = {{"in", 49, 48}, {"out", 52, 53}};
    options.regions = {{"a", 0x74000, 4096}, {"b", 0x75000, 4096}, {"out", 0x78000, 4096}};
    return options;
}

// Takes a bundle out; loop and jump keep their places relative to the others.
void drop(Kernel& k, size_t bundle) {
    k.bundles.erase(k.bundles.begin() + static_cast<ptrdiff_t>(bundle));
    const auto moved = [&](size_t place) { return address(place > bundle ? place - 1 : place); };
    k.bundles[0] = {set("LS", moved(k.loop))};
    k.bundles[1] = {set("LE", moved(k.loop_end))};
}

struct Damage {
    const char* what;
    const char* rule;
    std::function<void(Kernel&)> change;
};

void test_damaged_kernel(void**) {
    expect_silent("the kernel", check(placed(kernel().bundles), kernel_options()));
    const std::vector<Damage> damages = {
        {"a NOP less between loads and product", "latency.read",
         [](Kernel& k) { drop(k, k.product - 1); }},
        {"a NOP less between product and narrowing", "latency.read",
         [](Kernel& k) { drop(k, k.narrow - 1); }},
        {"a NOP less between narrowing and store", "latency.read",
         [](Kernel& k) { drop(k, k.store - 1); }},
        {"a NOP less between store and release", "lock.early_release",
         [](Kernel& k) { drop(k, k.release_in - 1); }},
        {"a NOP less between two lock operations", "port",
         [](Kernel& k) { drop(k, k.acquire_in + 1); }},
        {"a NOP less in the delay slots", "program.end", [](Kernel& k) { k.bundles.pop_back(); }},
        {"product and last load swapped", "latency.read",
         [](Kernel& k) { std::swap(k.bundles[k.product], k.bundles[k.loop + 1]); }},
        {"narrowing and store swapped", "undefined",
         [](Kernel& k) { std::swap(k.bundles[k.narrow], k.bundles[k.store]); }},
        {"a load in the delay slot of its acquire", "lock.late_acquire",
         [](Kernel& k) {
             k.bundles[k.acquire_out + 3].push_back(
                 {"VLDA_dmw_lda_w_ag_idx_imm", {"wl5", "p0", 0}});
         }},
        {"no release of the input", "lock.balance",
         [](Kernel& k) { k.bundles[k.release_in] = {}; }},
        {"no release of the result", "lock.balance",
         [](Kernel& k) { k.bundles[k.release_out] = {}; }},
        {"no acquire of the result", "lock.balance",
         [](Kernel& k) { k.bundles[k.acquire_out] = {}; }},
        {"the input released twice", "lock.balance",
         [](Kernel& k) { k.bundles[k.release_out] = {release(48, "r1")}; }},
        {"two buffers acquired at once", "lock.balance",
         [](Kernel& k) { k.bundles[2] = {set("r0", -2)}; }},
        {"the wrong lock", "lock.unknown",
         [](Kernel& k) { k.bundles[k.release_out] = {release(52, "r1")}; }},
        {"the jump goes to the second acquire", "lock.balance",
         [](Kernel& k) { k.bundles[k.jump] = {jump(k.acquire_out)}; }},
        {"the jump goes between bundles", "branch.target",
         [](Kernel& k) {
             k.bundles[k.jump] = {{"J_jump_imm", {address(k.n_setup) + 4}}};
         }},
        {"a second jump in the delay slots", "branch.delay",
         [](Kernel& k) { k.bundles[k.jump + 2] = {jump(k.n_setup)}; }},
        {"the loop ends one bundle early and is not long enough", "loop.bounds",
         [](Kernel& k) { k.bundles[1] = {set("LE", address(k.loop_end) - 8)}; }},
        {"the loop ends in the delay slots", "loop.delay",
         [](Kernel& k) { k.bundles[1] = {set("LE", address(k.jump + 1))}; }},
        {"the loop begins behind its end", "loop.order",
         [](Kernel& k) { k.bundles[0] = {set("LS", address(k.loop_end + 1))}; }},
        {"the loop begins at its product", "latency.read",
         [](Kernel& k) { k.bundles[0] = {set("LS", address(k.product))}; }},
        {"the count is set in the loop", "loop.nested",
         [](Kernel& k) { std::swap(k.bundles[k.set_count], k.bundles[k.loop + 3]); }},
        {"the end is set too late", "loop.setup",
         [](Kernel& k) { k.bundles[k.loop + 4] = {set("LE", address(k.loop_end))}; }},
        {"a byte stored at the end of the loop", "loop.store",
         [](Kernel& k) { k.bundles[k.loop_end] = {store_byte("r3", "p2")}; }},
        {"a load that lands with the narrowing", "port",
         [](Kernel& k) { k.bundles[k.narrow - 3] = {load("wl5", "p0")}; }},
        {"a load of what is being stored", "memory.order",
         [](Kernel& k) { k.bundles[k.store].push_back(load("wl5", "p2")); }},
        {"an input that is not aligned", "memory.alignment",
         [](Kernel& k) { k.bundles[k.set_pointer] = {set("p0", 0x74010)}; }},
        {"a result that goes elsewhere", "memory.region",
         [](Kernel& k) { k.bundles[k.set_pointer + 2] = {set("p2", 0x79000)}; }},
        {"no rounding mode", "undefined", [](Kernel& k) { k.bundles[6] = {}; }},
        {"no sums to begin with", "undefined",
         [](Kernel& k) { k.bundles[k.acquire_in].pop_back(); }},
        {"another product into the same sums", "latency.read",
         [](Kernel& k) { k.bundles[k.product + 1] = {mac("cm0", "x0", "x1", "r2")}; }},
        {"one vector half read that is loaded again", "latency.read",
         [](Kernel& k) { k.bundles[k.product - 1] = {load("wh1", "p0")}; }},
        {"one vector loaded over the product's", "latency.write",
         [](Kernel& k) {
             k.bundles[k.loop + 3] = {{"VMOV_mv_w", {"wl0", "wl4"}}};
         }},
        {"a step of 16", "encoding", [](Kernel& k) { k.bundles[k.loop][0].operands[3] = 16; }},
    };
    for (const Damage& damage : damages) {
        Kernel damaged = kernel();
        damage.change(damaged);
        expect_found(damage.what, damage.rule, check(placed(damaged.bundles), kernel_options()));
    }
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_latencies),
        cmocka_unit_test(test_two_results_in_one_bundle),
        cmocka_unit_test(test_old_values),
        cmocka_unit_test(test_latencies_over_branches),
        cmocka_unit_test(test_latency_around_a_loop),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_ports_of_compilers),
        cmocka_unit_test(test_memory_order),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_lock_distances),
        cmocka_unit_test(test_lock_balance),
        cmocka_unit_test(test_branches),
        cmocka_unit_test(test_unaligned_targets),
        cmocka_unit_test(test_loops),
        cmocka_unit_test(test_loops_of_short_bundles),
        cmocka_unit_test(test_definitions),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_program_size),
        cmocka_unit_test(test_register_pressure),
        cmocka_unit_test(test_damaged_kernel),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
