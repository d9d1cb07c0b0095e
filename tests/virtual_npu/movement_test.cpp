// SPDX-License-Identifier: MIT
// Data through the simulated array: each form of a transfer in each tile, repeats, chains,
// iterations, locks, tokens, queues, against plain loops.
#include <algorithm>
#include <numeric>

#include "rig.hpp"

using namespace rig;

namespace {

constexpr uint32_t garbage = 0xDEADBEEF;

// The words of a linear host buffer in the order of a descriptor without zeros.
std::vector<uint32_t> gathered(const std::vector<uint32_t>& from, const Descriptor& bd) {
    std::array<Dimension, 4> d{};
    std::copy(bd.dimensions.begin(), bd.dimensions.end(), d.begin());
    std::vector<uint32_t> result;
    std::array<uint32_t, 4> at{};
    while (result.size() < bd.words) {
        size_t address = bd.address / 4;
        for (size_t i = 0; i < 4; ++i)
            address += size_t{at[i]} * d[i].step;
        result.push_back(from[address]);
        for (size_t i = 0; i < 4; ++i) {
            if (d[i].wrap == 0 || ++at[i] < d[i].wrap) {
                at[i] += d[i].wrap == 0;
                break;
            }
            at[i] = 0;
        }
    }
    return result;
}

std::vector<uint32_t> scattered(size_t size, const std::vector<uint32_t>& words,
                                const Descriptor& bd) {
    std::vector<uint32_t> index(size), result(size, garbage);
    std::iota(index.begin(), index.end(), 0);
    const std::vector<uint32_t> to = gathered(index, bd);
    for (size_t i = 0; i < to.size(); ++i)
        result[to[i]] = words[i];
    return result;
}

const Descriptor shim_form{
    .address = 24,
    .words = 96,
    .dimensions = {{.wrap = 4, .step = 2}, {.wrap = 6, .step = 9}, {.step = 70}}};
const Descriptor memory_form{
    .address = 16,
    .words = 96,
    .dimensions = {
        {.wrap = 2, .step = 3}, {.wrap = 4, .step = 7}, {.wrap = 3, .step = 31}, {.step = 101}}};
const Descriptor core_form{
    .address = 8, .words = 96, .dimensions = {{.wrap = 8}, {.wrap = 3, .step = 20}, {.step = 64}}};

// 96 words from host to a tile's memory and back; either end and either side of the memory may be
// shaped. Locks order the two halves.
struct Loop {
    bool core = false; // through core tile (0,2), else memory tile (0,1)
    Descriptor read{.words = 96}, scatter{.words = 96}, gather{.words = 96}, write{.words = 96};

