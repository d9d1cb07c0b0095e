// SPDX-License-Identifier: MIT
// Cores in the simulated array: locks with the DMA, neighbours' memory, banks, start, jitter.
#include <string>

#include "rig.hpp"

#include "assembler.hpp"

using namespace rig;

namespace {

std::string nops(int n) {
    std::string text;
    while (n-- > 0)
        text += "nop\n";
    return text;
}

void program(Configuration& c, uint32_t column, uint32_t row, const std::string& text) {
    const std::vector<uint8_t> bytes = assemble(text);
    std::vector<uint32_t> words(bytes.size() / 4);
    for (size_t i = 0; i < bytes.size(); ++i)
        words[i / 4] |= uint32_t{bytes[i]} << 8 * (i % 4);
    c.commands.push_back(CdoCommand::dma_write(address(column, row, 0x20000), words));
    c.write(column, row, 0x32000, 1);
}

// Waits for lock 1 and 2, adds `add` to `count` words of 0x400 into `to`, releases 0 and `full`;
// for ever.
std::string adder(int count, int add, const std::string& to = "0x70800", int full = 51,
                  int empty = 50) {
    return "lda:MOVA_lda_cg r5, #-1; alu:MOVX_alu_cg r0, #1\n"
           "again:\n"
           "lng:MOVXM_lng_cg p0, #0x70400\n"
           "lng:MOVXM_lng_cg p1, #" +
           to + "\n" + "lda:MOVA_lda_cg r6, #" + std::to_string(count) +
           "\n"
           "alu:ACQ_mLockId_imm #49, r5\n" +
           nops(3) + "alu:ACQ_mLockId_imm #" + std::to_string(empty) + ", r5\n" + nops(4) +
           "word:\n"
           "lda:LDA_dms_lda_pstm_nrm_imm r1, p0, p0, #4\n" +
           nops(6) + "alu:ADD_add_r_ri r1, r1, #" + std::to_string(add) +
           "\n"
           "alu:ADD_add_r_ri r6, r6, #-1\n"
           "st:ST_dms_sts_pstm_nrm_imm p1, r1, p1, #4\n"
           "lng:JNZ r6, @word\n" +
           nops(5) + nops(4) + "alu:REL_mLockId_imm #48, r0\n" + nops(3) + "alu:REL_mLockId_imm #" +
           std::to_string(full) +
           ", r0\n"
           "lng:J_jump_imm @again\n" +
           nops(5);
}

// One buffer in, one out, a core between them.
Configuration adding(int words, int add) {
    Configuration c;
    c.core_loop(0);
    c.lock(0, 2, 0, 1);
    c.lock(0, 2, 2, 1);
    c.descriptor(0, 2, 0,
                 {.address = 0x400,
                  .words = static_cast<uint32_t>(words),
                  .acquire_id = 0,
                  .acquire = -1,
                  .release_id = 1,
                  .release = 1,
                  .next = 0});
    c.descriptor(0, 2, 1,
                 {.address = 0x800,
                  .words = static_cast<uint32_t>(words),
                  .acquire_id = 3,
                  .acquire = -1,
                  .release_id = 2,
                  .release = 1,
                  .next = 1});
    c.push(0, 2, s2mm, 0, 0);
    c.push(0, 2, mm2s, 0, 1);
    program(c, 0, 2, adder(words, add));
    return c;
}

Stream through(uint32_t words) {
    Stream s;
    s.transfer(0, s2mm, 0, 0, {.words = words}, 1, 1, true);
    s.transfer(0, mm2s, 0, 1, {.words = words}, 0);
    return s.sync(0, 0, s2mm, 0);
}

void a_core_between_two_transfers(void**) {
    npusim::Array array({.core_rules = npusim::CoreRules::strict});
    array.load(adding(16, 7).overlay());
    for (uint32_t run_number = 0; run_number < 3; ++run_number) {
        Words in(64, 100 * run_number, 3), out(64), expected(64, 100 * run_number + 7, 3);
        const npusim::RunReport report = run(array, through(64), in, out);
        equal(out.words, expected.words);
        assert_int_equal(report.cores.size(), 1);
        assert_int_equal(report.cores[0].row, 2);
        assert_true(report.cores[0].counters.lock > 0);
        assert_true(report.cores[0].counters.bundles > 4 * 16 * 14);
        assert_true(report.cores[0].counters.cycles <= report.cycles);
    }
}

void a_core_under_jitter(void**) {
    Words expected(64, 107, 3);
    for (uint64_t seed = 0; seed < 60; ++seed) {
        npusim::Array array({.jitter = seed, .core_rules = npusim::CoreRules::strict});
        array.load(adding(16, 7).overlay());
        Words in(64, 100, 3), out(64);
        run(array, through(64), in, out);
        equal(out.words, expected.words);
    }
}

// A core stores into the memory of a neighbour, releases a lock there, and that tile sends.
void a_core_writes_to_its_neighbours(void**) {
    struct Case {
        uint32_t column, row;
        const char* memory;
        int lock;
    };
    // From core (1,3): south, west, north of it.
    for (const Case& to :
         {Case{1, 2, "0x40800", 3}, Case{0, 3, "0x50800", 19}, Case{1, 4, "0x60800", 35}}) {
        Configuration c;
        c.shim_dma(1);
        c.circuit(1, 0, shim::to_north, shim::from_mm2s0);
        c.circuit(1, 1, memory::north_master, memory::south_slave);
        c.circuit(1, 2, core::north_master, core::south_slave);
        c.circuit(1, 3, core::dma, core::south_slave);
        c.lock(1, 3, 0, 1);
        c.descriptor(1, 3, 0,
                     {.address = 0x400,
                      .words = 8,
                      .acquire_id = 0,
                      .acquire = -1,
                      .release_id = 1,
                      .release = 1});
        c.push(1, 3, s2mm, 0, 0);
        c.lock(to.column, to.row, 2, 1);
        program(c, 1, 3, adder(8, 5, to.memory, to.lock, to.lock - 1));
        c.write(to.column, to.row, 0x900, 0xABCD);
        Stream s;
        s.transfer(1, mm2s, 0, 0, {.words = 8}, 0);
        s.poll(address(to.column, to.row, 0x1F030), 1, 0x3F);
        Words in(8, 10, 10), none(1);
        npusim::Array array({.core_rules = npusim::CoreRules::strict});
        array.load(c.overlay(2));
        run(array, s, in, none);
        for (uint32_t i = 0; i < 8; ++i)
            assert_int_equal(array.read(address(to.column, to.row, 0x800 + 4 * i)), 15 + 10 * i);
    }
}

void neighbours_that_are_not_there(void**) {
    for (const auto& [memory, part] :
         {std::pair{"0x50800", "reaches for 0x50800, the memory of a tile that is not there"},
          {"0x40800", "reaches for 0x40800, the memory of a tile that is not there"}}) {
        Configuration c = adding(8, 1);
        program(c, 0, 2, adder(8, 1, memory));
        npusim::Array array;
        array.load(c.overlay());
        Words in(8), out(8);
        stops([&] { run(array, through(8), in, out); }, {"core tile (0,2)", part, "[cycle "});
    }
    Configuration c = adding(8, 1);
    program(c, 0, 2, adder(8, 1, "0x70800", 3));
    npusim::Array array;
    array.load(c.overlay());
    Words in(8), out(8);
    stops([&] { run(array, through(8), in, out); },
          {"its core uses lock 3, of a tile that is not there"});
}

void a_core_in_a_deadlock(void**) {
    Configuration c = adding(8, 1);
    program(c, 0, 2, adder(8, 1, "0x70800", 52)); // releases 4 where 3 is waited for
    npusim::Array array;
    array.load(c.overlay());
    Words in(32), out(32);
    stops(
        [&] { run(array, through(32), in, out); },
        {"deadlock",
         "core of core tile (0,2): waits for lock 2 of core tile (0,2) (value 0) to be at least 1",
         "MM2S 0 of core tile (0,2), descriptor 1: waits for lock 3"});
}

// Cycles of a run whose core makes `loads` in each bundle of a loop of 100.
npusim::Core::Counters loading(const std::string& first, const std::string& second) {
    Configuration c;
    std::string text = "lng:MOVXM_lng_cg p0, #" + first +
                       "\n"
                       "lng:MOVXM_lng_cg p1, #" +
                       second + "\nlda:MOVA_lda_cg r0, #1\n" + nops(2);
    for (int i = 0; i < 100; ++i)
        text += "lda:VLDA_dmw_lda_w_ag_idx_imm wl0, p0, #0; "
                "ldb:VLDB_dmw_ldb_ag_idx_imm wl1, p1, #0\n";
    text += nops(8) + "alu:REL_mLockId_imm #48, r0\nalu:DONE\n" + nops(5);
    program(c, 0, 2, text);
    npusim::Array array;
    array.load(c.overlay());
    Words in(1), out(1);
    Stream s;
    s.poll(address(0, 2, 0x32004), 1u << 20, 1u << 20);
    return run(array, s, in, out).cores.at(0).counters;
}

void two_loads_of_one_bank_take_two_cycles(void**) {
    assert_int_equal(loading("0x70000", "0x74000").bank, 0);
    assert_int_equal(loading("0x78000", "0x7C020").bank, 0);
    assert_int_equal(loading("0x70000", "0x72000").bank, 100);
    assert_int_equal(loading("0x78000", "0x78000").bank, 100);
}

// DMA and core share a bank: one of four cycles goes to a channel that runs at full speed.
void a_channel_takes_its_share_of_a_bank(void**) {
    for (const bool same_bank : {true, false}) {
        Configuration c;
        c.core_loop(0);
        c.descriptor(0, 2, 0, {.address = same_bank ? 0u : 0x8000u, .words = 1024});
        c.push(0, 2, s2mm, 0, 0);
        std::string text = "lng:MOVXM_lng_cg p0, #0x70000\nagain:\n";
        for (int i = 0; i < 16; ++i)
            text += "lda:VLDA_dmw_lda_w_ag_idx_imm wl0, p0, #0\n";
        text += "lng:J_jump_imm @again; lda:VLDA_dmw_lda_w_ag_idx_imm wl0, p0, #0\n";
        for (int i = 0; i < 5; ++i)
            text += "lda:VLDA_dmw_lda_w_ag_idx_imm wl0, p0, #0\n";
        program(c, 0, 2, text);
        npusim::Array array;
        array.load(c.overlay());
        Words in(1024), out(1);
        Stream s;
        s.transfer(0, mm2s, 0, 0, {.words = 1024}, 0);
        s.poll(address(0, 2, 0x1DF00), 1u << 19, 1u << 19);
        s.poll(address(0, 2, 0x1DF00), 0, 1u << 19);
        const npusim::Core::Counters counters = run(array, s, in, out).cores.at(0).counters;
        if (same_bank)
            assert_in_range(counters.bank, 200, 300);
        else
            assert_int_equal(counters.bank, 0);
    }
}

void a_core_that_stops_says_where(void**) {
    Configuration c;
    program(c, 0, 2, "nop\nalu:ADD_add_r_ri r1, r2, #1\n");
    npusim::Array array({.core_rules = npusim::CoreRules::strict});
    array.load(c.overlay());
    Words in(1), out(1);
    Stream s;
    s.poll(address(0, 2, 0x32004), 1u << 20, 1u << 20);
    stops([&] { run(array, s, in, out); }, {"core tile (0,2)", "r2", "never written", "[cycle "});
}

// Reset and start by the instruction stream, as a host would restart a core.
void a_stream_starts_a_core(void**) {
    Configuration c = adding(16, 7);
    c.write(0, 2, 0x32000, 0);
    npusim::Array array;
    array.load(c.overlay());
    Words in(64, 100, 3), out(64), expected(64, 107, 3);
    stops([&] { run(array, through(64), in, out); }, {"deadlock"});
    array.load(c.overlay());
    Stream s;
    s.write(address(0, 2, 0x32000), 2);
    s.write(address(0, 2, 0x32000), 1);
    s.transfer(0, s2mm, 0, 0, {.words = 64}, 1, 1, true);
    s.transfer(0, mm2s, 0, 1, {.words = 64}, 0).sync(0, 0, s2mm, 0);
    run(array, s, in, out);
    equal(out.words, expected.words);
}

// After DONE only a reset lets a core run again, from address 0.
void a_reset_starts_from_the_beginning(void**) {
    Configuration c;
    program(c, 0, 2,
            "lda:MOVA_lda_cg r0, #1\n" + nops(8) + "alu:REL_mLockId_imm #52, r0\n" + nops(4) +
                "alu:DONE\n" + nops(5));
    npusim::Array array;
    array.load(c.overlay());
    Words none(1);
    const Stream until_done = Stream().poll(address(0, 2, 0x32004), 1u << 20, 1u << 20);
    run(array, until_done, none, none);
    assert_int_equal(array.tile(0, 2).locks.value(4), 1);
    for (const uint32_t value : {0u, 1u})
        array.write(address(0, 2, 0x32000), value);
    array.step(100);
    assert_int_equal(array.tile(0, 2).locks.value(4), 1);
    for (const uint32_t value : {2u, 1u})
        array.write(address(0, 2, 0x32000), value);
    run(array, until_done, none, none);
    assert_int_equal(array.tile(0, 2).locks.value(4), 2);
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_core_between_two_transfers),
        cmocka_unit_test(a_core_under_jitter),
        cmocka_unit_test(a_core_writes_to_its_neighbours),
        cmocka_unit_test(neighbours_that_are_not_there),
        cmocka_unit_test(a_core_in_a_deadlock),
        cmocka_unit_test(two_loads_of_one_bank_take_two_cycles),
        cmocka_unit_test(a_channel_takes_its_share_of_a_bank),
        cmocka_unit_test(a_core_that_stops_says_where),
        cmocka_unit_test(a_stream_starts_a_core),
        cmocka_unit_test(a_reset_starts_from_the_beginning),
    };
    return cmocka_run_group_tests_name("array core", tests, nullptr, nullptr);
}
