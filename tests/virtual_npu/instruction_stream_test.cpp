// SPDX-License-Identifier: MIT
// Both published encodings of instruction streams, and streams that are not whole or not known.
#include <random>

#include "rig.hpp"

#include "tools/npusim/explain.hpp"

using namespace rig;
using npusim::InstructionStream;
using npusim::Operation;

namespace {

Stream all_operations(bool compact) {
    Stream s(compact);
    s.write(0x0201D204, 0x80000001);
    s.block_write(0x0001D000, {1, 2, 3, 4, 5, 6, 7, 8});
    s.mask_write(0x0001D200, 0xF00, 0x1F00);
    s.poll(0x0001D220, 5, 0x7);
    s.patch(0x0001D004, 4, 0x123456789A);
    s.sync(1, 0, mm2s, 1, 3);
    return s;
}

void both_encodings(void**) {
    for (const bool compact : {false, true}) {
        const InstructionStream stream = all_operations(compact).parsed();
        assert_int_equal(stream.major, compact ? 1 : 0);
        assert_int_equal(stream.minor, compact ? 0 : 1);
        assert_int_equal(stream.columns, 5);
        assert_int_equal(stream.operations.size(), 6);
        const auto& o = stream.operations;
        assert_true(o[0].kind == Operation::Kind::write);
        assert_int_equal(o[0].at, 16);
        assert_int_equal(o[0].address, 0x0201D204);
        assert_int_equal(o[0].value, 0x80000001);
        assert_true(o[1].kind == Operation::Kind::block_write);
        assert_int_equal(o[1].address, 0x0001D000);
        equal(o[1].words, {1, 2, 3, 4, 5, 6, 7, 8});
        assert_true(o[2].kind == Operation::Kind::mask_write);
        assert_int_equal(o[2].address, 0x0001D200);
        assert_int_equal(o[2].value, 0xF00);
        assert_int_equal(o[2].mask, 0x1F00);
        assert_true(o[3].kind == Operation::Kind::mask_poll);
        assert_int_equal(o[3].value, 5);
        assert_int_equal(o[3].mask, 7);
        assert_true(o[4].kind == Operation::Kind::patch);
        assert_int_equal(o[4].address, 0x0001D004);
        assert_int_equal(o[4].argument, 4);
        assert_true(o[4].plus == 0x123456789A);
        assert_true(o[5].kind == Operation::Kind::sync);
        assert_int_equal(o[5].column, 1);
        assert_int_equal(o[5].row, 0);
        assert_int_equal(o[5].columns, 3);
        assert_int_equal(o[5].rows, 1);
        assert_int_equal(o[5].direction, 1);
        assert_int_equal(o[5].channel, 1);
    }
}

// The same stream byte by byte as mlir-aie prints it (lib/Targets' tests of both versions).
void sizes_of_operations(void**) {
    assert_int_equal(all_operations(false).bytes().size(), 16 + 24 + 48 + 28 + 28 + 48 + 16);
    assert_int_equal(all_operations(true).bytes().size(), 16 + 12 + 44 + 16 + 16 + 24 + 16);
}

void bits_above_an_opcode_do_not_matter(void**) {
    for (const bool compact : {false, true}) {
        std::vector<uint8_t> bytes = all_operations(compact).bytes();
        bytes[17] = 0xAB;
        bytes[19] = 0xCD;
        assert_true(InstructionStream::parse(bytes).operations[0].kind == Operation::Kind::write);
    }
}

// AMD's streams come from structs: what pads them is anything, and masked operations have 32 bytes.
void padding_does_not_matter(void**) {
    const InstructionStream stream =
        Stream()
            .add({0x1D4F3103, 0x77, 0x1D200, 0, 0xF00, 0x1F00, 32, 0x2AD2})
            .add({4, 0x77, 0x1D220, 0, 5, 7, 32, 0})
            .add({0x35323681, 48, 0x123, 0x456, 0, 0x2AD2, 0x1D004, 0, 4, 0, 0x10, 0})
            .parsed();
    assert_int_equal(stream.operations.size(), 3);
    assert_int_equal(stream.operations[0].mask, 0x1F00);
    assert_int_equal(stream.operations[1].at, 48);
    assert_int_equal(stream.operations[1].value, 5);
    assert_int_equal(stream.operations[2].address, 0x1D004);
    assert_int_equal(stream.operations[2].argument, 4);
    assert_true(stream.operations[2].plus == 0x10);
}

void every_truncation_is_noticed(void**) {
    for (const bool compact : {false, true}) {
        const std::vector<uint8_t> whole = all_operations(compact).bytes();
        for (size_t size = 0; size < whole.size(); ++size) {
            const std::vector<uint8_t> part(whole.begin(),
                                            whole.begin() + static_cast<std::ptrdiff_t>(size));
            stops([&] { InstructionStream::parse(part); }, {"instruction stream"});
            if (size < 16)
                continue;
            std::vector<uint8_t> claims = part; // also when the header says so
            for (int byte = 0; byte < 4; ++byte)
                claims[12 + static_cast<size_t>(byte)] = static_cast<uint8_t>(size >> 8 * byte);
            stops([&] { InstructionStream::parse(claims); }, {"nstruction stream"});
        }
    }
}

void operations_that_stop_by_name(void**) {
    const std::pair<uint32_t, const char*> known[] = {
        {2, "BLOCKSET"},      {5, "NOOP"},
        {6, "PREEMPT"},       {8, "LOADPDI"},
        {0x82, "READ_REGS"},  {0x83, "RECORD_TIMER"},
        {0x84, "MERGE_SYNC"}, {0x77, "operation 0x77"}};
    for (const auto& [opcode, name] : known)
        for (const bool compact : {false, true}) {
            Stream s(compact);
            s.write(0x1D204, 0).add({opcode, 16, 0, 0});
            stops([&] { s.parsed(); },
                  {"instruction stream, byte " + std::to_string(compact ? 28 : 40),
                   std::string(name) + " is not modelled"});
        }
}

void headers_that_are_wrong(void**) {
    const auto with = [](size_t at, uint8_t value) {
        std::vector<uint8_t> bytes = all_operations(false).bytes();
        bytes[at] = value;
        return bytes;
    };
    stops([&] { InstructionStream::parse(with(0, 7)); }, {"version 7.1"});
    stops([&] { InstructionStream::parse(with(2, 4)); }, {"not for npu1"});
    stops([&] { InstructionStream::parse(with(3, 5)); }, {"not for npu1"});
    stops([&] { InstructionStream::parse(with(8, 5)); }, {"goes on after its 5 operations"});
    stops([&] { InstructionStream::parse(with(8, 7)); }, {"truncated"});
}

void fields_that_are_wrong(void**) {
    stops([] { Stream().add({0, 0, 0x1D204, 1, 0, 24}).parsed(); }, {"upper half"});
    stops([] { Stream().add({0, 0, 0x1D204, 0, 0, 28}).parsed(); }, {"24 bytes", "28"});
    stops([] { Stream().add({1, 0, 0x1D000, 8, 0}).parsed(); }, {"BLOCKWRITE of 8 bytes"});
    stops([] { Stream().add({1, 0, 0x1D000, 0xFFFFFFFC, 0}).parsed(); }, {"BLOCKWRITE of"});
    stops([] { Stream().add({1, 0, 0x1D000, 18, 0}).parsed(); }, {"BLOCKWRITE of 18 bytes"});
    stops([] { Stream().add({0x80, 16, 2, 0x10100}).parsed(); }, {"direction 2"});
    stops(
        [] {
            Stream().add({0x81, 48, 0, 0, 1, 0, 0x1D004, 0, 0, 0, 0, 0}).parsed();
        },
        {"DDR_PATCH of action 1"});
}

// What a stream does to a small array must stop by name too.
void registers_that_are_wrong(void**) {
    Configuration c;
    c.memory_loop(0);
    npusim::Array array;
    array.load(c.overlay());
    Words in(4), out(4);
    const auto stops_with = [&](const Stream& s, const std::vector<std::string>& parts) {
        stops([&] { run(array, s, in, out); }, parts);
    };
    stops_with(Stream().write(address(1, 0, 0x1D204), 0),
               {"byte 16", "no tile (1,0)", "1 columns"});
    stops_with(Stream().write(address(0, 7, 0), 0), {"no tile (0,7)"});
    stops_with(Stream().write(address(0, 0, 0x20000), 0),
               {"register 0x20000 of shim (0,0) is not modelled"});
    stops_with(Stream().write(address(0, 2, 0x18000), 0), {"register 0x18000 of core tile (0,2)"});
    stops_with(Stream().write(address(0, 0, 0x1D220), 0), {"read only"});
    stops_with(Stream().write(address(0, 2, 0x340D0), 1), {"tracing is not modelled"});
    stops_with(Stream().write(address(0, 2, 0x60010), 1), {"reset of a module is not modelled"});
    stops_with(Stream().write(address(0, 2, 0x102), 1), {"not aligned"});
    stops_with(Stream().write(address(0, 2, 0x32000), 8), {"core control 0x8 is not modelled"});
    stops_with(Stream().poll(address(0, 2, 0x20000), 0, 1), {"reading register 0x20000"});
    stops_with(Stream().poll(address(0, 2, 0x43BFC), 0, 1), {"poll of a lock request"});
    stops_with(Stream().write(address(0, 2, 0x43BFC), 0), {"0x43bfc", "read only"});
    stops_with(Stream().block_write(address(0, 2, 0xFFFC), {1, 2}), {"past the end of its memory"});
    stops_with(Stream().block_write(address(0, 1, 0x7FFFC), {1, 2}),
               {"past the end of its memory"});
    stops_with(Stream().block_write(address(0, 2, 0x23FFC), {1, 2}),
               {"past the end of its memory"});
    stops_with(Stream().block_write(address(0, 0, 0x1D21C), {0, 0}), {"0x1d220", "read only"});
    stops_with(Stream().patch(address(0, 0, 0x1D008), 0, 0), {"DDR_PATCH", "0x1d008"});
    stops_with(Stream().patch(address(0, 1, 0xA0004), 0, 0), {"DDR_PATCH"});
    stops_with(Stream().patch(address(0, 0, 0x1D004), 0, 2), {"not a multiple of 4"});
    stops_with(Stream().patch(address(0, 0, 0x1D004), 2, 0), {"buffer 2, which was not given"});
    stops_with(Stream().write(address(0, 2, 0x1F000), 64),
               {"lock 0 of core tile (0,2) is set to 64"});
}

void text(void**) {
    const std::string shown = npusim::explain(all_operations(true).parsed());
    for (const char* part :
         {"version 1.0", "6 operations", "16: WRITE      0x201d204", "shim (1,0)",
          "BLOCKWRITE 0x1d000", "= 0x1 0x2 0x3", "MASKWRITE  0x1d200", "0xf00 of 0x1f00",
          "MASKPOLL", "buffer 4 + 0x123456789a", "MM2S 1 of columns 1 to 3"})
        if (shown.find(part) == std::string::npos)
            fail_msg("'%s' is not in:\n%s", part, shown.c_str());
}

// Random damage: an error or a stream, never a crash.
void damaged_streams(void**) {
    std::mt19937 random(7);
    for (const bool compact : {false, true}) {
        const std::vector<uint8_t> whole = all_operations(compact).bytes();
        for (int i = 0; i < 20000; ++i) {
            std::vector<uint8_t> bytes = whole;
            for (unsigned n = 1 + random() % 4; n != 0; --n)
                bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
            bytes.resize(random() % 8 == 0 ? random() % bytes.size() : bytes.size());
            try {
                const InstructionStream stream = InstructionStream::parse(bytes);
                assert_true(stream.operations.size() <= bytes.size() / 12);
            } catch (const npusim::SimulationError&) {
            }
        }
    }
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(both_encodings),
        cmocka_unit_test(sizes_of_operations),
        cmocka_unit_test(bits_above_an_opcode_do_not_matter),
        cmocka_unit_test(padding_does_not_matter),
        cmocka_unit_test(every_truncation_is_noticed),
        cmocka_unit_test(operations_that_stop_by_name),
        cmocka_unit_test(headers_that_are_wrong),
        cmocka_unit_test(fields_that_are_wrong),
        cmocka_unit_test(registers_that_are_wrong),
        cmocka_unit_test(text),
        cmocka_unit_test(damaged_streams),
    };
    return cmocka_run_group_tests_name("instruction stream", tests, nullptr, nullptr);
}