    uint32_t row() const { return core ? 2 : 1; }
    int lock(int id) const { return core ? id : 64 + id; }
    Configuration configuration() const {
        Configuration c;
        core ? c.core_loop(0) : c.memory_loop(0);
        Descriptor in = scatter, out = gather;
        in.release_id = lock(1);
        in.release = 1;
        out.acquire_id = lock(1);
        out.acquire = -1;
        if (!core) { // own memory is in the middle of the three that a memory tile reaches
            in.address += 0x80000;
            out.address += 0x80000;
        }
        c.descriptor(0, row(), 0, in);
        c.descriptor(0, row(), 1, out);
        c.push(0, row(), s2mm, 0, 0);
        c.push(0, row(), mm2s, 0, 1);
        return c;
    }
    Stream stream() const {
        Stream s;
        s.transfer(0, s2mm, 0, 0, write, 1, 1, true);
        s.transfer(0, mm2s, 0, 1, read, 0);
        return s.sync(0, 0, s2mm, 0);
    }
};

std::vector<uint32_t> moved(const Loop& loop, npusim::ArrayOptions options = {}) {
    Words in(2000, 1000, 3), out(2000, garbage);
    npusim::Array array(options);
    array.load(loop.configuration().overlay());
    run(array, loop.stream(), in, out);
    return out.words;
}

std::vector<uint32_t> first_words(size_t count) {
    return std::vector<uint32_t>(Words(count, 1000, 3).words);
}

void linear_through(bool core) {
    Loop loop;
    loop.core = core;
    std::vector<uint32_t> expected(2000, garbage);
    const std::vector<uint32_t> words = first_words(96);
    std::copy(words.begin(), words.end(), expected.begin());
    equal(moved(loop), expected);
}

void linear_through_memory(void**) {
    linear_through(false);
}

void linear_through_core(void**) {
    linear_through(true);
}

void shim_reads_in_three_dimensions(void**) {
    Loop loop;
    loop.read = shim_form;
    equal(moved(loop), scattered(2000, gathered(first_words(2000), shim_form), {.words = 96}));
}

void shim_writes_in_three_dimensions(void**) {
    Loop loop;
    loop.write = shim_form;
    equal(moved(loop), scattered(2000, first_words(96), shim_form));
}

// What was scattered into a tile's memory comes back when it is gathered in the same form, and in
// the order of that form when it is read by a line.
void round_trip(bool core, const Descriptor& form) {
    Loop loop;
    loop.core = core;
    loop.scatter = loop.gather = form;
    equal(moved(loop), scattered(2000, first_words(96), {.words = 96}));

    loop.gather = {.words = 400};
    loop.write = {.words = 400};
    const std::vector<uint32_t> memory = scattered(400, first_words(96), form);
    std::vector<uint32_t> got = moved(loop);
    for (size_t i = 0; i < memory.size(); ++i)
        if (memory[i] != garbage)
            assert_int_equal(got[i], memory[i]);

    loop.scatter = {.words = 400};
    loop.read = {.words = 400};
    loop.gather = form;
    loop.write = {.words = 96};
    equal(moved(loop), scattered(2000, gathered(first_words(400), form), {.words = 96}));
}

void memory_tile_in_four_dimensions(void**) {
    round_trip(false, memory_form);
}

void core_tile_in_three_dimensions(void**) {
    round_trip(true, core_form);
}

void memory_tile_sends_zeros(void**) {
    Loop loop;
    loop.gather = {.words = 6 * 5 * 2,
                   .dimensions = {{.wrap = 4, .before = 1, .after = 1},
                                  {.wrap = 3, .step = 4, .before = 2},
                                  {.step = 12}}};
    loop.write.words = 60;
    std::vector<uint32_t> expected(2000, garbage);
    const std::vector<uint32_t> from = first_words(96);
    for (uint32_t plane = 0, i = 0; plane < 2; ++plane)
        for (uint32_t row = 0; row < 5; ++row)
            for (uint32_t column = 0; column < 6; ++column, ++i)
                expected[i] = row < 2 || column < 1 || column > 4
                                  ? 0
                                  : from[plane * 12 + (row - 2) * 4 + column - 1];
    equal(moved(loop), expected);
}

// A push's repeat count runs the whole chain again; each execution moves a descriptor's iteration.
void repeats_chains_and_iterations(void**) {
    Configuration c;
    c.memory_loop(0);
    c.descriptor(0, 1, 0, {.address = 0x80000, .words = 48, .release_id = 65, .release = 1});
    c.descriptor(0, 1, 1, {.address = 0x80000, .words = 48, .acquire_id = 65, .acquire = -1});
    c.push(0, 1, s2mm, 0, 0);
    c.push(0, 1, mm2s, 0, 1);
    const Descriptor first{
        .address = 0, .words = 4, .iterations = 3, .iteration_step = 10, .next = 2};
    const Descriptor second{.address = 400, .words = 8, .iterations = 2, .iteration_step = 100};
    Stream s;
    s.transfer(0, s2mm, 0, 0, {.words = 48}, 1, 1, true);
    s.block_write(address(0, 0, descriptor_offset(Kind::shim, 2)), encode(Kind::shim, second));
    s.patch(address(0, 0, descriptor_offset(Kind::shim, 2) + 4), 0, second.address);
    s.transfer(0, mm2s, 0, 1, first, 0, 4);
    s.sync(0, 0, s2mm, 0);

    Words in(2000, 1000, 3), out(48, garbage);
    npusim::Array array;
    array.load(c.overlay());
    run(array, s, in, out);
    std::vector<uint32_t> expected;
    for (uint32_t repeat = 0; repeat < 4; ++repeat) {
        for (uint32_t i = 0; i < 4; ++i)
            expected.push_back(in.words[repeat % 3 * 10 + i]);
        for (uint32_t i = 0; i < 8; ++i)
            expected.push_back(in.words[100 + repeat % 2 * 100 + i]);
    }
    equal(out.words, expected);
}

// Two buffers between a producer and a consumer that both go round for ever.
Configuration ring(uint32_t words) {
    Configuration c;
    c.core_loop(0);
    c.lock(0, 2, 0, 2);
    for (uint32_t i = 0; i < 2; ++i) {
        const uint64_t at = 0x400 + 0x400 * i;
        const int other = static_cast<int>(1 - i);
        c.descriptor(0, 2, i,
                     {.address = at,
                      .words = words,
                      .acquire_id = 0,
                      .acquire = -1,
                      .release_id = 1,
                      .release = 1,
                      .next = other});
        c.descriptor(0, 2, 2 + i,
                     {.address = at,
                      .words = words,
                      .acquire_id = 1,
                      .acquire = -1,
                      .release_id = 0,
                      .release = 1,
                      .next = 2 + other});
    }
    c.push(0, 2, s2mm, 0, 0);
    c.push(0, 2, mm2s, 0, 2);
    return c;
}

Stream through_ring(uint32_t words) {
    Stream s;
    s.transfer(0, s2mm, 0, 0, {.words = words}, 1, 1, true);
    s.transfer(0, mm2s, 0, 1, {.words = words}, 0);
    return s.sync(0, 0, s2mm, 0);
}

void a_ring_of_two_buffers(void**) {
    Words in(1600, 7, 11), out(1600);
    npusim::Array array;
    array.load(ring(100).overlay());
    const npusim::RunReport report = run(array, through_ring(1600), in, out);
    equal(out.words, in.words);
    // The stream carries a word a cycle; what is lost is the way and the change of descriptors.
    assert_in_range(report.cycles, 1600, 1600 + 16 * 8 + 800);
    assert_int_equal(report.pushes, 2);
    assert_int_equal(report.synchronisations, 1);
    assert_int_equal(report.operations, 7);
    assert_int_equal(report.tokens_left, 0);
}

void again_without_a_load(void**) {
    npusim::Array array;
    array.load(ring(100).overlay());
    for (uint32_t i = 0; i < 5; ++i) {
        Words in(300, 1000 * i, 1), out(300);
        run(array, through_ring(300), in, out);
        equal(out.words, in.words);
    }
}

void two_overlays_in_turn(void**) {
    npusim::Array array;
    Loop loop;
    for (uint32_t i = 0; i < 4; ++i) {
        Words in(300, 1000 * i, 1), out(300);
        if (i % 2 == 0) {
            array.load(ring(100).overlay());
            run(array, through_ring(300), in, out);
            equal(out.words, in.words);
        } else {
            array.load(loop.configuration().overlay(2));
            run(array, loop.stream(), in, out);
            out.words.resize(96);
            in.words.resize(96);
            equal(out.words, in.words);
        }
    }
}

// A value of 0 or more waits for exactly it, and takes it.
void acquires_that_wait_for_a_value(void**) {
    Loop loop;
    Configuration c = loop.configuration();
    Descriptor out = loop.gather;
    out.address = 0x80000;
    out.acquire_id = 65;
    out.acquire = 3;
    c.descriptor(0, 1, 1, out);
    Stream s = loop.stream();
    npusim::Array array;
    Words in(96, 5, 1), result(96);
    array.load(c.overlay());
    stops([&] { run(array, s, in, result); },
          {"deadlock", "lock 1 of memory tile (0,1) (value 1) to be 3"});

    c.lock(0, 1, 1, 2);
    array.load(c.overlay());
    run(array, s, in, result);
    equal(result.words, in.words);
    assert_int_equal(array.tile(0, 1).locks.value(1), 0);
}

// Channels 0 to 3 of a memory tile reach the memory and the locks of both neighbours.
void memory_tiles_reach_their_neighbours(void**) {
    for (const bool east : {false, true}) {
        const uint32_t column = 1;
        Configuration c;
        c.memory_loop(column);
        const uint64_t there = east ? 0x100000 : 0;
        const int lock = east ? 128 + 5 : 5;
        c.descriptor(column, 1, 0,
                     {.address = there + 0x100, .words = 32, .release_id = lock, .release = 1});
        c.descriptor(column, 1, 1,
                     {.address = there + 0x100, .words = 32, .acquire_id = lock, .acquire = -1});
        c.push(column, 1, s2mm, 0, 0);
        c.push(column, 1, mm2s, 0, 1);
        Stream s;
        s.transfer(column, s2mm, 0, 0, {.words = 32}, 1, 1, true);
        s.transfer(column, mm2s, 0, 1, {.words = 32}, 0);
        s.sync(column, 0, s2mm, 0);
        Words in(32, 900, 1), out(32);
        npusim::Array array;
        array.load(c.overlay(3));
        run(array, s, in, out);
        equal(out.words, in.words);
        const npusim::Tile& neighbour = array.tile(east ? 2 : 0, 1);
        assert_memory_equal(neighbour.memory.data() + 0x100, in.words.data(), 128);
    }
}

// The fifth task waits until the first has left the queue: the controller stands, and that counts.
void a_full_queue_stalls_the_controller(void**) {
    npusim::Array array;
    array.load(ring(100).overlay());
    Stream s;
    for (uint32_t i = 0; i < 7; ++i) {
        s.transfer(0, s2mm, 0, i, {.address = 400 * i, .words = 100}, 1, 1, i == 6);
        s.transfer(0, mm2s, 0, 7 + i, {.address = 400 * i, .words = 100}, 0);
    }
    s.sync(0, 0, s2mm, 0);
    Words in(700, 1, 1), out(700);
    const npusim::RunReport report = run(array, s, in, out);
    equal(out.words, in.words);
    assert_int_equal(report.pushes, 14);
    assert_true(report.queue_full > 100);
}

void tokens_of_several_columns(void**) {
    Configuration c;
    Stream s;
    for (uint32_t column = 0; column < 4; ++column) {
        c.memory_loop(column);
        c.descriptor(column, 1, 0,
                     {.address = 0x80000, .words = 16, .release_id = 65, .release = 1});
        c.descriptor(column, 1, 1,
                     {.address = 0x80000, .words = 16, .acquire_id = 65, .acquire = -1});
        c.push(column, 1, s2mm, 0, 0);
        c.push(column, 1, mm2s, 0, 1);
        s.transfer(column, s2mm, 0, 0, {.address = 64 * column, .words = 16}, 1, 1, true);
        s.transfer(column, mm2s, 0, 1, {.address = 64 * column, .words = 16}, 0, 1, true);
    }
    s.sync(0, 0, s2mm, 0, 4).sync(2, 0, mm2s, 0, 2);
    Words in(64, 3, 5), out(64);
    npusim::Array array;
    array.load(c.overlay(4));
    const npusim::RunReport report = run(array, s, in, out);
    equal(out.words, in.words);
    assert_int_equal(report.synchronisations, 2);
    assert_int_equal(report.tokens_left, 2);
    assert_true(report.last_output != 0 && report.last_output <= report.cycles);
}

void streams_poll_and_write_registers(void**) {
    npusim::Array array;
    array.load(ring(100).overlay());
    Words in(100, 1, 1), out(100);
    Stream s;
    s.write(address(0, 2, 0x7F00), 0x12345678);
    s.mask_write(address(0, 2, 0x7F00), 0xFFFFFFFF, 0x0000FF00);
    s.poll(address(0, 2, 0x7F00), 0x1234FF78, 0xFFFFFFFF);
    s.transfer(0, s2mm, 0, 0, {.words = 100}, 1);
    s.transfer(0, mm2s, 0, 1, {.words = 100}, 0);
    // Until the channel that writes the result runs no more: its status is idle, its queue empty.
    s.poll(address(0, 0, 0x1D220), 0, 0x00780003);
    const npusim::RunReport report = run(array, s, in, out);
    equal(out.words, in.words);
    assert_true(report.waited > 100);
    assert_int_equal(report.synchronisations, 0);
}

// Polling a lock's request register takes or releases it: lock id, bit 9 to take, 7 bits of value.
void streams_request_locks(void**) {
    const auto request = [](uint32_t row, uint32_t lock, bool acquire, int value) {
        return address(0, row,
                       (row == 1 ? 0xD0000 : 0x40000) + lock * 0x400 + (acquire ? 0x200 : 0) +
                           ((static_cast<uint32_t>(value) & 0x7F) << 2));
    };
    for (const uint32_t row : {0u, 1u, 2u}) {
        const uint32_t last = row == 1 ? 63 : 15;
        Configuration c;
        c.lock(0, row, last, 5);
        npusim::Array array;
        array.load(c.overlay());
        Words none(1);
        run(array, Stream().poll(request(row, last, true, -2), 1, 1), none, none);
        assert_int_equal(array.tile(0, row).locks.value(last), 3);
        run(array, Stream().poll(request(row, last, false, 7), 1, 1), none, none);
        assert_int_equal(array.tile(0, row).locks.value(last), 10);
        stops([&] { run(array, Stream().poll(request(row, last, true, -11), 1, 1), none, none); },
              {"deadlock", "controller: stands at byte 16, MASKPOLL"});
        assert_int_equal(array.tile(0, row).locks.value(last), 10);
    }
}

// The firmware adds the distance of host memory to the first five arguments only.
void buffers_from_the_sixth_on_are_not_translated(void**) {
    for (const bool right : {false, true}) {
        npusim::Array array;
        array.load(ring(100).overlay());
        Words in(100, 1, 1), out(100);
        npusim::HostBuffers buffers;
        buffers.bind(0, in.bytes());
        buffers.bind(5, out.bytes());
        Stream s;
        s.block_write(address(0, 0, 0x1D000), encode(Kind::shim, {.words = 100}));
        s.patch(address(0, 0, 0x1D004), 5, right ? 0x80000000 : 0);
        s.write(address(0, 0, 0x1D204), 0x80000000);
        s.transfer(0, mm2s, 0, 1, {.words = 100}, 0);
        s.sync(0, 0, s2mm, 0);
        if (right) {
            array.run(s.parsed(), buffers);
            equal(out.words, in.words);
        } else {
            stops([&] { array.run(s.parsed(), buffers); }, {"outside of the buffers"});
        }
    }
}

void jitter_changes_time_and_not_results(void**) {
    Loop shaped;
    shaped.read = shaped.write = shim_form;
    shaped.scatter = shaped.gather = memory_form;
    const std::vector<uint32_t> expected = moved(shaped);
    uint64_t shortest = ~uint64_t{0}, longest = 0;
    for (uint64_t seed = 0; seed < 200; ++seed) {
        equal(moved(shaped, {.jitter = seed}), expected);
        Words in(800, 7, 11), out(800);
        npusim::Array array({.jitter = seed});
        array.load(ring(50).overlay());
        const npusim::RunReport report = run(array, through_ring(800), in, out);
        equal(out.words, in.words);
        shortest = std::min(shortest, report.cycles);
        longest = std::max(longest, report.cycles);
    }
    assert_true(longest > shortest);
}

void without_jitter_always_the_same(void**) {
    uint64_t cycles = 0;
    for (int i = 0; i < 3; ++i) {
        Words in(800, 7, 11), out(800);
        npusim::Array array;
        array.load(ring(50).overlay());
        const npusim::RunReport report = run(array, through_ring(800), in, out);
        assert_true(i == 0 || report.cycles == cycles);
        cycles = report.cycles;
    }
}

// A missing release shows on the second buffer, and the report says who waits for what.
void a_deadlock_names_everyone(void**) {
    Configuration c = ring(100);
    c.descriptor(0, 2, 2,
                 {.address = 0x400, .words = 100, .acquire_id = 1, .acquire = -1, .next = 3});
    c.descriptor(0, 2, 3,
                 {.address = 0x800, .words = 100, .acquire_id = 1, .acquire = -1, .next = 2});
    Words in(400, 1, 1), out(400);
    npusim::Array array;
    array.load(c.overlay());
    stops([&] { run(array, through_ring(400), in, out); },
          {"deadlock", "controller: stands at byte", "TCT        S2MM 0 of columns 0 to 0",
           "S2MM 0 of core tile (0,2), descriptor 0: waits for lock 0 of core tile (0,2) (value 0) "
           "to be at least 1",
           "MM2S 0 of core tile (0,2), descriptor 2: waits for lock 1 of core tile (0,2) (value 0) "
           "to be at least 1",
           "S2MM 0 of shim (0,0), descriptor 0: waits for data, 200 words are missing",
           "MM2S 0 of shim (0,0), descriptor 1: cannot send",
           "core tile (0,2): slave port South 0 holds words for DMA 0"});
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(linear_through_memory),
        cmocka_unit_test(linear_through_core),
        cmocka_unit_test(shim_reads_in_three_dimensions),
        cmocka_unit_test(shim_writes_in_three_dimensions),
        cmocka_unit_test(memory_tile_in_four_dimensions),
        cmocka_unit_test(core_tile_in_three_dimensions),
        cmocka_unit_test(memory_tile_sends_zeros),
        cmocka_unit_test(repeats_chains_and_iterations),
        cmocka_unit_test(a_ring_of_two_buffers),
        cmocka_unit_test(again_without_a_load),
        cmocka_unit_test(two_overlays_in_turn),
        cmocka_unit_test(acquires_that_wait_for_a_value),
        cmocka_unit_test(memory_tiles_reach_their_neighbours),
        cmocka_unit_test(a_full_queue_stalls_the_controller),
        cmocka_unit_test(tokens_of_several_columns),
        cmocka_unit_test(streams_poll_and_write_registers),
        cmocka_unit_test(streams_request_locks),
        cmocka_unit_test(buffers_from_the_sixth_on_are_not_translated),
        cmocka_unit_test(jitter_changes_time_and_not_results),
        cmocka_unit_test(without_jitter_always_the_same),
        cmocka_unit_test(a_deadlock_names_everyone),
    };
    return cmocka_run_group_tests_name("movement", tests, nullptr, nullptr);
}
