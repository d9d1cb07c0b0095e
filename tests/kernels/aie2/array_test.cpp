// SPDX-License-Identifier: MIT
// The array's configuration: registers against the published layouts, routes, everything that
// find_faults promises to find, the order of the writes, and the floor plans that npuenc installs.
#include "kernels/aie2/array/array_error.hpp" // before cmocka, which has a macro fail()
#include "kernels/aie2/array/check_programs.hpp"
#include "kernels/aie2/array/configuration.hpp"
#include "kernels/aie2/array/explain.hpp"
#include "kernels/aie2/array/registers.hpp"
#include "kernels/aie2/array/validate.hpp"
#include "kernels/aie2/overlay.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
extern "C" {
#include <cmocka.h>
}

using namespace npuenc::aie2;

namespace {

constexpr Direction in = Direction::into_memory;
constexpr Direction out = Direction::out_of_memory;

std::filesystem::path facts;

void assert_words(const std::vector<uint32_t>& words, const std::vector<uint32_t>& expected) {
    assert_int_equal(words.size(), expected.size());
    for (size_t i = 0; i < words.size(); ++i) {
        if (words[i] != expected[i])
            fail_msg("word %zu is %08x, not %08x", i, words[i], expected[i]);
    }
}

template <class Action>
std::string error_of(Action action) {
    try {
        action();
    } catch (const ArrayError& error) {
        return error.what();
    }
    return "";
}

void assert_error(const std::string& error, const std::string& expected) {
    if (error != expected)
        fail_msg("\"%s\" instead of \"%s\"", error.c_str(), expected.c_str());
}

// Registers

void test_shim_descriptor(void**) {
    // A linear transfer as in every published instruction stream.
    Descriptor linear;
    linear.words = 0xC00;
    assert_words(pack(TileKind::shim, linear),
                 {0xC00, 0, 0, 0, 0x80000000, 0x02000000, 0, 0x02000000});

    Descriptor descriptor;
    descriptor.id = 3;
    descriptor.address = 0x0000123456789ABC;
    descriptor.words = 64 * 8 * 4;
    descriptor.dimensions = {{64, 1}, {8, 512}, {4, 64}};
    descriptor.iteration = {5, 1 << 20};
    descriptor.next = 9;
    assert_words(pack(TileKind::shim, descriptor),
                 {2048, 0x56789ABC, 0x1234, 64u << 20, 0x80000000 | 8u << 20 | 511, 0x02000000 | 63,
                  4u << 20 | 0xFFFFF, 0x02000000 | 9u << 27 | 1u << 26});
    assert_int_equal(descriptor_register(TileKind::shim, 3), 0x1D060);
}

void test_core_descriptor(void**) {
    Descriptor descriptor;
    descriptor.id = 1;
    descriptor.address = 0xB000;
    descriptor.words = 1024;
    descriptor.acquire = LockChange{0, 1};
    descriptor.release = LockChange{1, 1};
    descriptor.next = 0;
    // w5: valid 25, use next 26, next 30:27, release value 24:18 and id 16:13, acquire enable 12,
    // value 11:5 (-1 in 7 bits) and id 3:0.
    assert_words(pack(TileKind::core, descriptor),
                 {0x2C00u << 14 | 1024, 0, 0, 0, 0,
                  1u << 25 | 1u << 26 | 1u << 18 | 1u << 13 | 1u << 12 | 0x7Fu << 5});

    descriptor.dimensions = {{2, 1}, {8, 384}, {64, 2}};
    descriptor.iteration = {3, 100};
    descriptor.next.reset();
    descriptor.acquire.reset();
    descriptor.release.reset();
    assert_words(pack(TileKind::core, descriptor),
                 {0x2C00u << 14 | 1024, 0, 383u << 13 | 0, 8u << 21 | 2u << 13 | 1, 2u << 13 | 99,
                  1u << 25});
    assert_int_equal(descriptor_register(TileKind::core, 1), 0x1D020);
}

void test_memory_tile_descriptor(void**) {
    Descriptor descriptor;
    descriptor.id = 24;
    descriptor.address = 0x4000;
    descriptor.words = 2048;
    descriptor.dimensions = {{2, 1}, {4, 32}, {16, 2}, {16, 128}};
    descriptor.acquire = LockChange{3, 1};
    descriptor.release = LockChange{2, 2};
    descriptor.next = 25;
    descriptor.iteration = {2, 7};
    // The tile's own memory begins at 0x80000 of what its DMA sees, its own locks at 64.
    assert_words(pack(TileKind::memory, descriptor),
                 {2048, 25u << 20 | 1u << 19 | 0x21000, 2u << 17 | 0, 4u << 17 | 31, 16u << 17 | 1,
                  127, 1u << 17 | 6, 1u << 31 | 2u << 24 | 66u << 16 | 1u << 15 | 0x7Fu << 8 | 67});
    assert_int_equal(descriptor_register(TileKind::memory, 24), 0xA0300);
}

void test_values_that_do_not_fit(void**) {
    Descriptor descriptor;
    descriptor.id = 2;
    descriptor.words = 1 << 14;
    assert_error(error_of([&] { pack(TileKind::core, descriptor); }),
                 "descriptor 2: 16384 does not fit in 14 bits");
    descriptor.words = 4;
    descriptor.dimensions = {{256, 1}};
    assert_error(error_of([&] { pack(TileKind::core, descriptor); }),
                 "descriptor 2: 256 does not fit in 8 bits");
    descriptor.dimensions.clear();
    descriptor.release = LockChange{0, 64};
    assert_error(error_of([&] { pack(TileKind::core, descriptor); }),
                 "descriptor 2: 64 does not fit in 7 bits");
    descriptor.dimensions = {{1, 1}, {1, 1}, {1, 1}, {1, 1}};
    assert_error(error_of([&] { pack(TileKind::core, descriptor); }), "descriptor 2: 4 dimensions");
    assert_error(error_of([] { pack_push(0, 257, false); }),
                 "a chain cannot be repeated 257 times");
}

void test_addresses(void**) {
    assert_int_equal(tile_address({2, 3}, 0x1D000), 2u << 25 | 3u << 20 | 0x1D000);
    assert_int_equal(lock_register(TileKind::shim, 5), 0x14050);
    assert_int_equal(lock_register(TileKind::memory, 63), 0xC03F0);
    assert_int_equal(lock_register(TileKind::core, 15), 0x1F0F0);
    assert_int_equal(channel_control_register(TileKind::core, in, 1), 0x1DE08);
    assert_int_equal(channel_queue_register(TileKind::core, in, 1), 0x1DE0C);
    assert_int_equal(channel_queue_register(TileKind::core, out, 0), 0x1DE14);
    assert_int_equal(channel_control_register(TileKind::memory, in, 5), 0xA0628);
    assert_int_equal(channel_queue_register(TileKind::memory, out, 2), 0xA0644);
    assert_int_equal(channel_control_register(TileKind::shim, in, 0), 0x1D200);
    assert_int_equal(channel_queue_register(TileKind::shim, out, 1), 0x1D21C);
    assert_int_equal(pack_push(1, 1, true), 0x80000001);
    assert_int_equal(pack_push(47, 256, false), 47 | 255 << 16);

    assert_int_equal(master_register(TileKind::core, {PortKind::dma, 0}), 0x3F004);
    assert_int_equal(slave_register(TileKind::core, {PortKind::north, 1}), 0x3F140);
    assert_int_equal(master_register(TileKind::memory, {PortKind::north, 5}), 0xB0040);
    assert_int_equal(slave_register(TileKind::memory, {PortKind::south, 3}), 0xB0128);
    assert_int_equal(master_register(TileKind::shim, {PortKind::south, 2}), 0x3F010);
    assert_int_equal(slot_register(TileKind::shim, {PortKind::control, 0}, 0), 0x3F200);
    assert_int_equal(slot_register(TileKind::core, {PortKind::dma, 1}, 3), 0x3F22C);

    assert_true((shim_port(out, 0) == Port{PortKind::south, 3}));
    assert_true((shim_port(out, 1) == Port{PortKind::south, 7}));
    assert_true((shim_port(in, 0) == Port{PortKind::south, 2}));
    assert_true((shim_port(in, 1) == Port{PortKind::south, 3}));
    const auto assert_mux = [](Direction direction, int channel, uint32_t offset, uint32_t mask,
                               uint32_t value) {
        const MaskedWrite mux = shim_mux(direction, channel);
        assert_int_equal(mux.offset, offset);
        assert_int_equal(mux.mask, mask);
        assert_int_equal(mux.value, value);
    };
    assert_mux(out, 0, 0x1F000, 0xC00, 0x400);
    assert_mux(out, 1, 0x1F000, 0xC000, 0x4000);
    assert_mux(in, 0, 0x1F004, 0x30, 0x10);
    assert_mux(in, 1, 0x1F004, 0xC0, 0x40);
}

// Before skip(), which leaves by a jump: nothing that has to be destroyed may be alive then.
bool is_there(const char* name) {
    const std::filesystem::path path = facts / name;
    if (std::filesystem::exists(path))
        return true;
    print_message("no %s\n", path.c_str());
    return false;
}

void test_device(void**) {
    if (!is_there("npu1-device.json"))
        skip();
    std::ifstream file(facts / "npu1-device.json");
    const auto device = nlohmann::json::parse(file);
    const std::map<std::string, TileKind> kinds{
        {"shim_noc", TileKind::shim}, {"mem_tile", TileKind::memory}, {"core", TileKind::core}};
    const std::map<std::string, PortKind> ports{
        {"Core", PortKind::core},   {"DMA", PortKind::dma},     {"Ctrl", PortKind::control},
        {"FIFO", PortKind::fifo},   {"South", PortKind::south}, {"West", PortKind::west},
        {"North", PortKind::north}, {"East", PortKind::east},   {"Trace", PortKind::trace}};
    for (const auto& [name, tile] : device.at("tile_types").items()) {
        const TileKind kind = kinds.at(name);
        const TileLimits& limits = limits_of(kind);
        assert_int_equal(limits.locks, tile.at("num_locks").get<int>());
        assert_int_equal(limits.descriptors, tile.at("num_bds").get<int>());
        for (const auto& [port, port_kind] : ports) {
            const auto& published = tile.at("switchbox_ports");
            const int masters = published.contains(port) ? published[port]["master"].get<int>() : 0;
            const int slaves = published.contains(port) ? published[port]["slave"].get<int>() : 0;
            assert_int_equal(port_count(kind, PortSide::master, port_kind), masters);
            assert_int_equal(port_count(kind, PortSide::slave, port_kind), slaves);
        }
    }
    assert_int_equal(limits_of(TileKind::core).memory_bytes,
                     device.at("local_memory_size").get<int>());
    assert_int_equal(limits_of(TileKind::memory).memory_bytes,
                     device.at("mem_tile_size").get<int>());
    assert_int_equal(n_rows, device.at("rows").get<int>());
    assert_int_equal(max_columns, device.at("columns").get<int>());
}

// Routes

std::string text_of(const Route& route) {
    std::string text;
    for (const Hop& hop : route.hops)
        text += (text.empty() ? "" : "; ") + name_of(hop.tile) + " " + name_of(hop.slave) + ">" +
                name_of(hop.master);
    return text;
}

void assert_route(const FloorPlan& plan, const std::string& expected) {
    const std::string text = text_of(plan.routes().back());
    if (text != expected)
        fail_msg("\"%s\" instead of \"%s\"", text.c_str(), expected.c_str());
}

void test_route_along_column_and_row(void**) {
    FloorPlan plan("p", 3);
    plan.route("a", {{1, 1}, 0}, {{{2, 3}, 0}});
    assert_route(plan, "memory tile 1 DMA 0>North 0; core 1.2 South 0>North 0; "
                       "core 1.3 South 0>East 0; core 2.3 West 0>DMA 0");
    // The second takes the next wire wherever the first is, and only there.
    plan.route("b", {{1, 1}, 1}, {{{0, 3}, 1}});
    assert_route(plan, "memory tile 1 DMA 1>North 1; core 1.2 South 1>North 1; "
                       "core 1.3 South 1>West 0; core 0.3 East 0>DMA 1");
}

void test_route_to_many(void**) {
    FloorPlan plan("p", 2);
    plan.route("a", {{0, 1}, 0}, {{{0, 2}, 0}, {{1, 2}, 0}, {{0, 3}, 0}});
    assert_route(plan, "memory tile 0 DMA 0>North 0; core 0.2 South 0>DMA 0; "
                       "core 0.2 South 0>East 0; core 1.2 West 0>DMA 0; "
                       "core 0.2 South 0>North 0; core 0.3 South 0>DMA 0");
}

void test_route_through_a_memory_tile(void**) {
    FloorPlan plan("p", 1);
    // North 0 of the shim is free, but North 0 of the memory tile is not.
    plan.route("a", {{0, 1}, 0}, {{{0, 2}, 1}});
    plan.route("b", {{0, 0}, 0}, {{{0, 2}, 0}});
    assert_route(plan, "shim 0 South 3>North 1; memory tile 0 South 1>North 1; "
                       "core 0.2 South 1>DMA 0");
    plan.route("c", {{0, 2}, 0}, {{{0, 0}, 1}});
    assert_route(plan, "core 0.2 DMA 0>South 0; memory tile 0 North 0>South 0; "
                       "shim 0 North 0>South 3");
}

void test_routes_that_cannot_be(void**) {
    FloorPlan plan("p", 2);
    for (int i = 0; i < 4; ++i)
        plan.route("west " + std::to_string(i), {{1, 2 + i % 2 * 3}, i / 2},
                   {{{0, 2 + i % 2 * 3}, i / 2}});
    assert_error(error_of([&] {
                     plan.route("a", {{1, 2}, 0}, {{{0, 3}, 0}});
                 }),
                 "route a: core 1.2 already sends from MM2S 0");
    assert_error(error_of([&] {
                     plan.route("a", {{1, 3}, 0}, {{{0, 2}, 1}});
                 }),
                 "route a: core 0.2 already receives at S2MM 1");
    assert_error(error_of([&] {
                     plan.route("a", {{1, 2}, 2}, {{{0, 3}, 0}});
                 }),
                 "a switch has no slave port DMA 2");
    assert_error(error_of([&] {
                     plan.route("a", {{1, 0}, 2}, {{{0, 3}, 0}});
                 }),
                 "a shim has no MM2S 2");
    assert_error(error_of([&] {
                     plan.route("a", {{1, 3}, 0}, {{{2, 3}, 0}});
                 }),
                 "route a: no free wire from core 1.3 on the way to core 2.3");

    FloorPlan full("full", 1);
    for (int i = 0; i < 4; ++i)
        full.route("up " + std::to_string(i), {{0, 1}, i}, {{{0, 2 + i}, 0}});
    for (int i = 4; i < 6; ++i)
        full.route("up " + std::to_string(i), {{0, 1}, i}, {{{0, i - 2}, 1}});
    assert_error(error_of([&] {
                     full.route("shim", {{0, 0}, 0}, {{{0, 4}, 1}});
                 }),
                 "route shim: no free wire from shim 0 on the way to core 0.4");
}

void test_ports_that_cannot_be_connected(void**) {
    assert_true(can_connect(TileKind::memory, {PortKind::south, 2}, {PortKind::north, 2}));
    assert_false(can_connect(TileKind::memory, {PortKind::south, 2}, {PortKind::north, 3}));
    assert_true(can_connect(TileKind::memory, {PortKind::south, 2}, {PortKind::dma, 5}));
    assert_false(can_connect(TileKind::core, {PortKind::dma, 0}, {PortKind::dma, 1}));
    assert_true(can_connect(TileKind::core, {PortKind::dma, 1}, {PortKind::dma, 1}));
    assert_false(can_connect(TileKind::core, {PortKind::west, 0}, {PortKind::west, 1}));
    assert_true(can_connect(TileKind::core, {PortKind::west, 0}, {PortKind::south, 1}));
    assert_true(can_connect(TileKind::shim, {PortKind::south, 3}, {PortKind::south, 2}));
    assert_false(can_connect(TileKind::core, {PortKind::trace, 0}, {PortKind::north, 0}));
}

// Faults. A plan that is good: one core doubles what comes in; each test spoils one thing.

struct Plan {
    FloorPlan plan{"p", 2};
    Tile& core = plan.core(0, 0);
    Tile& memory = plan.memory_tile(0);

