// SPDX-License-Identifier: MIT
// Configurations that hardware would get silently wrong, and damage at random.
#include <random>

#include "rig.hpp"

#include "tools/npusim/lock.hpp"

using namespace rig;

namespace {

// A working loop through a tile, for `change` to break.
struct Loop {
    uint32_t row = 1;
    Descriptor in{.words = 32}, out{.words = 32};
    Configuration configuration() const {
        Configuration c;
        row == 1 ? c.memory_loop(0) : c.core_loop(0);
        const int own = row == 1 ? 64 : 0;
        Descriptor first = in, second = out;
        if (row == 1) {
            first.address += 0x80000;
            second.address += 0x80000;
        }
        if (first.release == 0) {
            first.release_id = own + 1;
            first.release = 1;
        }
        if (second.acquire_id < 0) {
            second.acquire_id = own + 1;
            second.acquire = -1;
        }
        c.descriptor(0, row, 0, first);
        c.descriptor(0, row, 1, second);
        return c;
    }
};

Stream loop_stream(uint32_t words = 32) {
    Stream s;
    s.transfer(0, s2mm, 0, 0, {.words = words}, 1, 1, true);
    s.transfer(0, mm2s, 0, 1, {.words = words}, 0);
    return s.sync(0, 0, s2mm, 0);
}

void run_stops(const Configuration& c, const Stream& s, const std::vector<std::string>& parts) {
    stops(
        [&] {
            Words in(32, 1, 1), out(32);
            npusim::Array array({.cycle_limit = 100000});
            array.load(c.overlay());
            run(array, s, in, out);
        },
        parts);
}

void loop_stops(const Loop& loop, const std::vector<std::string>& parts) {
    Configuration c = loop.configuration();
    c.push(0, loop.row, s2mm, 0, 0);
    c.push(0, loop.row, mm2s, 0, 1);
    run_stops(c, loop_stream(), parts);
}

void the_unbroken_loop_runs(void**) {
    for (const uint32_t row : {1u, 2u}) {
        Configuration c = Loop{.row = row}.configuration();
        c.push(0, row, s2mm, 0, 0);
        c.push(0, row, mm2s, 0, 1);
        Words in(32, 1, 1), out(32);
        npusim::Array array;
        array.load(c.overlay());
        run(array, loop_stream(), in, out);
        equal(out.words, in.words);
    }
}

void invalid_descriptors(void**) {
    loop_stops({.row = 2, .in = {.words = 32, .valid = false}},
               {"S2MM 0 of core tile (0,2), descriptor 0: it is not valid", "[cycle "});
    loop_stops({.row = 1, .out = {.words = 32, .valid = false}},
               {"MM2S 0 of memory tile (0,1), descriptor 1: it is not valid"});
    loop_stops({.row = 2, .in = {.words = 0}}, {"a length of 0"});
    loop_stops({.row = 1, .in = {.words = 32, .dimensions = {{.wrap = 4, .before = 1}}}},
               {"S2MM 0 of memory tile (0,1)", "zero padding of what is received"});
    Configuration c = Loop{.row = 2}.configuration();
    c.write(0, 2, 0x1D000 + 16, 5u << 19 | 2u << 13); // iteration 5 of 3
    c.push(0, 2, s2mm, 0, 0);
    run_stops(c, loop_stream(), {"iteration 5 of 3"});
    Configuration compressed = Loop{.row = 2}.configuration();
    compressed.write(0, 2, 0x1D004, 1u << 31);
    compressed.push(0, 2, s2mm, 0, 0);
    run_stops(compressed, loop_stream(), {"descriptor 0: compression is not modelled"});
}

void descriptors_out_of_range(void**) {
    Configuration c = Loop{}.configuration();
    c.push(0, 1, s2mm, 0, 50);
    run_stops(c, loop_stream(), {"S2MM 0 of memory tile (0,1), descriptor 50: there are 48"});
    for (const uint32_t channel : {0u, 1u}) {
        Configuration wrong = Loop{}.configuration();
        wrong.push(0, 1, s2mm, channel, channel == 0 ? 24 : 23);
        run_stops(wrong, loop_stream(),
                  {channel == 0 ? "even channels of a memory tile use descriptors 0 to 23"
                                : "odd channels of a memory tile use descriptors 24 to 47"});
    }
}

void transfers_out_of_memory(void**) {
    loop_stops(
        {.row = 2, .in = {.address = 0xFFF0, .words = 32}},
        {"S2MM 0 of core tile (0,2), descriptor 0: the transfer is outside of memory, at 0x10000"});
    loop_stops({.row = 2, .out = {.address = 0xFFF0, .words = 32}}, {"MM2S 0", "at 0x10000"});
    loop_stops({.row = 1, .in = {.address = 0x7FFF0, .words = 32}},
               {"S2MM 0 of memory tile (0,1)", "outside of memory, at 0x100000"});
    Loop west{.row = 1};
    west.in.address = 0x10 - 0x80000ull;
    loop_stops(west, {"outside of memory, at 0x10"});
    Configuration far = Loop{}.configuration();
    far.descriptor(0, 1, 0, {.address = 0x180000, .words = 4});
    far.push(0, 1, s2mm, 0, 0);
    run_stops(far, loop_stream(), {"outside of memory, at 0x180000"});
}

void transfers_out_of_buffers(void**) {
    Configuration c = Loop{}.configuration();
    c.push(0, 1, s2mm, 0, 0);
    c.push(0, 1, mm2s, 0, 1);
    run_stops(c, loop_stream(33), {"MM2S 0 of shim (0,0), descriptor 1", "outside of the buffers"});
    Stream back;
    back.transfer(0, s2mm, 0, 0, {.address = 4, .words = 32}, 1, 1, true);
    back.transfer(0, mm2s, 0, 1, {.words = 32}, 0).sync(0, 0, s2mm, 0);
    run_stops(c, back, {"S2MM 0 of shim (0,0), descriptor 0", "outside of the buffers"});
    Stream before;
    before.transfer(0, mm2s, 0, 1, {.address = uint64_t{0} - 4, .words = 4}, 0);
    before.sync(0, 0, s2mm, 0);
    run_stops(c, before, {"outside of the buffers"});
}

void channels_that_do_not_reach_neighbours(void**) {
    for (const uint32_t channel : {4u, 5u}) {
        const uint32_t id = channel == 4 ? 0 : 24;
        Configuration c;
        c.memory_loop(1);
        c.circuit(1, 1, memory::dma + channel, memory::south_slave + 2);
        c.circuit(1, 0, shim::to_north + 2, shim::from_mm2s0);
        c.descriptor(1, 1, id, {.address = 0, .words = 4});
        c.push(1, 1, s2mm, channel, id);
        const auto sends = [&](const std::vector<std::string>& parts) {
            Words in(32), out(32);
            Stream s;
            s.transfer(1, mm2s, 0, 0, {.words = 4}, 0).sync(1, 0, s2mm, 0);
            npusim::Array array;
            array.load(c.overlay(3));
            stops([&] { run(array, s, in, out); }, parts);
        };
        sends({"do not reach their neighbours' memory"});
        c.descriptor(1, 1, id, {.address = 0x80000, .words = 4, .acquire_id = 128, .acquire = -1});
        sends({"do not reach their neighbours' locks"});
    }
}

void locks_overflow_and_underflow(void**) {
    npusim::Locks locks("core tile (1,2)", 16);
    locks.set(3, 63);
    stops([&] { locks.release(3, 1); }, {"overflow of lock 3 of core tile (1,2) (value 63)"});
    locks.set(3, 1);
    stops([&] { locks.release(3, -2); }, {"underflow of lock 3 of core tile (1,2) (value 1)"});
    assert_int_equal(locks.value(3), 1);
    assert_false(locks.acquire(3, -2));
    assert_false(locks.acquire(3, 0));
    assert_int_equal(locks.value(3), 1);
    assert_true(locks.acquire(3, -1));
    assert_true(locks.acquire(3, 0));
    stops([&] { locks.set(0, 64); }, {"counts to 63"});

    Loop loop{.row = 2};
    Configuration c = loop.configuration();
    c.lock(0, 2, 1, 63);
    c.push(0, 2, s2mm, 0, 0);
    run_stops(c, loop_stream(), {"overflow of lock 1 of core tile (0,2)", "[cycle "});
}

void locks_that_do_not_exist(void**) {
    loop_stops({.row = 1, .in = {.words = 32, .acquire_id = 200, .acquire = -1}},
               {"lock 200 does not exist"});
    loop_stops({.row = 1, .in = {.words = 32, .acquire_id = 3, .acquire = -1}},
               {"lock 3 is of a tile outside of the array"});
}

void a_lost_release_is_a_deadlock(void**) {
    Loop loop{.row = 2};
    Configuration c = loop.configuration();
    c.descriptor(0, 2, 0, {.words = 32}); // releases nothing
    c.push(0, 2, s2mm, 0, 0);
    c.push(0, 2, mm2s, 0, 1);
    run_stops(c, loop_stream(),
              {"deadlock", "MM2S 0 of core tile (0,2), descriptor 1: waits for lock 1"});
}

void channel_modes(void**) {
    const auto mode = [](uint32_t row, Direction direction, uint32_t value,
                         const std::vector<std::string>& parts) {
        Configuration c;
        c.write(0, row, control_offset(kind_of(row), direction, 0), value);
        npusim::Array array;
        stops([&] { array.load(c.overlay()); }, parts);
    };
    for (const uint32_t row : {0u, 1u, 2u}) {
        mode(row, s2mm, 1u << 16, {"S2MM 0", "finish on TLAST are not modelled"});
        mode(row, s2mm, 1u << 3, {"S2MM 0", "out-of-order transfers are not modelled"});
        if (row != 0) {
            mode(row, s2mm, 1u << 4, {"compression is not modelled"});
            mode(row, mm2s, 1u << 4, {"MM2S 0", "compression is not modelled"});
        }
    }
    mode(0, s2mm, 2, {"pausing"});
    mode(0, mm2s, 4, {"pausing"});
}

void queues(void**) {
    Configuration c = Loop{.row = 2}.configuration();
    for (int i = 0; i < 5; ++i)
        c.push(0, 2, s2mm, 0, 0);
    npusim::Array array;
    stops([&] { array.load(c.overlay()); },
          {"CDO command", "the queue of S2MM 0 of core tile (0,2) is full"});
    Configuration bits;
    bits.write(0, 2, 0x1DE04, 0x100);
    stops([&] { array.load(bits.overlay()); }, {"a push of 0x100 has bits that are not known"});
    Configuration reset;
    reset.write(0, 2, 0x1DE00, 2);
    reset.write(0, 2, 0x1DE04, 0);
    stops([&] { array.load(reset.overlay()); }, {"while the channel is in reset"});
}

// The order of a public CDO: reset on, off, then pushes.
void a_reset_empties_a_channel(void**) {
    Configuration c = Loop{.row = 2}.configuration();
    for (int i = 0; i < 4; ++i)
        c.push(0, 2, s2mm, 0, 9);
    c.write(0, 2, 0x1DE00, 2);
    c.write(0, 2, 0x1DE00, 0);
    c.push(0, 2, s2mm, 0, 0);
    c.push(0, 2, mm2s, 0, 1);
    Words in(32, 1, 1), out(32);
    npusim::Array array;
    array.load(c.overlay());
    run(array, loop_stream(), in, out);
    equal(out.words, in.words);
}

void overlays_that_do_not_fit(void**) {
    npusim::Array array({.jitter = 1});
    Configuration c;
    Words none(1);
    stops([&] { run(array, Stream(), none, none); }, {"no overlay is loaded"});
    stops([&] { array.step(1); }, {"no overlay is loaded"});
    stops([&] { array.load(c.overlay(0)); }, {"0 columns wide"});
    stops([&] { array.load(c.overlay(6)); }, {"6 columns wide"});
    c.write(2, 0, 0x14000, 1);
    stops([&] { array.load(c.overlay(2)); }, {"CDO command 0", "no tile (2,0)"});
    array.load(c.overlay(5));
    Configuration far;
    far.commands.push_back(CdoCommand::write(uint64_t{1} << 32, 0));
    stops([&] { array.load(far.overlay()); }, {"0x100000000 is not in the array"});
    Configuration other;
    other.commands.push_back({});
    other.commands.back().opcode = 0x104;
    stops([&] { array.load(other.overlay()); }, {"CDO command 0: opcode 0x104 is not modelled"});
}

void a_cycle_limit(void**) {
    Configuration c = Loop{}.configuration();
    Stream s;
    s.transfer(0, s2mm, 0, 0, {.words = 4}, 1, 1, true).sync(0, 0, s2mm, 0);
    Words in(4), out(4);
    npusim::Array array({.cycle_limit = 500});
    array.load(c.overlay());
    stops([&] { run(array, s, in, out); }, {"not over after 500 cycles", "controller: stands at"});
}

// Random writes and pushes: an error or an end, never a crash, and never for long.
void damage_at_random(void**) {
    std::mt19937 random(3);
    for (int i = 0; i < 3000; ++i) {
        const uint32_t row = 1 + random() % 2;
        Configuration c = Loop{.row = row}.configuration();
        c.push(0, row, s2mm, 0, 0);
        c.push(0, row, mm2s, 0, 1);
        for (unsigned n = 1 + random() % 3; n != 0; --n) {
            CdoCommand& command = c.commands[random() % c.commands.size()];
            uint32_t& value = command.words.empty()
                                  ? command.value
                                  : command.words[random() % command.words.size()];
            value ^= 1u << random() % 32;
            if (random() % 8 == 0)
                command.address ^= 1u << random() % 27;
        }
        Words in(32, 1, 1), out(32);
        npusim::Array array({.cycle_limit = 20000});
        try {
            array.load(c.overlay());
            run(array, loop_stream(), in, out);
        } catch (const npusim::SimulationError&) {
        }
    }
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_unbroken_loop_runs),
        cmocka_unit_test(invalid_descriptors),
        cmocka_unit_test(descriptors_out_of_range),
        cmocka_unit_test(transfers_out_of_memory),
        cmocka_unit_test(transfers_out_of_buffers),
        cmocka_unit_test(channels_that_do_not_reach_neighbours),
        cmocka_unit_test(locks_overflow_and_underflow),
        cmocka_unit_test(locks_that_do_not_exist),
        cmocka_unit_test(a_lost_release_is_a_deadlock),
        cmocka_unit_test(channel_modes),
        cmocka_unit_test(queues),
        cmocka_unit_test(a_reset_empties_a_channel),
        cmocka_unit_test(overlays_that_do_not_fit),
        cmocka_unit_test(a_cycle_limit),
        cmocka_unit_test(damage_at_random),
    };
    return cmocka_run_group_tests_name("errors", tests, nullptr, nullptr);
}
