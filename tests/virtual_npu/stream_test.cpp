// SPDX-License-Identifier: MIT
// Stream switches of the simulated array: circuits, broadcasts, packets, and routes that are wrong.
#include <algorithm>
#include <cstring>

#include "rig.hpp"

using namespace rig;

namespace {

// A core tile that stores `words` words at 0x1000 as they come in on DMA 0.
void sink(Configuration& c, uint32_t column, uint32_t row, uint32_t words) {
    c.descriptor(column, row, 0, {.address = 0x1000, .words = words});
    c.push(column, row, s2mm, 0, 0);
}

std::vector<uint32_t> stored(const npusim::Array& array, uint32_t column, uint32_t row,
                             size_t words) {
    std::vector<uint32_t> result(words);
    std::memcpy(result.data(), array.tile(column, row).memory.data() + 0x1000, words * 4);
    return result;
}

// Runs until the words that MM2S 0 of the shim of column 0 sends have all been stored.
npusim::RunReport send(npusim::Array& array, Words& in, const std::vector<Descriptor>& transfers) {
    Stream s;
    for (uint32_t i = 0; i < transfers.size(); ++i)
        s.transfer(0, mm2s, 0, i, transfers[i], 0, 1, true);
    for (size_t i = 0; i < transfers.size(); ++i)
        s.sync(0, 0, mm2s, 0);
    Words none(1);
    const npusim::RunReport report = run(array, s, in, none);
    array.step(300);
    return report;
}

// From the shim into the switch of core tile (0,2), South 0.
void up_to_core(Configuration& c) {
    c.shim_dma(0);
    c.circuit(0, 0, shim::to_north, shim::from_mm2s0);
    c.circuit(0, 1, memory::north_master, memory::south_slave);
}

void broadcast_to_rows_and_columns(void**) {
    Configuration c;
    up_to_core(c);
    for (uint32_t row = 2; row < 6; ++row) {
        c.circuit(0, row, core::dma, core::south_slave);
        if (row < 5)
            c.circuit(0, row, core::north_master, core::south_slave);
        sink(c, 0, row, 64);
        c.circuit(0, row, core::east_master + 2, core::south_slave);
        c.circuit(1, row, core::dma, core::west_slave + 2);
        sink(c, 1, row, 64);
    }
    Words in(64, 77, 13);
    npusim::Array array;
    array.load(c.overlay(2));
    send(array, in, {{.words = 64}});
    for (uint32_t column = 0; column < 2; ++column)
        for (uint32_t row = 2; row < 6; ++row)
            equal(stored(array, column, row, 64), in.words);
}

// A circuit west and south again, and through the FIFO port of a switch.
void all_directions(void**) {
    Configuration c;
    up_to_core(c);
    c.circuit(0, 2, core::east_master, core::south_slave);
    c.circuit(1, 2, core::north_master + 5, core::west_slave);
    c.circuit(1, 3, core::west_master + 3, core::south_slave + 5);
    c.circuit(0, 3, core::south_master + 3, core::east_slave + 3);
    c.circuit(0, 2, 4, core::north_slave + 3); // FIFO
    c.circuit(0, 2, core::dma + 1, 4);
    c.descriptor(0, 2, 0, {.address = 0x1000, .words = 50});
    c.push(0, 2, s2mm, 1, 0);
    Words in(50, 5, 7);
    npusim::Array array;
    array.load(c.overlay(2));
    send(array, in, {{.words = 50}});
    equal(stored(array, 0, 2, 50), in.words);
}

// A broadcast waits for the slowest of its receivers.
void a_broadcast_waits_for_all(void**) {
    Configuration c;
    up_to_core(c);
    c.circuit(0, 2, core::dma, core::south_slave);
    c.circuit(0, 2, core::north_master, core::south_slave);
    c.circuit(0, 3, core::dma, core::south_slave);
    sink(c, 0, 2, 64);
    c.descriptor(0, 3, 0,
                 {.address = 0x1000, .words = 64, .acquire_id = 4, .acquire = -1}); // never comes
    c.push(0, 3, s2mm, 0, 0);
    Words in(64, 1, 1), none(1);
    npusim::Array array;
    array.load(c.overlay());
    Stream s;
    s.transfer(0, mm2s, 0, 0, {.words = 64}, 0, 1, true);
    s.sync(0, 0, mm2s, 0);
    stops([&] { run(array, s, in, none); },
          {"deadlock", "core tile (0,2): slave port South 0 holds words for DMA 0, North 0",
           "lock 4 of core tile (0,3)"});
}

// Packets of ids 0 to 3, by the slots of one slave port, into four tiles of the column.
void packets_by_id(void**) {
    Configuration c;
    up_to_core(c);
    for (uint32_t row = 2; row < 6; ++row) {
        c.packets_from(0, row, core::south_slave);
        c.slot(0, row, core::south_slave, 0, row, 0x1F, 0, 0);
        c.packets_to(0, row, core::dma, 1, 0, true);
        if (row < 5) {
            c.slot(0, row, core::south_slave, 1, 0x10, 0x10, 1, 0); // all from 16 on go up
            c.slot(0, row, core::south_slave, 2, 4, 0x1C, 1, 0);    // and 4 to 7
            if (row < 3)
                c.slot(0, row, core::south_slave, 3, 3, 0x1F, 1, 0);
            c.packets_to(0, row, core::north_master, 2, 0, false);
        }
        sink(c, 0, row, 20);
    }
    Words in(80, 100, 1);
    npusim::Array array;
    array.load(c.overlay());
    // In this order, 5 is the tile of row 5: row 4 would be hit by two slots.
    send(array, in,
         {{.address = 0, .words = 20, .packet = 2},
          {.address = 80, .words = 20, .packet = 3},
          {.address = 160, .words = 20, .packet = 5, .packet_type = 3}});
    for (const auto& [row, first] : {std::pair{2u, 0u}, {3u, 20u}, {5u, 40u}})
        equal(stored(array, 0, row, 20), {in.words.begin() + first, in.words.begin() + first + 20});
}

void a_header_stays_where_it_is_not_dropped(void**) {
    Configuration c;
    up_to_core(c);
    c.packets_from(0, 2, core::south_slave);
    c.slot(0, 2, core::south_slave, 3, 9, 0x1F, 3, 5);
    c.packets_to(0, 2, core::dma, 8, 5, false);
    sink(c, 0, 2, 5);
    Words in(4, 100, 1);
    npusim::Array array;
    array.load(c.overlay());
    send(array, in, {{.words = 4, .packet = 9, .packet_type = 2}});
    // Bits: id 4:0, type 14:12, row 20:16, column 27:21, odd parity 31.
    equal(stored(array, 0, 2, 5), {0x00002009, 100, 101, 102, 103});
}

// Both channels of a shim send packets into one master port without a pause: whole packets, in
// turn.
void an_arbiter_serves_in_turn(void**) {
    constexpr uint32_t slaves[] = {shim::from_mm2s0, shim::from_mm2s1};
    Configuration c;
    c.shim_dma(0);
    for (uint32_t i = 0; i < 2; ++i) {
        c.packets_from(0, 0, slaves[i]);
        c.slot(0, 0, slaves[i], 0, 1 + i, 0x1F, i, 2);
    }
    c.packets_to(0, 0, shim::to_north, 3, 2, true);
    c.circuit(0, 1, memory::north_master, memory::south_slave);
    c.circuit(0, 2, core::dma, core::south_slave);
    sink(c, 0, 2, 80);
    Words in(80), none(1);
    Stream s;
    for (uint32_t i = 0; i < 2; ++i) {
        for (uint32_t word = 0; word < 40; ++word)
            in.words[40 * i + word] = 100 * (i + 1) + word;
        s.transfer(0, mm2s, i, i,
                   {.address = 160 * i,
                    .words = 5,
                    .iterations = 8,
                    .iteration_step = 5,
                    .packet = static_cast<int>(1 + i)},
                   0, 8, true);
    }
    s.sync(0, 0, mm2s, 0).sync(0, 0, mm2s, 1);
    npusim::Array array;
    array.load(c.overlay());
    run(array, s, in, none);
    array.step(300);
    const std::vector<uint32_t> got = stored(array, 0, 2, 80);
    for (uint32_t packet = 0; packet < 16; ++packet)
        for (uint32_t word = 0; word < 5; ++word)
            assert_int_equal(got[5 * packet + word],
                             100 * (packet % 2 + 1) + packet / 2 * 5 + word);
}

// What `change` does to a working route must be noticed when data comes.
template <class Change>
void broken(Change change, const std::vector<std::string>& parts, int packet = -1,
            bool circuit = true) {
    Configuration c;
    up_to_core(c);
    if (circuit)
        c.circuit(0, 2, core::dma, core::south_slave);
    sink(c, 0, 2, 16);
    change(c);
    Words in(16, 1, 1), none(1);
    Stream s;
    s.transfer(0, mm2s, 0, 0, {.words = 16, .packet = packet}, 0);
    s.sync(0, 0, s2mm, 0); // never comes
    npusim::Array array;
    array.load(c.overlay());
    stops([&] { run(array, s, in, none); }, parts);
}

void routes_to_nowhere(void**) {
    broken([](Configuration& c) { c.master(0, 2, core::dma, 0); },
           {"data arrives at slave port South 0 of core tile (0,2)", "feeds no master port"});
    broken([](Configuration& c) { c.slave(0, 2, core::south_slave, 0); },
           {"slave port South 0 of core tile (0,2)", "feeds a master port but is not enabled"});
    broken([](Configuration& c) { c.circuit(0, 2, core::west_master, core::south_slave); },
           {"feeds master port West 0", "the array ends there"});
    broken([](Configuration& c) { c.circuit(0, 2, 3, core::south_slave); },
           {"feeds master port Control 0", "control packets are not modelled"});
    broken([](Configuration& c) { c.circuit(0, 0, shim::to_s2mm0 - 2, shim::from_mm2s0); },
           {"feeds master port South 0", "not modelled"});
    broken([](Configuration& c) { c.write(0, 0, 0x1F000, 0); },
           {"MM2S 0 of shim (0,0)", "its data goes nowhere", "multiplexer"});
    broken(
        [](Configuration& c) {
            c.write(0, 0, 0x1F004, 0);
            c.circuit(0, 0, shim::to_s2mm0, shim::from_mm2s0);
        },
        {"feeds master port South 2", "multiplexer"});
}

void packets_to_nowhere(void**) {
    const auto packets = [](Configuration& c) {
        c.packets_from(0, 2, core::south_slave);
        c.slot(0, 2, core::south_slave, 0, 6, 0x1F, 1, 1);
        c.packets_to(0, 2, core::dma, 2, 1, true);
    };
    broken([&](Configuration& c) { packets(c); },
           {"slave port South 0 of core tile (0,2)", "has no slot for packet 7"}, 7, false);
    broken(
        [&](Configuration& c) {
            packets(c);
            c.slot(0, 2, core::south_slave, 2, 6, 0x1E, 0, 1);
        },
        {"has two slots for packet 6"}, 6, false);
    broken(
        [&](Configuration& c) {
            packets(c);
            c.slot(0, 2, core::south_slave, 0, 6, 0x1F, 2, 1);
        },
        {"sends packet 6 to no master port"}, 6, false);
    broken(
        [&](Configuration& c) {
            packets(c);
            c.packets_to(0, 2, core::west_master, 2, 1, true);
        },
        {"sends packet 6 to master port West 0", "the array ends there"}, 6, false);
    broken([](Configuration& c) { c.packets_from(0, 2, core::south_slave); },
           {"carries packets, but a master port takes it as a circuit"}, 6);
}

void a_master_is_fed_twice(void**) {
    Configuration c;
    c.memory_loop(0);
    c.circuit(0, 1, memory::south_master, memory::dma + 3);
    npusim::Array array;
    stops([&] { array.load(c.overlay()); },
          {"CDO command", "master port South 0 of memory tile (0,1) is fed twice"});
    Configuration same;
    same.memory_loop(0);
    same.memory_loop(0);
    array.load(same.overlay());
}

void a_slave_that_does_not_exist(void**) {
    Configuration c;
    c.circuit(0, 1, memory::south_master, 18);
    npusim::Array array;
    stops([&] { array.load(c.overlay()); }, {"slave port 18, which does not exist"});
}

// Routes may change between two transfers of a run.
void a_stream_changes_routes(void**) {
    Configuration c;
    up_to_core(c);
    for (uint32_t row = 2; row < 4; ++row)
        sink(c, 0, row, 16);
    c.circuit(0, 2, core::dma, core::south_slave);
    c.slave(0, 3, core::south_slave, 1u << 31);
    c.master(0, 3, core::dma, 1u << 31 | core::south_slave);
    Words in(32, 50, 1), none(1);
    Stream s;
    s.transfer(0, mm2s, 0, 0, {.words = 16}, 0, 1, true);
    s.sync(0, 0, mm2s, 0);
    s.poll(address(0, 2, 0x1DF00), 0, 1u << 19); // the first sink is done
    s.write(address(0, 2, 0x3F000 + 4 * core::dma), 0);
    s.write(address(0, 2, 0x3F000 + 4 * core::north_master), 1u << 31 | core::south_slave);
    s.transfer(0, mm2s, 0, 1, {.address = 64, .words = 16}, 0, 1, true);
    s.sync(0, 0, mm2s, 0);
    s.poll(address(0, 3, 0x1DF00), 0, 1u << 19);
    npusim::Array array;
    array.load(c.overlay());
    run(array, s, in, none);
    equal(stored(array, 0, 2, 16), {in.words.begin(), in.words.begin() + 16});
    equal(stored(array, 0, 3, 16), {in.words.begin() + 16, in.words.end()});
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(broadcast_to_rows_and_columns),
        cmocka_unit_test(all_directions),
        cmocka_unit_test(a_broadcast_waits_for_all),
        cmocka_unit_test(packets_by_id),
        cmocka_unit_test(a_header_stays_where_it_is_not_dropped),
        cmocka_unit_test(an_arbiter_serves_in_turn),
        cmocka_unit_test(routes_to_nowhere),
        cmocka_unit_test(packets_to_nowhere),
        cmocka_unit_test(a_master_is_fed_twice),
        cmocka_unit_test(a_slave_that_does_not_exist),
        cmocka_unit_test(a_stream_changes_routes),
    };
    return cmocka_run_group_tests_name("stream", tests, nullptr, nullptr);
}