    Plan() {
        const Buffer& input = core.buffer("input", 0, 256);
        const Buffer& output = core.buffer("output", 0x400, 512);
        const Lock& in_empty = core.lock("input empty", 0, 1);
        const Lock& in_full = core.lock("input full", 1, 0);
        const Lock& out_empty = core.lock("output empty", 2, 1);
        const Lock& out_full = core.lock("output full", 3, 0);
        core.loop(in, 0, {{input.all(), one(in_empty), one(in_full)}});
        core.loop(out, 0, {{output.all(), one(out_full), one(out_empty)}});
        Program program;
        program.nops(1);
        core.run("double", program,
                 {{"message", {one(in_full), one(out_empty)}, {one(in_empty), one(out_full)}}});

        const Buffer& stock = memory.buffer("stock", 0, 1024);
        const Lock& empty = memory.lock("empty", 0, 4);
        const Lock& full = memory.lock("full", 1, 0);
        std::vector<Transfer> fill, drain;
        for (uint32_t i = 0; i < 4; ++i) {
            fill.push_back({stock.part(256 * i, 256), one(empty), one(full)});
            drain.push_back({stock.part(256 * i, 256), one(full), one(empty)});
        }
        memory.loop(in, 0, fill);
        memory.loop(out, 0, drain);
        plan.route("in", {{0, 0}, 0}, {{{0, 1}, 0}});
        plan.route("middle", {{0, 1}, 0}, {{{0, 2}, 0}});
        plan.route("out", {{0, 2}, 0}, {{{0, 0}, 0}});
        plan.send_tokens(0);
    }
};

void assert_fault(const std::function<void(Plan&)>& spoil, const std::string& expected) {
    Plan plan;
    spoil(plan);
    const std::vector<std::string> faults = find_faults(plan.plan);
    if (std::find(faults.begin(), faults.end(), expected) == faults.end())
        fail_msg("no \"%s\"; instead \"%s\"", expected.c_str(),
                 faults.empty() ? "" : faults.front().c_str());
}

void test_good_plan(void**) {
    const std::vector<std::string> faults = find_faults(Plan().plan);
    if (!faults.empty())
        fail_msg("%s", faults.front().c_str());
}

void test_memory_faults(void**) {
    assert_fault([](Plan& p) { p.core.buffer("x", 0x4FC, 8); },
                 "core 0.2: buffers output and x overlap");
    assert_fault([](Plan& p) { p.core.buffer("x", 0xFFF0, 32); },
                 "core 0.2: buffer x ends at 0x10010, the memory at 0x10000");
    assert_fault([](Plan& p) { p.core.buffer("x", 0x1002, 4); },
                 "core 0.2: buffer x is not made of whole words");
    assert_fault([](Plan& p) { p.core.buffer("x", 0x1000, 0); }, "core 0.2: buffer x is empty");
    assert_fault([](Plan& p) { p.core.buffer("input", 0x1000, 4); },
                 "core 0.2: two buffers are called input");
    assert_fault(
        [](Plan& p) {
            p.core.fill(p.core.buffer("x", 0x1000, 4), {1, 2, 3});
        },
        "core 0.2: the contents of x are not whole words");
    assert_fault(
        [](Plan& p) { p.core.fill(p.core.buffer("x", 0x1000, 4), std::vector<uint8_t>(8)); },
        "core 0.2: the contents of x are larger than it is");
    Plan shared;
    shared.core.buffer("x", 0x4FC, 8, "output");
    assert_true(find_faults(shared.plan).empty());
    assert_error(error_of([&] { shared.core.buffers[0].part(128, 132); }),
                 "buffer input has 256 bytes, not 128 + 132");
}

void test_transfer_faults(void**) {
    const auto spoil = [](const std::function<void(Descriptor&)>& change) {
        return [change](Plan& p) { change(p.core.descriptors[0]); };
    };
    assert_fault(spoil([](Descriptor& d) { d.words = 0; }),
                 "core 0.2: descriptor 0 cannot move 0 words");
    assert_fault(spoil([](Descriptor& d) { d.words = 1 << 14; }),
                 "core 0.2: descriptor 0 cannot move 16384 words");
    assert_fault(spoil([](Descriptor& d) { d.address = 2; }),
                 "core 0.2: descriptor 0 begins at 0x2, inside a word");
    assert_fault(spoil([](Descriptor& d) { d.words = 65; }),
                 "core 0.2: descriptor 0 (0x0 to 0x104) is not inside a buffer");
    assert_fault(spoil([](Descriptor& d) { d.address = 0xFF80; }),
                 "core 0.2: descriptor 0 moves up to 0x10080, the memory ends at 0x10000");
    assert_fault(spoil([](Descriptor& d) {
                     d.dimensions = {{8, 1}, {8, 4096}};
                 }),
                 "core 0.2: descriptor 0 moves up to 0x1c020, the memory ends at 0x10000");
    assert_fault(spoil([](Descriptor& d) {
                     d.iteration = {64, 1024};
                 }),
                 "core 0.2: descriptor 0 moves up to 0x3f100, the memory ends at 0x10000");
    assert_fault(spoil([](Descriptor& d) {
                     d.dimensions = {{8, 1}, {4, 8}};
                 }),
                 "core 0.2: descriptor 0 moves 64 words, but its dimensions make 32");
    assert_fault(spoil([](Descriptor& d) {
                     d.dimensions = {{64, 0}};
                 }),
                 "core 0.2: descriptor 0 cannot step 0 words");
    assert_fault(spoil([](Descriptor& d) {
                     d.dimensions = {{64, 8193}};
                 }),
                 "core 0.2: descriptor 0 cannot step 8193 words");
    assert_fault(spoil([](Descriptor& d) {
                     d.dimensions = {{256, 1}};
                 }),
                 "core 0.2: descriptor 0 cannot make 256 steps in a dimension");
    assert_fault(spoil([](Descriptor& d) {
                     d.dimensions = {{1, 1}, {1, 1}, {1, 1}, {64, 1}};
                 }),
                 "core 0.2: descriptor 0 has 4 dimensions; there are 3");
    assert_fault(spoil([](Descriptor& d) {
                     d.iteration = {65, 1};
                 }),
                 "core 0.2: descriptor 0 cannot iterate 65 times");
    assert_fault(spoil([](Descriptor& d) {
                     d.iteration = {2, 0};
                 }),
                 "core 0.2: descriptor 0 cannot iterate by 0 words");
}

void test_chain_faults(void**) {
    assert_fault([](Plan& p) { p.core.descriptors[0].next = 7; },
                 "core 0.2: descriptor 0 goes on to descriptor 7, which is not set");
    assert_fault([](Plan& p) { p.core.descriptors[1].id = 0; },
                 "core 0.2: descriptor 0 is set twice");
    assert_fault([](Plan& p) { p.core.descriptors[1].id = 16; },
                 "core 0.2: there is no descriptor 16");
    assert_fault([](Plan& p) { p.core.channels[0].chain = {5}; },
                 "core 0.2: S2MM 0 uses descriptor 5, which is not set");
    assert_fault([](Plan& p) { p.core.channels[0].chain = {1}; },
                 "core 0.2: MM2S 0 uses descriptor 1 of S2MM 0");
    assert_fault([](Plan& p) { p.core.channels[0].chain = {}; },
                 "core 0.2: S2MM 0 has nothing to do");
    assert_fault([](Plan& p) { p.core.channels[0].index = 2; }, "core 0.2: there is no S2MM 2");
    assert_fault([](Plan& p) { p.core.channels[1].direction = in; },
                 "core 0.2: S2MM 0 is started twice");
    assert_fault([](Plan& p) { p.memory.channels[0].index = 1; },
                 "memory tile 0: S2MM 1 may not use descriptor 0");

    // Half of a memory tile's descriptors are for even channels.
    Plan full;
    const Buffer& buffer = full.memory.buffer("x", 0x1000, 4);
    const std::vector<Transfer> transfers(16, {buffer.all(), {0, 1}, {1, 1}});
    full.memory.loop(in, 2, transfers);
    assert_error(error_of([&] { full.memory.loop(in, 4, {transfers[0]}); }),
                 "memory tile 0: no descriptor left for channel 4");
    full.memory.loop(in, 1, {transfers[0]});
    assert_int_equal(full.memory.descriptors.back().id, 24);
}

void test_lock_faults(void**) {
    assert_fault([](Plan& p) { p.core.lock("x", 16, 0); }, "core 0.2: there is no lock 16 for x");
    assert_fault([](Plan& p) { p.core.lock("x", 4, 64); }, "core 0.2: lock x cannot begin at 64");
    assert_fault([](Plan& p) { p.core.lock("x", 4, -1); }, "core 0.2: lock x cannot begin at -1");
    assert_fault([](Plan& p) { p.core.lock("x", 3, 0); },
                 "core 0.2: locks output full and x are both 3");
    assert_fault([](Plan& p) { p.core.descriptors[0].acquire->lock = 9; },
                 "core 0.2: descriptor 0 uses lock 9, which is not declared");
    assert_fault([](Plan& p) { p.core.programs[0].activities[0].takes[0].lock = 9; },
                 "core 0.2: the program's message uses lock 9, which is not declared");
    assert_fault([](Plan& p) { p.core.descriptors[0].release->value = 64; },
                 "core 0.2: descriptor 0 changes a lock by 64");
    assert_fault([](Plan& p) { p.core.descriptors[0].release->value = 0; },
                 "core 0.2: descriptor 0 changes a lock by 0");

    assert_fault([](Plan& p) { p.core.lock("x", 4, 0); }, "core 0.2: lock x is not used");
    assert_fault([](Plan& p) { p.core.descriptors[0].release.reset(); },
                 "core 0.2: lock input full is acquired but never released");
    assert_fault([](Plan& p) { p.core.programs[0].activities[0].takes.pop_back(); },
                 "core 0.2: lock output empty is released but never acquired");
    assert_fault([](Plan& p) { p.core.descriptors[0].release->value = 2; },
                 "core 0.2: lock input full is not released as often as it is acquired");
    assert_fault([](Plan& p) { p.memory.descriptors[0].acquire->value = 2; },
                 "memory tile 0: lock full is not released as often as it is acquired");
    assert_fault([](Plan& p) { p.core.locks[2].initial = 0; },
                 "core 0.2: program's message waits for ever: lock output empty stays at 0");

    // Both who take a lock give more than they take.
    assert_fault(
        [](Plan& p) {
            p.core.descriptors[0].release = LockChange{0, 2};
            p.core.programs[0].activities[0].takes[0].lock = 0;
            p.core.programs[0].activities[0].gives[0].value = 2;
            p.core.locks.erase(p.core.locks.begin() + 1);
        },
        "core 0.2: lock input empty is not released as often as it is acquired");

    // Uneven, but it comes out even: two inputs for one result.
    Plan uneven;
    uneven.core.programs[0].activities = {{"input", {{1, 2}}, {{0, 2}}},
                                          {"output", {{2, 1}}, {{3, 1}}}};
    uneven.core.locks[0].initial = 2;
    assert_true(find_faults(uneven.plan).empty());
}

// A message or another one: each has to come out by itself.
void test_alternatives(void**) {
    const auto add = [](Plan& p, Activity other) {
        p.core.programs[0].activities.push_back(std::move(other));
    };
    Plan good;
    add(good, {"other message", {{1, 1}, {2, 1}}, {{0, 1}, {3, 1}}, "message"});
    assert_true(find_faults(good.plan).empty());
    assert_true(explain(good.plan).find("other message instead of message  takes") !=
                std::string::npos);
    assert_fault(
        [&](Plan& p) {
            add(p, {"other message", {{1, 1}, {2, 1}}, {{0, 1}, {3, 2}}, "message"});
        },
        "core 0.2: lock output full is not released as often as it is acquired");
    assert_fault(
        [&](Plan& p) {
            add(p, {"other message", {{1, 2}, {2, 2}}, {{0, 2}, {3, 2}}, "message"});
        },
        "core 0.2: program's other message waits for ever: lock input full stays at 1");
    assert_fault(
        [&](Plan& p) {
            add(p, {"other message", {{1, 1}, {2, 1}}, {{0, 1}, {3, 1}}, "reply"});
        },
        "core 0.2: the program has no reply that other message could replace");
}

void test_program_faults(void**) {
    assert_fault([](Plan& p) { p.core.programs.push_back(p.core.programs[0]); },
                 "core 0.2: two programs");
    assert_fault([](Plan& p) { p.core.programs[0].bytes.clear(); },
                 "core 0.2: program double has 0 bytes; there are 16384");
    assert_fault([](Plan& p) { p.core.programs[0].bytes.resize(16400); },
                 "core 0.2: program double has 16400 bytes; there are 16384");
    assert_fault([](Plan& p) { p.memory.programs = p.core.programs; },
                 "memory tile 0: a program in a tile without a core");
}

void test_stream_faults(void**) {
    const Port dma0{PortKind::dma, 0};
    const Port dma1{PortKind::dma, 1};
    const Port north3{PortKind::north, 3};
    const Port south0{PortKind::south, 0};
    const auto connect = [](Port slave, Port master) {
        return [slave, master](Plan& p) { p.core.connections.push_back({slave, master}); };
    };
    assert_fault(connect(south0, {PortKind::south, 0}), "core 0.2: port South 0 is driven twice");
    assert_fault(connect(south0, {PortKind::south, 4}),
                 "core 0.2: a switch has no master port South 4");
    assert_fault(connect(dma0, dma1), "core 0.2: the switch cannot connect DMA 0 to DMA 1");
    assert_fault(connect(south0, north3), "core 0.2: what leaves at North 3 ends in core 0.3");
    assert_fault(connect(north3, {PortKind::south, 3}),
                 "core 0.2: North 3 is connected, but nothing comes from core 0.3");
    assert_fault(connect(dma1, {PortKind::south, 3}),
                 "core 0.2: DMA 1 is connected, but MM2S 1 is not started");
    assert_fault(connect(south0, dma1), "core 0.2: DMA 1 is connected, but S2MM 1 is not started");
    assert_fault(connect(south0, {PortKind::west, 0}), "core 0.2: what leaves at West 0 is lost");
    assert_fault(connect({PortKind::west, 0}, {PortKind::south, 3}),
                 "core 0.2: nothing comes in at West 0");
    assert_fault([](Plan& p) { p.core.connections.pop_back(); },
                 "core 0.2: MM2S 0 is started, but not connected");
    assert_fault(
        [&](Plan& p) {
            p.plan.shim(0).connections.push_back({north3, south0});
        },
        "shim 0: port South 0 is driven twice");
    assert_fault([](Plan& p) { p.core.sends_tokens = true; },
                 "core 0.2: sends completion tokens, which only shims do");
    assert_fault(
        [](Plan& p) {
            for (Descriptor& descriptor : p.memory.descriptors)
                descriptor.words = 60;
        },
        "route middle: memory tile 0 sends 60 words at a time, but core 0.2 receives 64");
}

void test_plan_errors(void**) {
    assert_error(error_of([] { FloorPlan("wide", 5); }), "wide: 5 columns");
    FloorPlan plan("p", 1);
    assert_error(error_of([&] { plan.memory_tile(1); }), "p: there is no memory tile 1");
    assert_error(error_of([&] { plan.core(0, 4); }), "p: there is no core 0.6");
    assert_error(error_of([] { make_overlay("x"); }), "there is no overlay x");
}

// The order of the writes

std::string text_of(const CdoCommand& command) {
    char text[64];
    switch (command.kind) {
    case CdoCommand::Kind::write:
        std::snprintf(text, sizeof(text), "%07x=%x", static_cast<unsigned>(command.address),
                      command.value);
        break;
    case CdoCommand::Kind::mask_write:
        std::snprintf(text, sizeof(text), "%07x&%x=%x", static_cast<unsigned>(command.address),
                      command.mask, command.value);
        break;
    default:
        std::snprintf(text, sizeof(text), "%07x..%zu", static_cast<unsigned>(command.address),
                      command.words.size());
    }
    return text;
}

void test_order(void**) {
    Plan plan;
    plan.core.fill(plan.core.buffer("table", 0x1000, 8), {1, 2, 3, 4, 5, 6, 7, 8});
    std::vector<std::string> expected{
        // stop the core, hold its channels in reset, load, let them go
        "0232000&1=0", "021de10&2=2", "021de18&2=2", "021de00&2=2", "021de08&2=2", "0220000..4",
        "0201000..2", "021de10&2=0", "021de18&2=0", "021de00&2=0", "021de08&2=0",
        // reset the core and its locks
        "0232000&2=2", "0232000&2=0"};
    for (unsigned lock = 0; lock < 16; ++lock) {
        char text[16];
        std::snprintf(text, sizeof(text), "%07x=0", 0x21F000 + 16 * lock);
        expected.push_back(text);
    }
    const std::vector<std::string> rest{
        // what the locks begin with
        "01c0000=4", "01c0010=0", "021f000=1", "021f010=0", "021f020=1", "021f030=0",
        // cores' descriptors and pushes, then those of memory tiles
        "021d000..6", "021d020..6", "021de04=0", "021de00&0=1", "021de14=1", "021de10&0=1",
        "01a0000..8", "01a0020..8", "01a0040..8", "01a0060..8", "01a0080..8", "01a00a0..8",
        "01a00c0..8", "01a00e0..8", "01a0604=0", "01a0600&0=1", "01a0634=4", "01a0630&0=1",
        // switches: master, slave; the shim's tokens
        "003f030=80000005", "003f114=80000000", "003f010=8000000e", "003f138=80000000",
        "003f008=c0000045", "003f100=c0000000", "003f200=f1f0135", "01b0000=80000007",
        "01b011c=80000000", "01b002c=80000000", "01b0100=80000000", "01b001c=8000000d",
        "01b0134=80000000", "023f004=80000005", "023f114=80000000", "023f014=80000001",
        "023f104=80000000",
        // the shim's multiplexers, and the cores last
        "001f000&c00=400", "001f004&30=10", "0232000&1=1"};
    expected.insert(expected.end(), rest.begin(), rest.end());
    const std::vector<CdoCommand> commands = configure(plan.plan);
    for (size_t i = 0; i < std::max(commands.size(), expected.size()); ++i) {
        const std::string text = i < commands.size() ? text_of(commands[i]) : "nothing";
        const std::string want = i < expected.size() ? expected[i] : "nothing";
        if (text != want)
            fail_msg("command %zu: %s instead of %s", i, text.c_str(), want.c_str());
    }
}

// The overlays

void test_overlays(void**) {
    for (const std::string& name : overlay_names()) {
        const Overlay overlay = make_overlay(name);
        assert_string_equal(overlay.plan.name().c_str(), name.c_str());
        assert_string_equal(overlay.manifest.name.c_str(), name.c_str());
        for (const std::string& fault : find_faults(overlay))
            fail_msg("%s: %s", name.c_str(), fault.c_str());
    }
}

// A program with something for the checker to find: it reads what is still being loaded.
void test_program_that_is_not_to_be_shipped(void**) {
    Plan good;
    Program program;
    program.emit({{"MOVXM_lng_cg", {"p0", 0x70000}}});
    program.emit({{"LDA_dms_lda_idx_imm", {"r1", "p0", 0}}});
    program.emit({{"ST_dms_sts_idx_imm", {"r1", "p0", 4}}});
    good.core.programs.clear();
    good.core.run("hasty", program, {});
    const std::vector<std::string> findings = check_programs(good.plan);
    assert_false(findings.empty());
    const bool named = std::any_of(findings.begin(), findings.end(), [](const std::string& line) {
        return line.starts_with("hasty: bundle 2 (0x20): ");
    });
    if (!named)
        fail_msg("%s", findings.front().c_str());
}

void test_overlay_with_faults(void**) {
    Overlay overlay = overlay_gemm_s8_s8();
    overlay.plan.core(0, 0).locks[0].initial = 64;
    assert_error(error_of([&] { write_overlay(overlay); }), "gemm_s8_s8 has 1 fault");
    overlay.plan.core(1, 0).locks[0].initial = 64;
    assert_error(error_of([&] { write_overlay(overlay); }), "gemm_s8_s8 has 2 faults");
}

// The product's array in numbers that the host relies on.
// Of results with 32 bits: OUT is sent by units.
void check_gemm(const FloorPlan& plan, size_t units) {
    assert_int_equal(plan.columns(), 4);
    assert_int_equal(plan.tiles().size(), 24);
    for (const Tile* tile : plan.tiles()) {
        std::map<std::string, size_t> words; // of each channel's transfers together
        for (const Channel& channel : tile->channels) {
            for (int id : channel.chain) {
                for (const Descriptor& descriptor : tile->descriptors)
                    words[name_of(channel.direction, channel.index)] +=
                        descriptor.id == id ? descriptor.words : 0;
            }
        }
        switch (tile->kind()) {
        case TileKind::shim:
            assert_true(tile->sends_tokens);
            assert_int_equal(tile->connections.size(), 4);
            break;
        case TileKind::memory:
            assert_int_equal(words["S2MM 0"], 4 * 1024);
            assert_int_equal(words["MM2S 0"], 4 * 1024);
            assert_int_equal(words["S2MM 1"], 4 * 1032);
            assert_int_equal(words["MM2S 1"], 4 * 1032);
            for (const char* channel : {"S2MM 2", "S2MM 3", "S2MM 4", "S2MM 5"})
                assert_int_equal(words[channel], 2 * 4096);
            for (const char* channel : {"MM2S 2", "MM2S 3"})
                assert_int_equal(words[channel], 4 * 4096);
            break;
        case TileKind::core:
            assert_int_equal(words["S2MM 0"], 2 * 1024);
            assert_int_equal(words["S2MM 1"], 2 * 1032);
            assert_int_equal(words["MM2S 0"], 4096);
            for (const Channel& channel : tile->channels) {
                if (name_of(channel.direction, channel.index) == "MM2S 0")
                    assert_int_equal(channel.chain.size(), units);
            }
            break;
        }
        // An empty lock begins with as many as its channel has places to fill.
        for (const Channel& channel : tile->channels) {
            for (const Descriptor& descriptor : tile->descriptors) {
                if (channel.direction != in || descriptor.id != channel.chain.front())
                    continue;
                for (const Lock& lock : tile->locks) {
                    if (lock.id == descriptor.acquire->lock)
                        assert_int_equal(lock.initial, channel.chain.size());
                }
            }
        }
        for (const Lock& lock : tile->locks) {
            if (lock.name == "OUT empty")
                assert_int_equal(lock.initial, units);
        }
    }
    // Every core gets the A of its row and the B of its column.
    std::set<std::pair<std::string, TileId>> reached;
    for (const Route& route : plan.routes()) {
        for (const Endpoint& to : route.to)
            reached.insert({route.name, to.tile});
    }
    for (int column = 0; column < 4; ++column) {
        for (int row = 0; row < 4; ++row) {
            assert_true(reached.contains({"A" + std::to_string(row), {column, 2 + row}}));
            assert_true(reached.contains({"B" + std::to_string(column), {column, 2 + row}}));
        }
    }
}

void test_gemm(void**) {
    check_gemm(overlay_gemm_s8_s32().plan, 1);
    check_gemm(overlay_gemm_bf16().plan, 2);
}

void test_explanation(void**) {
    const std::string text = explain(Plan().plan);
    const std::string expected = R"(p: 2 columns

shim 0
  completion tokens: Ctrl 0 to South 0, packets

memory tile 0
  memory
    0x00000 to 0x00400   1024 bytes  stock
  locks
     0  begins at  4  empty
     1  begins at  0  full
  S2MM 0
    BD  0  0x00000     64 words  takes empty  gives full  then 1
    BD  1  0x00100     64 words  takes empty  gives full  then 2
    BD  2  0x00200     64 words  takes empty  gives full  then 3
    BD  3  0x00300     64 words  takes empty  gives full  then 0
  MM2S 0
    BD  4  0x00000     64 words  takes full  gives empty  then 5
    BD  5  0x00100     64 words  takes full  gives empty  then 6
    BD  6  0x00200     64 words  takes full  gives empty  then 7
    BD  7  0x00300     64 words  takes full  gives empty  then 4

core 0.2
  program double: 16 bytes of 16384
    message  takes input full, output empty  gives input empty, output full
  memory
    0x00000 to 0x00100    256 bytes  bank 0  input
    0x00400 to 0x00600    512 bytes  bank 0  output
  locks
     0  begins at  1  input empty
     1  begins at  0  input full
     2  begins at  1  output empty
     3  begins at  0  output full
  S2MM 0
    BD  0  0x00000     64 words  takes input empty  gives input full  then 0
  MM2S 0
    BD  1  0x00400    128 words  takes output full  gives output empty  then 1

routes
  in: from host memory, shim 0 MM2S 0
    shim 0: South 3 to North 0
    memory tile 0: South 0 to DMA 0, S2MM 0
  middle: from memory tile 0 MM2S 0
    memory tile 0: DMA 0 to North 0
    core 0.2: South 0 to DMA 0, S2MM 0
  out: from core 0.2 MM2S 0
    core 0.2: DMA 0 to South 0
    memory tile 0: North 0 to South 0
    shim 0: North 0 to South 2, S2MM 0
)";
    if (text != expected)
        fail_msg("%s", text.c_str());
}

} // namespace

