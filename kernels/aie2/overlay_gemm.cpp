// SPDX-License-Identifier: MIT
// Row r of cores computes rows 64r of a 256 x 256 group of C, column c of cores columns 64c. The
// shim of column i brings A for core row i and B for core column i; memory tiles keep a few tiles
// of each in stock, collect the results of their column, and send them on.
#include "kernels/aie2/overlay_gemm.hpp"

#include <utility>

#include "kernels/aie2/gelu_results.hpp"
#include "kernels/aie2/gemm_bf16.hpp"
#include "kernels/aie2/gemm_s8.hpp"
#include "kernels/aie2/overlay.hpp"

namespace npuenc::aie2 {
namespace {

constexpr int side = 4; // columns of the array, and rows of cores

constexpr uint32_t a_bytes = 4096;
constexpr uint32_t b_header_bytes = 32; // what the core has to know about the tile
constexpr uint32_t b_bytes = b_header_bytes + 4096;
constexpr uint32_t sums_bytes = 64 * 64 * 4;

constexpr int stock = 4; // tiles of A and of B in a memory tile

// DMA channels. Cores:
constexpr int core_a_in = 0;
constexpr int core_b_in = 1;
constexpr int core_c_out = 0;
// Memory tiles; the results of core row r come in at channel 2 + r and leave in two halves.
constexpr int a_channel = 0;
constexpr int b_channel = 1;
constexpr int c_in = 2;
constexpr int c_out = 2;
constexpr int n_halves = 2;
// What OUT holds is sent in two pieces, so that the first can leave while the second comes in.
constexpr int n_pieces = 2;

constexpr Direction in = Direction::into_memory;
constexpr Direction out = Direction::out_of_memory;

void lay_out_core(Tile& core, const GemmKernel& kernel) {
    // The four banks of 16 KB: a loop over a tile reads A and B and updates the sums in the same
    // cycle, while the DMA fills the other A and B and drains the result.
    const Buffer& b1 = core.buffer("B1", 0x0000, b_bytes);
    const Buffer& b0 = core.buffer("B0", 0x4000, b_bytes);
    const Buffer& out_buffer = core.buffer("OUT", 0x6000, kernel.out_bytes);
    const Buffer& a0 = core.buffer("A0", 0xA000, a_bytes);
    const Buffer& a1 = core.buffer("A1", 0xB000, a_bytes);
    core.buffer("sums", 0xC000, sums_bytes);
    if (kernel.works_in.bytes > 0)
        core.buffer("hidden", kernel.works_in.address, kernel.works_in.bytes);

    const Lock& a_empty = core.lock("A empty", 0, 2);
    const Lock& a_full = core.lock("A full", 1, 0);
    const Lock& b_empty = core.lock("B empty", 2, 2);
    const Lock& b_full = core.lock("B full", 3, 0);
    const Lock& out_empty = core.lock("OUT empty", 4, kernel.out_units());
    const Lock& out_full = core.lock("OUT full", 5, 0);

    core.loop(in, core_a_in,
              {{a0.all(), one(a_empty), one(a_full)}, {a1.all(), one(a_empty), one(a_full)}});
    core.loop(in, core_b_in,
              {{b0.all(), one(b_empty), one(b_full)}, {b1.all(), one(b_empty), one(b_full)}});
    std::vector<Transfer> drain;
    for (uint32_t at = 0; at < kernel.out_bytes; at += kernel.unit_bytes())
        drain.push_back({out_buffer.part(at, kernel.unit_bytes()), one(out_full), one(out_empty)});
    core.loop(out, core_c_out, drain);

    std::vector<Activity> activities = {
        {"K tile", {one(a_full), one(b_full)}, {one(a_empty), one(b_empty)}}};
    const std::string& usual = kernel.results.front().name;
    for (const GemmResult& result : kernel.results)
        activities.push_back({result.name,
                              {several(out_empty, result.units)},
                              {several(out_full, result.units)},
                              result.name == usual ? "" : usual});
    core.run(kernel.name, kernel.program, activities);
}

// A stock of `stock` tiles: filled from the host, emptied to the cores, in the same order.
uint32_t lay_out_stock(Tile& tile, const std::string& name, int channel, uint32_t address,
                       uint32_t bytes) {
    const Buffer& tiles = tile.buffer(name, address, stock * bytes);
    const Lock& empty = tile.lock(name + " empty", 2 * channel, stock);
    const Lock& full = tile.lock(name + " full", 2 * channel + 1, 0);
    std::vector<Transfer> fill, drain;
    for (int i = 0; i < stock; ++i) {
        fill.push_back({tiles.part(i * bytes, bytes), one(empty), one(full)});
        drain.push_back({tiles.part(i * bytes, bytes), one(full), one(empty)});
    }
    tile.loop(in, channel, fill);
    tile.loop(out, channel, drain);
    return address + tiles.bytes;
}

// Twice what OUT holds of each core. Both cores of a half share its way to the host, piece by piece
// in turn.
void lay_out_results(Tile& tile, uint32_t address, uint32_t out_bytes) {
    constexpr int n_results = 2;
    constexpr int first_lock = 4;
    const uint32_t piece = out_bytes / n_pieces;
    struct Place {
        const Buffer* results;
        const Lock* empty;
        const Lock* full;
    };
    std::vector<Place> places;
    for (int row = 0; row < side; ++row) {
        const std::string name = "C" + std::to_string(row);
        places.push_back({&tile.buffer(name, address, n_results * out_bytes),
                          &tile.lock(name + " empty", first_lock + 2 * row, n_results * n_pieces),
                          &tile.lock(name + " full", first_lock + 2 * row + 1, 0)});
        address += n_results * out_bytes;
    }
    for (int row = 0; row < side; ++row) {
        const Place& place = places[row];
        std::vector<Transfer> collect;
        for (int i = 0; i < n_results * n_pieces; ++i)
            collect.push_back(
                {place.results->part(i * piece, piece), one(*place.empty), one(*place.full)});
        tile.loop(in, c_in + row, collect);
    }
    for (int half = 0; half < n_halves; ++half) {
        std::vector<Transfer> send;
        for (int i = 0; i < n_results * n_pieces; ++i) {
            for (int row = 2 * half; row < 2 * half + 2; ++row) {
                const Place& place = places[row];
                send.push_back(
                    {place.results->part(i * piece, piece), one(*place.full), one(*place.empty)});
            }
        }
        tile.loop(out, c_out + half, send);
    }
}

} // namespace

FloorPlan lay_out_gemm(GemmKernel kernel) {
    FloorPlan plan(kernel.name, side);
    for (int column = 0; column < side; ++column) {
        Tile& memory = plan.memory_tile(column);
        uint32_t address = lay_out_stock(memory, "A", a_channel, 0, a_bytes);
        address = lay_out_stock(memory, "B", b_channel, address, b_bytes);
        lay_out_results(memory, address, kernel.out_bytes);
        for (int row = 0; row < side; ++row)
            lay_out_core(plan.core(column, row), kernel);
        plan.send_tokens(column);
    }

    const auto shim = [&](int column) { return plan.shim(column).id(); };
    const auto memory = [&](int column) { return plan.memory_tile(column).id(); };
    const auto core = [&](int column, int row) { return plan.core(column, row).id(); };
    for (int i = 0; i < side; ++i) {
        const std::string number = std::to_string(i);
        std::vector<Endpoint> cores_of_row, cores_of_column;
        for (int j = 0; j < side; ++j) {
            cores_of_row.push_back({core(j, i), core_a_in});
            cores_of_column.push_back({core(i, j), core_b_in});
        }
        plan.route("A" + number + " in", {shim(i), 0}, {{memory(i), a_channel}});
        plan.route("B" + number + " in", {shim(i), 1}, {{memory(i), b_channel}});
        plan.route("A" + number, {memory(i), a_channel}, cores_of_row);
        plan.route("B" + number, {memory(i), b_channel}, cores_of_column);
    }
    for (int column = 0; column < side; ++column) {
        for (int row = 0; row < side; ++row)
            plan.route("C" + std::to_string(row) + std::to_string(column),
                       {core(column, row), core_c_out}, {{memory(column), c_in + row}});
        for (int half = 0; half < n_halves; ++half)
            plan.route("C" + std::to_string(column) + " out " + std::to_string(half),
                       {memory(column), c_out + half}, {{shim(column), half}});
    }
    return plan;
}

namespace {

Overlay make_gemm(GemmKernel kernel, const std::string& operand_type,
                  const std::string& result_type, int64_t depth) {
    const Manifest manifest{
        .name = kernel.name,
        .kernel = "gemm",
        .types = {{"a", operand_type}, {"b", operand_type}, {"c", result_type}},
        .tile = {{"rows", 64}, {"columns", 64}, {"depth", depth}},
        .layout = {{"a_message_bytes", a_bytes},
                   {"b_message_bytes", b_bytes},
                   {"b_header_bytes", b_header_bytes},
                   {"c_message_bytes", kernel.unit_bytes()},
                   {"c_chunk_bytes", kernel.out_bytes / n_pieces},
                   {"group_rows", 64 * side},
                   {"group_columns", 64 * side}},
    };
    return {lay_out_gemm(std::move(kernel)), manifest, 3};
}

} // namespace

Overlay overlay_gemm_s8_s32() {
    return make_gemm({"gemm_s8_s32", gemm_s8(GemmS8Result::s32), sums_bytes, {{"result", 1}}},
                     "int8", "int32", 64);
}

Overlay overlay_gemm_s8_s8() {
    return make_gemm({"gemm_s8_s8", gemm_s8(GemmS8Result::s8), sums_bytes / 4, {{"result", 1}}},
                     "int8", "int8", 64);
}

Overlay overlay_gemm_s8_s16() {
    return make_gemm({"gemm_s8_s16", gemm_s8(GemmS8Result::s16), sums_bytes / 2, {{"result", 1}}},
                     "int8", "int16", 64);
}

Overlay overlay_gemm_bf16() {
    return make_gemm({"gemm_bf16",
                      gemm_bf16(),
                      sums_bytes,
                      {{"f32 result", 2}, {"int16 result", 1}, {"GELU", 1}},
                      {gemm::hidden_address - gemm::beside_hidden,
                       gemm::hidden_bytes + 2 * gemm::beside_hidden}},
                     "bfloat16", "float32, int16 or bfloat16", 32);
}

} // namespace npuenc::aie2
