// SPDX-License-Identifier: MIT
// Eight queries at a time. Scores are made transposed, keys down and queries across, so that the
// largest score of a query is a maximum of whole vectors; and so are the weights, which are then
// turned round 8x8 bytes at a time to be the left factor of the product with V.
//
// What lies in registers and memory is written [keys][queries] and the like, rows first.
#include "kernels/aie2/attention_s8_64x64.hpp"

#include <algorithm>
#include <string>

#include "kernels/aie2/program/mnemonics.hpp"
#include "kernels/aie2/program/scheduler.hpp"

namespace npuenc::aie2 {
namespace {

using Map = AttentionS8;

constexpr int own_memory = 0x70000; // where a core sees its data memory
constexpr int lock_input_empty = 0, lock_input_full = 1;
constexpr int lock_output_empty = 4, lock_output_full = 5;

// The core's own part of data memory.
constexpr int parameters_at = Map::parameters_address;
constexpr int reciprocals_at = 0xC040; // 2 halves of a block of queries x 2 pairs of rows x 32
constexpr int ones_at = 0xC0C0;        // 64 x int8 1
constexpr int floor_at = 0xC100;       // 32 x int16 -32768
constexpr int intercepts_at = 0xC140;  // n_tangents x 64 times the same byte
constexpr int zeros_at = 0xC340;       // 64 bytes
constexpr int scores_at = 0xC400;      // 16 tiles of int16 [4 keys][8 queries]
constexpr int weights_at = 0xC800;     // 2 halves x 8 tiles of int8 [4 queries][8 keys]
constexpr int sums_at = 0xCA00;        // 8 queries x 8 times the same int32
constexpr int means_at = 0xCC00;       // 8 panels x 2 halves of int16 [4 queries][8 columns]

constexpr int panel_bytes = 3 * 64 * 8;
constexpr int out_panel_bytes = 64 * 8;
constexpr int n_tangents = AttentionParameters::n_tangents;

// p5 points into the middle of what immediate offsets of words (-128..124) reach.
constexpr int middle = reciprocals_at + 64;

// Configurations of the MAC.
constexpr int int8_4x8x8 = 0x308, int16_4x2x8 = 0x318;
constexpr int transpose_8x8_bytes = 35; // mode of VSHUFFLE

// 1 / sum by Newton's method on y = sum normalised to [2^14, 2^15): the reciprocal 2^29 / y begins
// as first_guess - y, which is never off by more than 7.2 %.
constexpr int first_guess = 47976;
// The reciprocal of a sum is 2^21 / sum, an int16.
constexpr int mean_shift = 5; // from sums of weight * V to int16

constexpr int round_to_even = 12, saturate = 1;

const Place input = {"input", "input"};
const Place output = {"output", "output"};
Place own(const std::string& name) {
    return {name, "work"};
}
Place own(const char* name, int number) {
    return own(name + std::to_string(number));
}

// Registers that stay the same:
//   r0-r7 shifts of the tangents   r20-r23 for reciprocals   r24, r25 MAC   r26 VSHUFFLE
//   r27, r28 32 and 16             r29 -1                    r30 blocks of queries to go
//   p4 scores  p5 middle  p6 sums  dn0-dn3 where Q, K, V and the output go on
//   dj0, dj1 buffers of this message  m0-m5 steps
// r8-r15 are for what is short-lived, r16-r19 take comparisons that nobody looks at.

void add_constant(Block& block, const std::string& target, int value) {
    block.add({add(target, target, value), add_nc(target, target, value)});
}

void load_vector(Block& block, int number, const std::string& pointer, int offset,
                 const Place& place) {
    block.add(vlda(wl(number), pointer, offset), place);
    block.add(vlda(wh(number), pointer, offset + 32), place);
}

// cm += a b, or cm = a b.
void multiply(Block& block, int sums, int a, int b, const char* configuration, bool first) {
    block.add(first ? vmul(cm(sums), x(a), x(b), configuration)
                    : vmac(cm(sums), cm(sums), x(a), x(b), configuration));
}

// Once.
void write_start(Program& program) {
    Block block;
    block.add(movxm("r8", round_to_even));
    block.add(set_control("crRnd", "r8"));
    block.add(movxm("r9", saturate));
    block.add(set_control("crSat", "r9"));
    block.add(movxm("r20", first_guess));
    block.add(movxm("r21", 1 << 16));
    block.add(movxm("r22", -14));
    block.add(movxm("r23", -15));
    block.add(movxm("r24", int8_4x8x8));
    block.add(movxm("r25", int16_4x2x8));
    block.add(movxm("r26", transpose_8x8_bytes));
    block.add(movxm("r27", 32));
    block.add(movxm("r28", 16));
    block.add(movxm("r29", -1));
    block.add(movxm("p4", own_memory + scores_at));
    block.add(movxm("p5", own_memory + middle));
    block.add(movxm("p6", own_memory + sums_at));
    block.add(movxm("m0", panel_bytes - 32));          // second half of a tile to the next panel
    block.add(movxm("m1", panel_bytes - 7 * 32));      // eighth tile of 4 keys to the next panel
    block.add(movxm("m2", 32 - 7 * panel_bytes));      // and from the last panel to the first
    block.add(movxm("m3", 64 - 32 - panel_bytes));     // second panel of V back to the first
    block.add(movxm("m4", panel_bytes - 32 - 7 * 64)); // last keys of V to the next two panels
    block.add(movxm("m5", out_panel_bytes - 32));
    // The MAC takes 4x8 bytes and 2x8 int16 from the low halves of registers, but reads all of
    // them.
    block.add(movxm("r8", 0));
    for (int i = 0; i < 12; ++i)
        block.add(vbcst_8(x(i), "r8"));
    block.add(movxm("dj0", own_memory + Map::input_address[0]));
    block.add(movxm("dj1", own_memory + Map::output_address[0]));
    block.emit(program);
}

// Waits for the buffers of a message and reads the parameters.
void write_message_start(Program& program) {
    Block block;
    block.add(acquire(lock_input_full, "r29"));
    block.add(acquire(lock_output_empty, "r29"));
    const Place parameters = own("parameters");
    const int words = parameters_at - middle;
    block.add(lda("r0", "p5", words + 4), parameters);
    for (int i = 1; i < n_tangents; ++i)
        block.add({add(r(i), "r0", i), add_nc(r(i), "r0", i)});
    for (int i = 0; i < n_tangents; ++i) {
        block.add(lda(r(8 + i), "p5", words + 12 + 4 * i), parameters);
        block.add(vbcst_8(x(i), r(8 + i)));
        const int at = intercepts_at - middle + 64 * i;
        block.add(vst(wl(i), "p5", at), own("intercept", i));
        block.add(vst(wh(i), "p5", at + 32), own("intercept", i));
    }
    block.add(mov("dn0", "dj0"));
    block.add(mov("r8", "dj0"));
    block.add(movxm("r9", 64 * 8)); // Q, K and V follow each other in a panel
    block.add(add("r10", "r8", "r9"));
    block.add(mov("dn1", "r10"));
    block.add(add("r10", "r10", "r9"));
    block.add(mov("dn2", "r10"));
    block.add(mov("dn3", "dj1"));
    block.add(movxm("r30", 8));
    block.emit(program);
}

// Scores of eight queries and all keys, transposed, as int16: per half of the keys, 8 tiles [4
// keys] [8 queries] in cm0-cm7, over 8 panels. 4 tiles of Q lie in x0-x3 at a time, and x4-x11 take
// those of K as they come.
void write_scores(Block& block) {
    block.add(lda("r8", "p5", parameters_at - middle), own("parameters"));
    block.add(mov("s0", "r8"));
    block.add(mov("p1", "dn1"));
    block.add(movxm("p7", own_memory + scores_at));
    for (int key_half = 0; key_half < 2; ++key_half) {
        block.add(mov("p0", "dn0"));
        for (int panel = 0; panel < 8; ++panel) {
            if (panel % 4 == 0)
                for (int q = 0; q < 4; ++q) {
                    block.add(vlda_after(wl(q), "p0", 32), input);
                    block.add(vlda_after(wh(q), "p0", "m0"), input);
                    block.add(vshuffle(x(q), x(q), x(q), "r26"));
                }
            for (int tile = 0; tile < 8; ++tile) {
                const int k = 4 + tile;
                block.add(tile < 7 ? vldb_after(wl(k), "p1", 32)
                                   : vldb_after(wl(k), "p1", panel < 7 ? "m1" : "m2"),
                          input);
                multiply(block, tile, k, panel % 4, "r24", panel == 0);
            }
        }
        for (int tile = 0; tile < 8; ++tile)
            for (int half = 0; half < 2; ++half)
                block.add(vst_srs_s16_after(bm(tile, half), "p7", 32, "s0"),
                          own("score", 8 * key_half + tile));
    }
}

// x11 = the largest score of each query, in all four rows; x10 = the least score whose difference
// to it is an int16.
void write_largest(Block& block) {
    const auto maximum = [&](int to, int a, int b) {
        block.add(vmax_s16(x(to), r(16 + to % 4), x(a), x(b)));
    };
    for (int tile = 0; tile < 16; ++tile) {
        const int largest = 8 + tile % 2;
        const int next = tile < 2 ? largest : tile % 8;
        load_vector(block, next, "p4", 64 * tile, own("score", tile));
        if (tile >= 2)
            maximum(largest, largest, next);
    }
    maximum(8, 8, 9);
    for (const char* bytes : {"r27", "r28"}) { // of all rows
        block.add(vshift("x9", "x8", "x8", bytes));
        maximum(8, 8, 9);
    }
    load_vector(block, 0, "p5", zeros_at - middle, own("zeros"));
    load_vector(block, 1, "p5", floor_at - middle, own("floor"));
    maximum(11, 8, 8);
    maximum(10, 8, 0);
    block.add(vadd_16("x10", "x10", "x1"));
}

// Weights int8 [4 queries][8 keys] from scores: the largest of the tangents, for 4 times 8 keys at
// a time. x0-x3 hold the largest so far.
void write_weights(Block& block) {
    block.add(movxm("r8", AttentionParameters::distance_bits));
    block.add(mov("s1", "r8"));
    for (int group = 0; group < 2; ++group) {
        for (int tile = 0; tile < 8; ++tile) {
            const int d = 4 + tile % 4;
            const int score = 8 * group + tile;
            load_vector(block, d, "p4", 64 * score, own("score", score));
            block.add(vmax_s16(x(d), r(16 + tile % 4), x(d), "x10"));
            block.add(vsub_16(x(d), x(d), "x11"));
            block.add(vups_s16(cm(tile), x(d), "s1"));
        }
        for (int tangent = 0; tangent < n_tangents; ++tangent) {
            const char* shift = tangent % 2 == 0 ? "s0" : "s2";
            const int intercept = 8 + tangent % 2;
            block.add(mov(shift, r(tangent)));
            load_vector(block, intercept, "p5", intercepts_at - middle + 64 * tangent,
                        own("intercept", tangent));
            for (int keys = 0; keys < 4; ++keys) {
                const int value = 4 + keys;
                block.add(vsrs_s8(wl(value), cm(2 * keys), shift));
                block.add(vsrs_s8(wh(value), cm(2 * keys + 1), shift));
                block.add(vadd_8(x(tangent == 0 ? keys : value), x(value), x(intercept)));
                if (tangent > 0)
                    block.add(vmax_s8(x(keys), l(keys % 2), x(keys), x(value)));
            }
        }
        load_vector(block, 8, "p5", zeros_at - middle, own("zeros"));
        for (int keys = 0; keys < 4; ++keys) {
            const int turned = 4 + keys, tile = 4 * group + keys;
            const int at = weights_at - sums_at + 32 * tile;
            block.add(vmax_s8(x(keys), l(keys % 2), x(keys), "x8"));
            block.add(vshuffle(x(turned), x(keys), x(keys), "r26"));
            block.add(vst(wl(turned), "p6", at), own("weight", tile));
            block.add(vst(wh(turned), "p6", at + 256), own("weight", 8 + tile));
        }
    }
}

// The sums of the weights of each query, in all 8 columns of [4 queries][8]: weights times ones.
void write_sums(Block& block) {
    load_vector(block, 11, "p5", ones_at - middle, own("ones"));
    for (int half = 0; half < 2; ++half) {
        const int sums = 8 - half;
        for (int tile = 0; tile < 8; ++tile) {
            block.add(vlda(wl(tile), "p6", weights_at - sums_at + 256 * half + 32 * tile),
                      own("weight", 8 * half + tile));
            multiply(block, sums, tile, 11, "r24", tile == 0);
        }
        for (int row = 0; row < 4; ++row)
            block.add(vst(am(sums, row), "p6", 128 * half + 32 * row), own("sum", 4 * half + row));
    }
}

// 2^21 / sum of each query, where it makes the matrices [4][2] that multiply two rows of the output
// each: {1/s0, 0; 0, 1/s1; 0, 0; 0, 0} and {0, 0; 0, 0; 1/s2, 0; 0, 1/s3}.
void write_reciprocals(Block& block) {
    block.add(movxm("p0", own_memory + sums_at + 128));
    for (int query = 0; query < 8; ++query) {
        // Three queries at a time: comparisons do not want r16-r19 here.
        const int first = 8 + query % 3 * 4;
        const std::string a = r(first), y = r(first + 1), t = r(first + 2), n = r(first + 3);
        block.add(lda(a, "p0", 32 * query - 128), own("sum", query));
        block.add(clz(n, a));
        block.add({add(t, n, -17), add_nc(t, n, -17)});
        block.add(lshl(y, a, t)); // 15 bits
        block.add(sub(a, "r20", y));
        for (int step = 0; step < 2; ++step) {
            block.add(mul(t, y, a));
            block.add(lshl(t, t, "r22"));
            block.add(sub(t, "r21", t));
            block.add(mul(a, a, t));
            block.add(lshl(a, a, "r23"));
        }
        // a is 2^29 / y, and y is sum * 2^(n - 17): so half of a * 2^(n - 24) is 2^21 / sum.
        add_constant(block, n, -24);
        block.add(lshl(a, a, n));
        add_constant(block, a, 1);
        block.add(lshl(a, a, "r29"));
        const int matrix = query / 2, row = query % 4;
        if (row % 2 == 1)
            block.add(lshl(a, a, "r28"));
        block.add(st(a, "p5", reciprocals_at + 32 * matrix + 4 * row - middle),
                  own("reciprocal", matrix));
    }
}

// The sums of weight * V, as int16 [4 queries][8 columns], two panels of V at a time.
void write_products(Block& block) {
    block.add(movxm("r8", mean_shift));
    block.add(mov("s2", "r8"));
    block.add(mov("p2", "dn2"));
    block.add(movxm("p7", own_memory + means_at));
    for (int pair = 0; pair < 4; ++pair) {
        const int sums = pair % 2 * 4;
        for (int keys = 0; keys < 8; ++keys) {
            // Weights of both halves of the queries, then V of both panels.
            const int w = (8 * pair + keys) % 3 * 4, v = w + 2;
            for (int half = 0; half < 2; ++half)
                block.add(vlda(wl(w + half), "p6", weights_at - sums_at + 256 * half + 32 * keys),
                          own("weight", 8 * half + keys));
            block.add(vldb_after(wl(v), "p2", 32), input);
            block.add(vldb_after(wh(v), "p2", "m0"), input);
            block.add(vldb_after(wl(v + 1), "p2", 32), input);
            block.add(vldb_after(wh(v + 1), "p2", keys < 7 ? "m3" : "m4"), input);
            for (int tile = 0; tile < 4; ++tile)
                multiply(block, sums + tile, w + tile % 2, v + tile / 2, "r24", keys == 0);
        }
        for (int tile = 0; tile < 4; ++tile)
            for (int rows = 0; rows < 2; ++rows)
                block.add(vst_srs_s16_after(bm(sums + tile, rows), "p7", 32, "s2"),
                          own("mean", 8 * pair + 2 * tile + rows));
    }
}

// Times the reciprocals, and out.
void write_output(Block& block) {
    block.add(lda("r8", "p5", parameters_at + 8 - middle), own("parameters"));
    block.add(mov("s3", "r8"));
    for (int matrix = 0; matrix < 4; ++matrix)
        block.add(vlda(wl(matrix), "p5", reciprocals_at + 32 * matrix - middle),
                  own("reciprocal", matrix));
    block.add(movxm("p1", own_memory + means_at));
    block.add(mov("p3", "dn3"));
    for (int tile = 0; tile < 16; ++tile) {
        const int half = tile % 2, sums = tile % 8;
        for (int rows = 0; rows < 2; ++rows) {
            const int mean = 4 + (2 * tile + rows) % 8;
            block.add(vldb_after(wl(mean), "p1", 32), own("mean", 2 * tile + rows));
            multiply(block, sums, 2 * half + rows, mean, "r25", rows == 0);
        }
        block.add(half == 0 ? vst_srs_s8_after(cm(sums), "p3", 32, "s3")
                            : vst_srs_s8_after(cm(sums), "p3", "m5", "s3"),
                  output);
    }
}

void write_block(Program& program, Program::Label again) {
    Block block;
    write_scores(block);
    write_largest(block);
    write_weights(block);
    write_sums(block);
    write_reciprocals(block);
    write_products(block);
    write_output(block);
    for (const char* place : {"dn0", "dn3"}) { // the next 8 rows
        block.add(mov("r8", place));
        block.add(add("r8", "r8", "r27"));
        block.add(add("r8", "r8", "r27"));
        block.add(mov(place, "r8"));
    }
    add_constant(block, "r30", -1);
    block.emit(program, Block::Branch{again, "r30"});
}

void write_message_end(Program& program, Program::Label next) {
    Block block;
    block.add(movxm("r8", 1));
    block.add(release(lock_input_empty, "r8"));
    block.add(release(lock_output_full, "r8"));
    const auto swap = [&](const char* buffer, const std::array<uint32_t, 2>& addresses) {
        block.add(movxm("r9", 2 * own_memory + addresses[0] + addresses[1]));
        block.add(mov("r10", buffer));
        block.add(sub("r10", "r9", "r10"));
        block.add(mov(buffer, "r10"));
    };
    swap("dj0", Map::input_address);
    swap("dj1", Map::output_address);
    block.emit(program, Block::Branch{next, ""});
}

} // namespace

Program attention_s8_64x64() {
    Program program;
    const Program::Label message = program.new_label(), block = program.new_label();
    write_start(program);
    program.place(message);
    write_message_start(program);
    program.place(block);
    write_block(program, block);
    write_message_end(program, message);
    return program;
}

std::vector<uint8_t> attention_s8_initial_data(const AttentionParameters& parameters) {
    std::vector<uint8_t> data(Map::work_address - Map::initial_address);
    std::ranges::copy(parameters.bytes(), data.begin() + parameters_at - Map::initial_address);
    std::fill_n(data.begin() + ones_at - Map::initial_address, 64, uint8_t{1});
    for (int i = 1; i < 64; i += 2)
        data[static_cast<size_t>(floor_at - static_cast<int>(Map::initial_address) + i)] = 0x80;
    return data;
}

} // namespace npuenc::aie2