int main(int argc, char** argv) {
    const char* named = std::getenv("NPUENC_NPU_FACTS");
    facts = named ? named : argc > 1 ? argv[1] : ".";
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_shim_descriptor),
        cmocka_unit_test(test_core_descriptor),
        cmocka_unit_test(test_memory_tile_descriptor),
        cmocka_unit_test(test_values_that_do_not_fit),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_device),
        cmocka_unit_test(test_route_along_column_and_row),
        cmocka_unit_test(test_route_to_many),
        cmocka_unit_test(test_route_through_a_memory_tile),
        cmocka_unit_test(test_routes_that_cannot_be),
        cmocka_unit_test(test_ports_that_cannot_be_connected),
        cmocka_unit_test(test_good_plan),
        cmocka_unit_test(test_memory_faults),
        cmocka_unit_test(test_transfer_faults),
        cmocka_unit_test(test_chain_faults),
        cmocka_unit_test(test_lock_faults),
        cmocka_unit_test(test_alternatives),
        cmocka_unit_test(test_program_faults),
        cmocka_unit_test(test_stream_faults),
        cmocka_unit_test(test_plan_errors),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_overlays),
        cmocka_unit_test(test_program_that_is_not_to_be_shipped),
        cmocka_unit_test(test_overlay_with_faults),
        cmocka_unit_test(test_gemm),
        cmocka_unit_test(test_explanation),
    };
    return cmocka_run_group_tests_name("aie2 array", tests, nullptr, nullptr);
}
