// SPDX-License-Identifier: MIT
// Two loops. The first goes over the sums backwards, 8 rows x 4 columns (a cm) at a time, many of
// them at once, each in another stage; the bf16 values h come to lie in `hidden`, and later GELU
// (h) in their place. The second puts columns beside each other as A has them, from four to eight,
// and sends them.
//
// What the first turns of the first loop store, before anything has come so far, and the last ones,
// goes beside `hidden`, where nothing is. The last ones read what lies before the sums.
#include "kernels/aie2/gelu_results.hpp"

#include <stdexcept>
#include <tuple>
#include <utility>

#include "kernels/aie2/gelu_tile.hpp"
#include "kernels/aie2/program/mnemonics.hpp"
#include "kernels/aie2/program/pipeline.hpp"
#include "kernels/aie2/program/scheduler.hpp"

namespace npuenc::aie2::gemm {
namespace {

namespace tile = gelu_tile;

// A group is 8 rows x 4 columns, a block 8 x 16, and there are 32 of those.
constexpr int groups = 4 * blocks;
constexpr int group_sums = 128, group_values = 64; // bytes
constexpr int block_values = 4 * group_values;
constexpr int hidden = own_memory + hidden_address;
constexpr int bias_groups = 16, bias_bytes = 64;

// Registers that keep their values.
constexpr const char* multiply_int16 = "r24"; // 32 lanes, configurations of the MAC
constexpr const char* subtract_int16 = "r25";
constexpr const char* multiply_bf16 = "r26"; // 16 lanes, two products each
constexpr const char* half_vector = "r27";   // bytes
constexpr const char* upper_rows = "r28";    // modes of VSHUFFLE
constexpr const char* lower_rows = "r29";
constexpr const char* zero = "r31";
constexpr const char* counter = "r30";
constexpr const char* no_shift = "s0";
constexpr const char* of_15_bits = "s1";
constexpr const char* of_12_bits = "s2";
constexpr int bias_steps = 5;  // d5
constexpr int block_steps = 3; // d3 and d7

constexpr const char* bias_pointer = "p1";
constexpr const char* sums_pointer = "p2";
constexpr const char* operands = "p5"; // behind the biases
constexpr const char* h_store = "p0";
constexpr const char* h_load = "p6";
constexpr const char* result_store = "p7";

// Vectors and accumulators that stay the same in the first loop.
constexpr int least_register = 0, signs_register = 1, h_and_three_quarters = 2;
constexpr const char *least = "x0", *signs = "x1";
constexpr const char *c2 = "cm6", *c1 = "cm7", *c0 = "cm8";

int behind_biases(size_t operand) {
    return static_cast<int>(operand) - static_cast<int>(tile::magnitude);
}

Instruction vldb(const std::string& to, const std::string& pointer, int offset) {
    return {"VLDB_dmw_ldb_ag_idx_imm", {to, pointer, offset}};
}

void load_late(Pipeline& loop, const std::string& value, size_t operand) {
    for (const int half : {0, 1})
        loop.add_late(vlda((half == 0 ? "wl{" : "wh{") + value + "}", operands,
                           behind_biases(operand) + 32 * half));
}

// All lanes are the same.
void load_late_accumulator(Pipeline& loop, const std::string& value, size_t operand) {
    for (const char* quarter : {"amll{", "amlh{", "amhl{", "amhh{"})
        loop.add_late(vlda(quarter + value + "}", operands, behind_biases(operand)));
}

// to = (constant + z x) / 2^15, of int16.
void add_polynomial_step(Pipeline& loop, const std::string& to, const char* constant,
                         const std::string& x) {
    loop.add(vmac("cm{sum " + to + "}", constant, "x{z}", "x{" + x + "}", multiply_int16));
    loop.add(vsrs_s16("x{" + to + "}", "cm{sum " + to + "}", of_15_bits));
}

void add_square(Pipeline& loop, const std::string& to, const std::string& x) {
    loop.add(vmul("cm{sum " + to + "}", "x{" + x + "}", "x{" + x + "}", multiply_int16));
    loop.add(vsrs_s16("x{" + to + "}", "cm{sum " + to + "}", of_15_bits));
}

Pipeline gelu_of_a_group() {
    Pipeline loop;
    // h = sum + bias
    for (const auto& [quarter, at] :
         {std::pair{"amll{h}", 0}, {"amlh{h}", 32}, {"amhl{h}", 64}, {"amhh{h}", 96}})
        loop.add(vlda(quarter, sums_pointer, at));
    loop.add_late(vldb("wl{bias}", bias_pointer, 0));
    loop.add_late(vldb("wh{bias}", bias_pointer, 32));
    for (const char* half : {"bml{h}", "bmh{h}"})
        loop.add(vmac_f(half, half, "x{bias}", signs, multiply_bf16));
    loop.add(vconv_bf16("wl{h16}", "bml{h}"));
    loop.add(vconv_bf16("wh{h16}", "bmh{h}"));
    loop.add(vst("wl{h16}", h_store, 0), "hidden");
    loop.add(vst("wh{h16}", h_store, 32), "hidden");
    // z = round(min(|h|, largest) s)
    load_late(loop, "magnitude", tile::magnitude);
    loop.add(vband("x{t}", "x{h16}", "x{magnitude}"));
    load_late(loop, "largest", tile::largest);
    loop.add(vmin_bf16("x{t less}", "r16", "x{t}", "x{largest}"));
    loop.add(vshift("x{t swapped}", "x{t less}", "x{t less}", half_vector));
    load_late_accumulator(loop, "z32", tile::integers);
    load_late(loop, "scale", tile::scale);
    loop.add(vmac_f("bml{z32}", "bml{z32}", "x{t less}", "x{scale}", multiply_bf16));
    loop.add(vmac_f("bmh{z32}", "bmh{z32}", "x{t swapped}", "x{scale}", multiply_bf16));
    loop.add(vsrs_s16("x{z}", "cm{z32}", no_shift));
    // q and its eighth power
    load_late(loop, "c3", tile::c3);
    add_polynomial_step(loop, "b2", c2, "c3");
    add_polynomial_step(loop, "b1", c1, "b2");
    add_polynomial_step(loop, "q", c0, "b1");
    loop.add_after("sum q", vmov("x{z later}", "x{z}"));
    add_square(loop, "q2", "q");
    add_square(loop, "q4", "q2");
    loop.add_after("sum q4", vmov("x{z last}", "x{z later}"));
    add_square(loop, "q8", "q4");
    // v
    loop.add(vmul("cm{v32}", "x{z last}", "x{q8}", multiply_int16));
    loop.add(vsrs_s16("x{v}", "cm{v32}", of_12_bits));
    // max(h, 0) - v units / 2^24
    load_late_accumulator(loop, "gelu", tile::results);
    load_late(loop, "units", tile::units);
    loop.add(vmac("cm{gelu}", "cm{gelu}", "x{v}", "x{units}", subtract_int16));
    for (const auto& [half, at, comparison] :
         {std::tuple{"bml{gelu}", 0, "r17"}, {"bmh{gelu}", 32, "r18"}}) {
        const std::string positive = std::string("x{positive ") + half[2] + "}";
        loop.add_late(vldb("wl{again}", h_load, at), "hidden");
        loop.add_after("v", vmax_bf16(positive, comparison, "x{again}", least));
        loop.add(vmac_f(half, half, positive, signs, multiply_bf16));
    }
    loop.add(vconv_bf16("wl{gelu16}", "bml{gelu}"));
    loop.add(vconv_bf16("wh{gelu16}", "bmh{gelu}"));
    loop.add(vst("wl{gelu16}", result_store, 0), "hidden");
    loop.add(vst("wh{gelu16}", result_store, 32), "hidden");

    loop.pin("again", h_and_three_quarters);
    loop.step(sums_pointer, paddb(sums_pointer, -group_sums));
    loop.step(bias_pointer, paddb_2d(bias_pointer, bias_steps));
    for (const char* pointer : {h_store, h_load, result_store})
        loop.step(pointer, paddb(pointer, -group_values));
    return loop;
}

const Pipeline::Free free_registers = {{3, 4, 5, 6, 7, 8, 9, 10, 11}, {0, 1, 2, 3, 4, 5}};

void emit_first_setup(Program& program, const Pipeline::Loop& loop) {
    Block block;
    const auto last_group = [&](const char* pointer, int base, int bytes) {
        return base + (groups - 1 + loop.steps_before.at(pointer)) * bytes;
    };
    block.add(acquire(out_empty, minus_one));
    block.add(mov(bias_pointer, b_other));
    block.add(mov(operands, b_other));
    block.add(paddb(operands, 512));
    block.add(paddb(operands, header_bytes + static_cast<int>(tile::magnitude) - 512));
    for (const auto& [to, from] :
         {std::pair{least_register, tile::least}, {signs_register, tile::signs}}) {
        block.add(vlda(wl(to), operands, behind_biases(from)), {"operands", ""});
        block.add(vlda(wh(to), operands, behind_biases(from) + 32), {"operands", ""});
    }
    block.add(vlda(wh(h_and_three_quarters), operands, behind_biases(tile::least) + 32),
              {"operands", ""});
    for (const int i : free_registers.vectors)
        block.add(vbcst_32(x(i), zero));
    for (const int i : free_registers.accumulators)
        block.add(vclr(cm(i)));
    for (int i = 0; i < 3; ++i) {
        const size_t places[] = {tile::c2, tile::c1, tile::c0};
        for (int quarter = 0; quarter < 4; ++quarter)
            block.add(vlda(am(6 + i, quarter), operands, behind_biases(places[i])),
                      {"operands", ""});
    }
    block.add(movxm(sums_pointer, last_group(sums_pointer, sums_buffer, group_sums)));
    block.add(movxm(h_store, last_group(h_store, hidden, group_values)));
    block.add(movxm(h_load, last_group(h_load, hidden, group_values)));
    block.add(movxm(result_store, last_group(result_store, hidden, group_values)));
    // What is read before anything was stored there.
    for (int before = 0; before < loop.steps_before.at(h_load); ++before)
        for (const int half : {0, 1})
            block.add(
                vst(wl(free_registers.vectors.front()), h_load, 32 * half - group_values * before),
                {"hidden", ""});
    // The last group of columns first.
    const int before = loop.steps_before.at(bias_pointer) % bias_groups;
    const int first = before == 0 ? bias_groups - 1 : before - 1;
    block.add(paddb(bias_pointer, header_bytes + bias_bytes * first));
    block.add(movxm(dc(bias_steps), bias_groups - 1 - first));
    block.emit(program);
}

void emit_first_loop(Program& program, const Pipeline::Loop& loop) {
    const auto start = program.new_label(), end = program.new_label();
    program.emit_to(start, {movxm_target("LS")});
    program.emit_to(end, {movxm_target("LE")});
    program.emit({movxm("LC", groups + loop.stages - 1)});
    emit_first_setup(program, loop);
    for (size_t i = 0; i < loop.body.size(); ++i) {
        if (i == 0)
            program.place(start);
        if (i == loop.body.size() - 1)
            program.place(end);
        std::vector<Instruction> list;
        for (const Instruction& instruction : loop.body[i].slots)
            if (!instruction.name.empty())
                list.push_back(instruction);
        program.emit(list);
    }
}

// A block of 8 rows x 16 columns, two squares of 8 x 8, in each turn: those of the first tile of A,
// then the others.
void emit_second_loop(Program& program) {
    Block setup;
    setup.add(movxm("p1", hidden));
    setup.add(mova(counter, blocks));
    setup.emit(program);
    const auto again = program.new_label();
    program.place(again);
    Block block;
    for (int group = 0; group < 4; ++group) {
        block.add(vlda(wl(group), "p1", 64 * group), {"hidden", ""});
        block.add(vlda(wh(group), "p1", 64 * group + 32), {"hidden", ""});
    }
    for (int square = 0; square < 2; ++square)
        for (int rows = 0; rows < 2; ++rows) {
            const int to = 4 + 2 * square + rows;
            block.add(vshuffle(x(to), x(2 * square), x(2 * square + 1),
                               rows == 0 ? upper_rows : lower_rows));
            for (const std::string& half : {wl(to), wh(to)})
                block.add(vst_2d_after(half, out_pointer, out_steps), {"out", ""});
        }
    block.add(paddb_3d("p1", block_steps));
    block.add({add(counter, counter, -1), add_nc(counter, counter, -1)});
    block.emit(program, Block::Branch{again, counter});
}

} // namespace

std::vector<Constant> gelu_registers() {
    return {{multiply_int16, 0x338},
            {subtract_int16, 0xb38},
            {multiply_bf16, 60},
            {half_vector, 32},
            {upper_rows, 14},
            {lower_rows, 15},
            {zero, 0},
            {of_15_bits, 15},
            {of_12_bits, 12},
            {m(bias_steps), bias_bytes * (bias_groups - 1)},
            {dj(bias_steps), -bias_bytes},
            {dn(bias_steps), bias_groups - 1},
            // Two blocks, those of the next row pair; then the others of all of them.
            {dj(block_steps), block_values},
            {dn(block_steps), 1},
            {dc(block_steps), 0},
            {dj(block_steps + 4), 3 * block_values},
            {dn(block_steps + 4), row_pairs - 1},
            {dc(block_steps + 4), 0},
            {m(block_steps + 4), 0}, // read as a part of d7, and not used
            {m(block_steps), block_values * (2 - 4 * (row_pairs - 1) - 1)}};
}

void emit_gelu(Program& program, Program::Label top) {
    const Pipeline::Loop loop = gelu_of_a_group().shortest(18, 40, free_registers);
    for (const char* pointer : {h_store, h_load, result_store})
        if (loop.steps_before.at(pointer) * group_values > beside_hidden)
            throw std::logic_error("too many stages");
    emit_first_loop(program, loop);
    emit_second_loop(program);
    program.emit({movxm(sums_load_pointer, sums_buffer)});
    program.emit({movxm(sums_store_pointer, sums_buffer)});
    Block end;
    end.add(release(out_full, one));
    end.add(release(a_empty, one));
    end.add(release(b_empty, one));
    end.emit(program, Block::Branch{top, ""});
}

} // namespace npuenc::aie2::gemm
