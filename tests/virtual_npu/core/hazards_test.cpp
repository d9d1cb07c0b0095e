// SPDX-License-Identifier: MIT
// Programs that hardware would get silently wrong stop with an error that names the cause.
#include "tests/virtual_npu/test_tile.hpp"

extern "C" {
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
}

namespace {

using namespace npusim;

const std::string start = "lng:MOVXM_lng_cg p0, #0x70000\n"
                          "lng:MOVXM_lng_cg p1, #0x71000\n"
                          "lda:MOVA_lda_cg r1, #1; mv:MOV_mv_cg r2, #2\n"
                          "lda:MOVA_lda_cg r0, #777; alu:MOVX_alu_cg r3, #-1\n"
                          "mv:VBCST_8 x0, r1\n"
                          "mv:VBCST_8 x1, r2\n"
                          "lda:MOVA_lda_cg r4, #776\n"
                          "nop\n";
const std::string end = "nop\nnop\nnop\nnop\nnop\nnop\nnop\nnop\nnop\nnop\nalu:DONE\nnop\n";

std::string times(unsigned n, const std::string& line) {
    std::string lines;
    while (n--)
        lines += line + "\n";
    return lines;
}

void check(const std::string& program, const std::string& message, int line,
           CoreRules rules = CoreRules::strict) {
    TestTile tile(rules);
    std::string error = tile.error_of(start + program + "\n" + end);
    bool right = message.empty() ? error.empty() : error.find(message) != std::string::npos;
    if (!right)
        print_error("line %d: '%s' instead of '%s'\n", line, error.c_str(), message.c_str());
    assert_true(right);
    // Tile, cycle, address and bundle stand in every message.
    if (!message.empty()) {
        assert_true(error.starts_with("core (0, 2), cycle "));
        assert_true(error.find(", 0x") != std::string::npos);
        assert_true(error.find("; bundle: ") != std::string::npos);
    }
}
#define STOPS(program, message) check(program, message, __LINE__)
#define RUNS(program) check(program, "", __LINE__)

void reads_in_flight(void**) {
    std::string load = "lda:LDA_dms_lda_idx_imm r5, p0, #0\n";
    std::string use = "alu:ADD r6, r5, r1";
    RUNS(load + times(6, "nop") + use);
    STOPS(load + times(5, "nop") + use, "reads r5 1 cycles before");
    STOPS(load + use, "reads r5 6 cycles before");
    // The old value may not be relied on either, but compilers do.
    std::string old = "mv:MOV_mv_cg r5, #7\n" + load + use;
    STOPS(old, "reads r5");
    check(old, "", __LINE__, CoreRules::exact);

    std::string vector = "lda:VLDA_dmw_lda_w_ag_idx_imm wl2, p0, #0\n";
    std::string store = "st:VST_dmw_sts_w_ag_idx_imm wl2, p1, #0";
    RUNS(vector + times(6, "nop") + store);
    STOPS(vector + times(5, "nop") + store, "reads wl2 1 cycles before");

    std::string mul = "alu:MUL_mul_r_rr r5, r1, r2\n";
    std::string move = "mv:MOV_mv_scl r6, r5";
    RUNS(mul + "nop\n" + move);
    STOPS(mul + move, "reads r5");

    std::string broadcast = "mv:VBCST_16 x2, r1\n";
    RUNS(broadcast + "nop\nst:VST_dmw_sts_w_ag_idx_imm wh2, p1, #0");
    STOPS(broadcast + "st:VST_dmw_sts_w_ag_idx_imm wh2, p1, #0", "reads wh2");
}

void accumulators_are_read_in_cycle_three(void**) {
    std::string first = "vec:VMAC_vmac_cm_core_dense cm0, cm0, x0, x1, r0\n"; // clears
    std::string next = "vec:VMAC_vmac_cm_core_dense cm0, cm0, x0, x1, r4";
    RUNS(first + times(2, "nop") + next);
    STOPS(first + times(1, "nop") + next, "reads amll0 1 cycles before");
    STOPS(first + next, "reads amll0 2 cycles before");
    // Through the bypass, which compilers use.
    check(first + times(1, "nop") + next, "", __LINE__, CoreRules::exact);
    // A store reads at its issue.
    std::string store = "st:VST_dmw_sts_am_ag_idx_imm amhh0, p1, #0";
    RUNS(first + times(4, "nop") + store);
    STOPS(first + times(3, "nop") + store, "reads amhh0");

    std::string bf = "lda:MOVA_lda_cg r0, #29; alu:MOVX_alu_cg r4, #28\nmv:VBCST_16 x0, r1\n"
                     "mv:VBCST_16 x1, r1\nnop\nvec:VMAC_F_vmac_bm_core_dense bml0, bml0, x0, x1, "
                     "r0\n";
    std::string bf_next = "vec:VMAC_F_vmac_bm_core_dense bml0, bml0, x0, x1, r4";
    RUNS(bf + times(3, "nop") + bf_next);
    STOPS(bf + times(2, "nop") + bf_next, "reads amll0");
}

void late_operands(void**) {
    // VUNPACK reads in cycle 7: a load that lands by then is seen.
    std::string load = "lda:VLDA_dmw_lda_w_ag_idx_imm wl2, p0, #0\n";
    RUNS(load + "ldb:VUNPACK_S16_S8 x3, wl2");
    STOPS("ldb:VUNPACK_S16_S8 x3, wl2\n" + load, "reads wl2");
    // Part-word stores read their value in cycle 7.
    std::string word = "lda:LDA_dms_lda_idx_imm r5, p0, #0\n";
    RUNS(word + "lda:ST_S8_ag_idx_imm r5, p1, #0");
    TestTile tile;
    assert_true(tile.run(start + "lda:ST_S8_ag_idx_imm r1, p1, #1\n" + times(4, "nop") +
                         "mv:MOV_mv_cg r1, #5\n" + end));
    assert_int_equal(tile.memory[0x1001], 5);
}

void writes_that_collide(void**) {
    // R_WX is the port of the ALU's results: MUL takes it in its second cycle.
    STOPS("alu:MUL_mul_r_rr r5, r1, r2\nalu:ADD r6, r1, r2", "port R_WX is taken");
    RUNS("alu:MUL_mul_r_rr r5, r1, r2\nnop\nalu:ADD r6, r1, r2");
    // VLDA into a vector and VSRS three bundles later write through W_WA in one cycle.
    std::string clear =
        "vec:VCLR_vclr cm0\nlda:MOVA_lda_cg r5, #0\nmv:MOV_mv_scl s0, r5\n" + times(4, "nop");
    std::string load = "lda:VLDA_dmw_lda_w_ag_idx_imm wl2, p0, #0\n";
    std::string srs = "st:VSRS_S8_S32_mv_w_srs wl3, cm0, s0";
    STOPS(clear + load + times(2, "nop") + srs, "port W_WA is taken");
    RUNS(clear + load + times(3, "nop") + srs);
    // Both in one bundle.
    STOPS("lda:MOVA_lda_cg p3, #1; mv:MOV_mv_cg p4, #1", "use port P_WM");
    // One register.
    STOPS("lda:LDA_dms_lda_idx_imm r5, p0, #0\nmv:MOV_mv_cg r5, #1", "overtakes");
    STOPS("alu:ADD r5, r1, r2; mv:MOV_mv_cg r5, #1", "lands together");
}

void undefined_registers(void**) {
    STOPS("alu:ADD r6, r20, r1", "reads r20, which was never written");
    STOPS("lda:LDA_dms_lda_idx_imm r5, p5, #0", "reads p5");
    STOPS("lda:LDA_dms_spill r5, #-32", "reads SP");
    STOPS("lda:PADDA_lda_ptr_inc_idx p0, p0, m3", "reads m3");
    STOPS("vec:VMAC_vmac_cm_core_dense cm3, cm3, x0, x1, r4", "reads amll3");
    RUNS("vec:VMAC_vmac_cm_core_dense cm3, cm3, x0, x1, r0"); // clears
    STOPS("st:VST_dmw_sts_w_ag_idx_imm wl9, p1, #0", "reads wl9");
    STOPS("vec:VMAC_vmac_cm_core_dense cm0, cm0, x0, x9, r0", "reads wl9");
    STOPS("mv:MOV_mv_scl r6, srCarry\nnop", "reads srCarry");
    // Moves keep it, and spills leave garbage.
    RUNS("mv:MOV_mv_scl r21, r20\nmv:VMOV_mv_x x8, x9");
    STOPS("mv:MOV_mv_scl r21, r20\nalu:ADD r6, r21, r1", "reads r21");
    RUNS("st:ST_dms_sts_idx_imm r20, p1, #0");
    STOPS("mv:VMOV_mv_x x8, x9\nnop\nst:VST_dmw_sts_w_ag_idx_imm wl8, p1, #0", "reads wl8");
}

void memory(void**) {
    STOPS("lda:VLDA_dmw_lda_w_ag_idx_imm wl2, p0, #0; lda:VLDA_dmw_lda_w_ag_idx_imm wl2, p0, #0\n"
          "lda:PADDA_lda_ptr_inc_idx_imm p0, p0, #4\nlda:VLDA_dmw_lda_w_ag_idx_imm wl3, p0, #0",
          "address 0x70004 is not a multiple of 32");
    STOPS("lng:MOVXM_lng_cg p0, #0x70002\nlda:LDA_dms_lda_idx_imm r5, p0, #0",
          "address 0x70002 is not a multiple of 4");
    STOPS("lng:MOVXM_lng_cg p0, #0x70001\nlda:LDA_U16_ag_idx_imm r5, p0, #0",
          "address 0x70001 is not a multiple of 2");
    STOPS("lng:MOVXM_lng_cg p0, #0x3fffc\nlda:LDA_dms_lda_idx_imm r5, p0, #0",
          "address 0x3fffc is in none of the four memories");
    STOPS("lng:MOVXM_lng_cg p0, #0x80000\nst:ST_dms_sts_idx_imm r1, p0, #0",
          "address 0x80000 is in none of the four memories");
    // A store of SRS lands in cycle 7, others in 5: what overtakes it reads the old value.
    std::string clear =
        "vec:VCLR_vclr cm0\nlda:MOVA_lda_cg r5, #0\nmv:MOV_mv_scl s0, r5\n" + times(4, "nop");
    std::string srs = "st:VST_SRS_S8_S32_ag_idx_imm p1, #0, cm0, s0\n";
    std::string load = "lda:VLDA_dmw_lda_w_ag_idx_imm wl2, p1, #0";
    STOPS(clear + srs + times(1, "nop") + load, "has landed");
    RUNS(clear + srs + times(2, "nop") + load);
    STOPS(clear + srs + "st:VST_dmw_sts_w_ag_idx_imm wl0, p1, #0", "overtakes the store");
    STOPS("st:ST_dms_sts_idx_imm r1, p1, #0; lda:LDA_dms_lda_idx_imm r5, p1, #0", "has landed");
    RUNS("st:ST_dms_sts_idx_imm r1, p1, #0\nlda:LDA_dms_lda_idx_imm r5, p1, #0");
    std::string part = "lda:ST_S16_ag_idx_imm r1, p1, #0\n";
    STOPS(part + times(5, "nop") + "lda:LDA_dms_lda_idx_imm r5, p1, #0", "has landed");
    RUNS(part + times(6, "nop") + "lda:LDA_dms_lda_idx_imm r5, p1, #0");
}

void locks(void**) {
    std::string store = "st:ST_dms_sts_idx_imm r1, p1, #0\n";
    std::string release = "alu:REL_mLockId_imm #48, r1";
    STOPS(store + times(2, "nop") + release, "has not landed when the lock is released");
    RUNS(store + times(3, "nop") + release);
    std::string clear =
        "vec:VCLR_vclr cm0\nlda:MOVA_lda_cg r5, #0\nmv:MOV_mv_scl s0, r5\n" + times(4, "nop");
    std::string srs = "st:VST_SRS_S8_S32_ag_idx_imm p1, #0, cm0, s0\n";
    STOPS(clear + srs + times(4, "nop") + release, "has not landed");
    RUNS(clear + srs + times(5, "nop") + release);
    std::string part = "lda:ST_S8_ag_idx_imm r1, p1, #0\n";
    STOPS(part + times(8, "nop") + release, "has not landed");
    RUNS(part + times(9, "nop") + release);
    STOPS("alu:ACQ_mLockId_reg r0, r3", "lock 777");
}

std::string loop(unsigned count, const std::string& body, const std::string& last) {
    return "lng:MOVXM_lng_cg LS, @loop\nlng:MOVXM_lng_cg LE, @end\nlda:MOVA_lda_cg LC, #" +
           std::to_string(count) + "\n" + times(6, "nop") + "loop:\n" + body + "end:\n" + last +
           "\n";
}

void zero_overhead_loops(void**) {
    RUNS(loop(3, "alu:ADD r1, r1, r2\n", "nop"));
    STOPS("lng:MOVXM_lng_cg LS, @loop\nlng:MOVXM_lng_cg LE, @end\nlda:MOVA_lda_cg LC, #3\n" +
              times(4, "nop") + "loop:\nnop\nend:\nnop",
          "LC, LS or LE was set 6 bundles before the end of the loop");
    STOPS(loop(3, "nop\n", "lda:ST_S8_ag_idx_imm r1, p1, #0"), "store of 8 or 16 bits");
    STOPS(loop(3, "lng:JNZ r1, @loop\nnop\n", "nop"), "branch at the end of a loop");
    STOPS("lng:MOVXM_lng_cg LE, @end\nlda:MOVA_lda_cg LC, #3\n" + times(7, "nop") + "end:\nnop",
          "LC or LS was never written");
    STOPS("lng:MOVXM_lng_cg LS, #8\nlng:MOVXM_lng_cg LE, @end\nlda:MOVA_lda_cg LC, #3\n" +
              times(7, "nop") + "end:\nnop",
          "must be multiples of 16");
}

void short_bundle_closes_a_loop(void**) {
    // LE at a NOP of two bytes.
    auto bytes = assemble(start +
                          "lng:MOVXM_lng_cg LS, #128\nlng:MOVXM_lng_cg LE, #272\n"
                          "lda:MOVA_lda_cg LC, #3\n" +
                          times(6, "nop"));
    assert_int_equal(bytes.size(), 272);
    bytes.insert(bytes.end(), {0x01, 0x00});
    TestTile tile;
    tile.core.write_program(0, bytes);
    tile.core.enable(true);
    std::string error;
    try {
        for (int i = 0; i < 100; i++)
            tile.core.cycle(true);
    } catch (const SimulationError& stopped) {
        error = stopped.what();
    }
    assert_true(error.find("must take 16 bytes") != std::string::npos);
}

void branches(void**) {
    STOPS("lng:J_jump_imm #0\nlng:J_jump_imm #16", "branch in a delay slot");
    STOPS("lng:J_jump_imm #0x8000\n" + times(5, "nop"), "left the program memory");
    STOPS("lng:J_jump_imm #0x3000\n" + times(5, "nop"), "program memory that nobody wrote");
    STOPS("alu:RET\n" + times(5, "nop"), "reads lr");
}

void what_is_not_known(void**) {
    STOPS("lda:LDA_TM r5, p0", "LDA_TM: not executable");
    STOPS("mv:MOV_CNTR l0", "MOV_CNTR: not executable");
    STOPS("lda:MOVA_lda_cg r5, #1000\nvec:VMUL_vmac_cm_core_dense cm0, x0, x1, r5",
          "configuration word 1000 is not known");
    STOPS("lda:MOVA_lda_cg r5, #48\nmv:VSHUFFLE x2, x0, x1, r5", "shuffle mode 48 is not known");
    STOPS(
        "lda:MOVA_lda_cg r5, #5\nalu:MOVX_mvx_scl crRnd, r5\nvec:VCLR_vclr cm0\nmv:MOV_mv_scl s0, "
        "r1\n" +
            times(4, "nop") + "st:VSRS_S8_S32_mv_w_srs wl3, cm0, s0",
        "rounding mode 5 is not known");
    STOPS(
        "lda:MOVA_lda_cg r5, #2\nalu:MOVX_mvx_scl crSat, r5\nvec:VCLR_vclr cm0\nmv:MOV_mv_scl s0, "
        "r1\n" +
            times(4, "nop") + "st:VSRS_S8_S32_mv_w_srs wl3, cm0, s0",
        "saturation mode 2 is not known");
    STOPS("vec:VCLR_vclr cm0\nmv:MOV_mv_scl s0, r3\n" + times(4, "nop") +
              "st:VSRS_S8_S32_mv_w_srs wl3, cm0, s0",
          "shifts by -1");
    // 0x7f80: infinity.
    STOPS("lng:MOVXM_lng_cg r5, #0x7f80\nlda:MOVA_lda_cg r6, #29\nmv:VBCST_16 x2, r5\nnop\n"
          "vec:VMAC_F_vmac_bm_core_dense bml0, bml0, x2, x2, r6",
          "infinite or NaN");
}

// A bank that is taken holds everything for the cycle; the results are the same.
void standing_still(void**) {
    std::string program = start +
                          "lda:VLDA_dmw_lda_w_ag_pstm_nrm_imm wl2, p0, p0, #32\n"
                          "lda:VLDA_dmw_lda_w_ag_idx_imm wh2, p0, #0\n" +
                          times(6, "nop") +
                          "st:VST_dmw_sts_w_ag_idx_imm wl2, p1, #0\n"
                          "st:VST_dmw_sts_w_ag_idx_imm wh2, p1, #32\n" +
                          end;
    TestTile tile;
    for (size_t i = 0; i < 64; i++)
        tile.memory[i] = static_cast<uint8_t>(i * 5 + 1);
    tile.core.write_program(0, assemble(program));
    tile.core.enable(true);
    unsigned accesses = 0;
    for (int i = 0; i < 300 && !tile.core.done(); i++) {
        bool granted = i % 3 == 0;
        if (granted)
            accesses += static_cast<unsigned>(tile.core.pending().size());
        CoreCycle spent = tile.core.cycle(granted);
        assert_int_equal(static_cast<int>(spent),
                         static_cast<int>(granted ? CoreCycle::issue : CoreCycle::bank));
    }
    assert_true(tile.core.done());
    assert_memory_equal(tile.memory.data(), tile.memory.data() + 0x1000, 64);
    assert_int_equal(accesses, 4);
    assert_true(tile.core.counters().bank > 40);
}

// Nothing is due while a lock is waited for, and the access goes on after it.
void waiting_for_a_lock(void**) {
    TestTile tile;
    tile.core.write_program(0, assemble(start +
                                        "alu:ACQ_mLockId_imm #50, r3; "
                                        "lda:LDA_dms_lda_idx_imm r5, p0, #0\n" +
                                        end));
    tile.core.enable(true);
    for (int i = 0; i < 30; i++)
        tile.core.cycle(true);
    assert_int_equal(static_cast<int>(tile.core.cycle(true)), static_cast<int>(CoreCycle::lock));
    assert_int_equal(tile.core.pending().size(), 0);
    tile.locks[2] = 1;
    tile.memory[0] = 9; // written before the lock was given
    for (int i = 0; i < 60 && !tile.core.done(); i++)
        tile.core.cycle(true);
    assert_true(tile.core.done());
    assert_int_equal(tile.locks[2], 0);
    assert_int_equal(tile.scalar("r5"), 9);
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(reads_in_flight),
        cmocka_unit_test(accumulators_are_read_in_cycle_three),
        cmocka_unit_test(late_operands),
        cmocka_unit_test(writes_that_collide),
        cmocka_unit_test(undefined_registers),
        cmocka_unit_test(memory),
        cmocka_unit_test(locks),
        cmocka_unit_test(zero_overhead_loops),
        cmocka_unit_test(short_bundle_closes_a_loop),
        cmocka_unit_test(branches),
        cmocka_unit_test(what_is_not_known),
        cmocka_unit_test(standing_still),
        cmocka_unit_test(waiting_for_a_lock),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
