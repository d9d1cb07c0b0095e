// SPDX-License-Identifier: MIT
#include "kernels/aie2/gemm_tile.hpp"

#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "kernels/aie2/gelu_results.hpp"
#include "kernels/aie2/program/mnemonics.hpp"
#include "kernels/aie2/program/scheduler.hpp"

namespace npuenc::aie2::gemm {
namespace {

// Registers of the tile loop itself.
constexpr const char* two = "r2"; // the header's bit 1
constexpr const char* header = "r3";
constexpr const char* last_tile = "r6"; // not zero in the last tile
constexpr const char* shift_count = "r7";
constexpr const char* a_address = "r8"; // of the next tile's buffers
constexpr const char* b_address = "r9";
constexpr const char* a_other = "r10"; // of those of the tile after it
constexpr const char* spare = "r12";
constexpr const char* minus_two = "r13";
constexpr const char* four = "r14";       // the header's bit 2
constexpr const char* other_form = "r15"; // not zero: results have the second form
constexpr const char* eight = "r20";      // the header's bit 3
constexpr const char* makes_gelu = "r21"; // not zero: sums become GELU
constexpr const char* header_pointer = "p5";

constexpr int round_to_even = 12;

// From the rules of timing: a lock operation behaves at issue + 1, a load or store touches memory
// at issue + 4 (a store of shifted sums later), and lock operations share a unit for four cycles.
// Which buffer a lock protects does not count: hardware does not say that it does.
constexpr int acquire_to_access = 4;
constexpr int access_to_release = 4;
constexpr int between_locks = 4;

// The program is cut where the tile has become periodic: block 0 stores its first sums.
constexpr int steady = block_cycles + 1;
constexpr int loop_count = row_pairs - 1;
constexpr int loop_end = steady + loop_count * row_pair_cycles;
// Before that the two passes part: the jump, its delay slots, and six bundles that set up the loop.
constexpr int entry = steady - 6;
constexpr int branch = entry - 1 - delay_slots;

// Before the first MAC. The header is there after 7 cycles, and has to configure that MAC; it is
// read where no sums are loaded.
constexpr int read_header = -11;
constexpr int have_header = read_header + 7;
constexpr int acquire_a = read_header - acquire_to_access;
constexpr int acquire_b = acquire_a - between_locks;
constexpr int tile_begin = -40; // sums are loaded from here on

void swap(Timeline& timeline, int cycle, const char* a, const char* b) {
    timeline.at(cycle, mov(spare, a));
    timeline.at(cycle + 1, mov(a, b));
    timeline.at(cycle + 2, mov(b, spare));
}

enum class Pass {
    accumulate, // sums are loaded and stored
    finish,     // the last tile: results go to OUT
};

bool has_two_forms(const Kernel& kernel) {
    return kernel.forms().size() == 2;
}

// All of a tile but what depends on its place in the program: jumps, the lock of OUT, releases.
Timeline tile(const Kernel& kernel, Pass pass, size_t form = 0) {
    Timeline timeline;

    timeline.at(acquire_b, acquire(b_full, minus_one));
    timeline.at(acquire_a, acquire(a_full, minus_one));
    timeline.at(acquire_b - 1, mov(header_pointer, b_address));
    timeline.at(acquire_b, mov(a_pointer, a_address));
    timeline.at(acquire_b + 1, mov(b_pointer, b_address));
    swap(timeline, acquire_b + 2, b_address, b_other);
    swap(timeline, acquire_b + 5, a_address, a_other);

    timeline.at(read_header, lda_after(header, header_pointer, 4));
    timeline.at(read_header + 1, paddb(b_pointer, header_bytes));
    timeline.at(have_header, and_(first_configuration, header, one));
    timeline.at(have_header + 1, add(first_configuration, first_configuration, configuration));
    timeline.at(have_header + 2, and_(last_tile, header, two));
    if (kernel.shifts()) {
        timeline.at(read_header + 2, lda_after(shift_count, header_pointer, 4));
        timeline.at(have_header + 3, mov(shift, shift_count));
    }
    if (has_two_forms(kernel))
        timeline.at(have_header + 3, and_(other_form, header, four));
    if (kernel.has_gelu())
        timeline.at(have_header + 4, and_(makes_gelu, header, eight));

    for (int block = 0; block < blocks; ++block) {
        const int start = block * block_cycles;
        kernel.load_sums(timeline, block, start);
        kernel.multiply(timeline, block, start);
        if (pass == Pass::finish)
            kernel.store_results(timeline, form, block, start);
        else if (block < blocks - 1) // the next tile stores the last block's
            kernel.store_sums(timeline, block, start);
    }
    return timeline;
}

void set_up_loop(Timeline& timeline, Program::Label start, Program::Label end) {
    timeline.at(entry + 1, movxm_target("LS"), start);
    timeline.at(entry + 2, movxm_target("LE"), end);
    timeline.at(entry + 3, movxm("LC", loop_count));
}

// Row pairs 0 to 6; the last one is the epilogue.
void emit_loop(const Timeline& timeline, Program& program, Program::Label start,
               Program::Label end) {
    for (int i = 1; i < loop_count; ++i)
        if (!timeline.same(steady, steady + i * row_pair_cycles, row_pair_cycles))
            throw std::logic_error("row pairs differ");
    program.place(start);
    timeline.emit(program, steady, steady + row_pair_cycles - 1);
    program.place(end);
    timeline.emit(program, steady + row_pair_cycles - 1, steady + row_pair_cycles);
}

// A constant, if it is short in a slot that leaves room for more. Shifts have no such move.
void set(Block& block, const std::string& to, int value) {
    constexpr int most = 1023;
    if (std::abs(value) <= most && !to.starts_with("s"))
        block.add({mova(to, value), movxm(to, value)});
    else
        block.add(movxm(to, value));
}

void emit_setup(const Kernel& kernel, Program& program) {
    Block block;
    set(block, a_address, a_buffers[0]);
    set(block, b_address, b_buffers[0]);
    set(block, a_other, a_buffers[1]);
    set(block, b_other, b_buffers[1]);
    set(block, sums_load_pointer, sums_buffer);
    set(block, sums_store_pointer, sums_buffer);
    set(block, out_pointer, out_buffer);
    set(block, b_back, vector_bytes - 4096);
    set(block, sums_back, vector_bytes - sums_bytes);
    set(block, out_back, vector_bytes - kernel.out_bytes());
    set(block, configuration, kernel.mac_configuration());
    block.add(mov("crRnd", round_to_even));
    block.add(mov("crSat", kernel.saturation()));
    set(block, minus_one, -1);
    set(block, one, 1);
    set(block, two, 2);
    if (has_two_forms(kernel)) {
        set(block, minus_two, -2);
        set(block, four, 4);
    }
    for (const Constant& constant : kernel.result_registers())
        set(block, constant.to, constant.value);
    if (kernel.has_gelu()) {
        set(block, eight, 8);
        for (const Constant& constant : gelu_registers())
            set(block, constant.to, constant.value);
    }
    // A MAC may not use all of x, but what is read has to hold something.
    for (int i = 0; i < n_x; ++i)
        block.add(vbcst_32(x(i), two));
    block.emit(program);
}

// The last tile along K, from its block 0 on, with results in one of the kernel's forms.
void emit_finish(const Kernel& kernel, size_t form, Program& program, Program::Label top) {
    const ResultForm& results = kernel.forms()[form];
    const auto loop = program.new_label();
    const auto end = program.new_label();
    program.emit({acquire(out_empty, results.units == 1 ? minus_one : minus_two)});
    program.nops(acquire_to_access - 1);
    const Timeline finishing = tile(kernel, Pass::finish, form);
    Timeline last = finishing;
    set_up_loop(last, loop, end);
    last.emit(program, entry, steady);
    emit_loop(finishing, program, loop, end);
    int release_last = last.last_memory_access() + results.store_to_release;
    for (const auto& [lock, n] :
         {std::pair{a_empty, one}, {b_empty, one}, {out_full, results.units == 1 ? one : two}}) {
        last.at(release_last, release(lock, n));
        release_last += between_locks;
    }
    release_last -= between_locks;
    last.at(release_last - delay_slots, j(), top);
    last.emit(program, loop_end, release_last + 1);
}

} // namespace

//      top:         acquire, header; blocks 0 ...      <-------------+
//                   last tile? ------------------+                   |
//      accumulate:  [row pairs 0..6]  <----+     |                   |
//                   row pair 7; release; acquire, header; block 0    |
//                   not last? -------------+     |                   |
//                                          v <---+                   |
//      finish:      GELU, or the second form of results? ---+
//                   acquire OUT; [row pairs 0..6]; row pair 7; release
//      other finish: the same <-----------------------------+
//      GELU:        of the sums as they were before block 0 <
//
// Each of them goes on at the top.
Program make_program(const Kernel& kernel) {
    Program program;
    const auto top = program.new_label();
    const auto accumulate = program.new_label();
    const auto accumulate_loop = program.new_label();
    const auto accumulate_end = program.new_label();
    const auto finish = program.new_label();

    const Timeline accumulating = tile(kernel, Pass::accumulate);

    emit_setup(kernel, program);

    program.place(top);
    Timeline first = accumulating;
    first.at(branch, jnz(last_tile), finish);
    set_up_loop(first, accumulate_loop, accumulate_end);
    first.emit(program, tile_begin, entry);
    program.place(accumulate);
    first.emit(program, entry, steady);
    emit_loop(accumulating, program, accumulate_loop, accumulate_end);

    // The next tile begins while this one still has sums to store: not before the releases, for a
    // release waits for stores, whatever they store.
    Timeline next = accumulating;
    const int release_a = next.last_memory_access() + access_to_release;
    const int release_b = release_a + between_locks;
    const int period = release_b + between_locks - acquire_b;
    next.at(release_a, release(a_empty, one));
    next.at(release_b, release(b_empty, one));
    next.add(accumulating, tile_begin, entry, period);
    kernel.store_sums(next, blocks - 1, period);
    next.at(period + branch, jz(last_tile), accumulate);
    next.emit(program, loop_end, period + entry);

    program.place(finish);
    if (!has_two_forms(kernel)) {
        emit_finish(kernel, 0, program, top);
        return program;
    }
    const auto other_finish = program.new_label(), gelu = program.new_label();
    if (kernel.has_gelu()) {
        program.emit_to(gelu, {jnz(makes_gelu)});
        program.nops(delay_slots);
    }
    program.emit_to(other_finish, {jnz(other_form)});
    program.nops(delay_slots);
    emit_finish(kernel, 0, program, top);
    program.place(other_finish);
    emit_finish(kernel, 1, program, top);
    if (kernel.has_gelu()) {
        program.place(gelu);
        emit_gelu(program, top);
    }
    return program;
}

} // namespace npuenc::aie2::gemm
