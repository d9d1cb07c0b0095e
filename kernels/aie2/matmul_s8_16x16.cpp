// SPDX-License-Identifier: MIT
// 16 multiply-adds of 4x8x8, straight through; each of the two buffers has its own copy of the
// code.
#include "kernels/aie2/matmul_s8_16x16.hpp"

#include "kernels/aie2/program/mnemonics.hpp"
#include "kernels/aie2/program/scheduler.hpp"

namespace npuenc::aie2 {
namespace {

using Map = MatmulS8;

constexpr int own_memory = 0x70000; // where a core sees its data memory
constexpr int lock_input_empty = 0, lock_input_full = 1;
constexpr int lock_output_empty = 4, lock_output_full = 5;

constexpr int input_panel = 32 * 8, b_offset = 16 * 8;
constexpr int int8_4x8x8 = 0x308;
constexpr int round_to_even = 12, saturate = 1;

void write_start(Program& program) {
    Block block;
    block.add(movxm("r0", round_to_even));
    block.add(set_control("crRnd", "r0"));
    block.add(movxm("r1", saturate));
    block.add(set_control("crSat", "r1"));
    block.add(movxm("r2", -1));
    block.add(movxm("r3", 1));
    block.add(movxm("r4", int8_4x8x8));
    // The MAC takes 4x8 bytes from the low halves of registers, but reads all of them.
    block.add(movxm("r5", 0));
    for (int i = 0; i < 8; ++i)
        block.add(vbcst_8(x(i), "r5"));
    block.add(movxm("p2", own_memory + Map::shift_address));
    block.emit(program);
}

// A in x0-x7, 4x8 tiles; B in x8-x11, 8x8 tiles.
void write_message(Program& program, size_t buffer) {
    const Place input = {"input", "input"}, output = {"output", "output"};
    Block block;
    block.add(movxm("p0", own_memory + Map::input_address[buffer]));
    block.add(movxm("p1", own_memory + Map::output_address[buffer]));
    block.add(acquire(lock_input_full, "r2"));
    block.add(acquire(lock_output_empty, "r2"));
    block.add(lda("r5", "p2", 0), {"shift", "shift"});
    block.add(mov("s0", "r5"));
    for (int panel = 0; panel < 2; ++panel) // of A, and half of the rows of B
        for (int column = 0; column < 2; ++column) {
            const int b = 8 + 2 * panel + column;
            const int at = column * input_panel + b_offset + 64 * panel;
            block.add(vlda(wl(b), "p0", at), input);
            block.add(vlda(wh(b), "p0", at + 32), input);
        }
    for (int panel = 0; panel < 2; ++panel)
        for (int rows = 0; rows < 4; ++rows) {
            const int a = 4 * panel + rows;
            block.add(vlda(wl(a), "p0", panel * input_panel + 32 * rows), input);
            for (int column = 0; column < 2; ++column) {
                const int sums = 4 * column + rows, b = 8 + 2 * panel + column;
                block.add(panel == 0 ? vmul(cm(sums), x(a), x(b), "r4")
                                     : vmac(cm(sums), cm(sums), x(a), x(b), "r4"));
            }
        }
    for (int sums = 0; sums < 8; ++sums)
        block.add(vst_srs_s8_after(cm(sums), "p1", 32, "s0"), output);
    block.add(release(lock_input_empty, "r3"));
    block.add(release(lock_output_full, "r3"));
    block.emit(program);
}

} // namespace

Program matmul_s8_16x16() {
    Program program;
    const Program::Label message = program.new_label();
    write_start(program);
    program.place(message);
    write_message(program, 0);
    write_message(program, 1);
    Block().emit(program, Block::Branch{message, ""});
    return program;
}

std::vector<uint8_t> matmul_s8_initial_data(uint32_t shift) {
    return {static_cast<uint8_t>(shift), 0, 0, 0};
}

} // namespace npuenc::aie2
