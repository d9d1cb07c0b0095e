// SPDX-License-Identifier: MIT
#include "kernels/aie2/gemm_bf16.hpp"

#include "kernels/aie2/gemm_tile.hpp"
#include "kernels/aie2/program/colouring.hpp"
#include "kernels/aie2/program/mnemonics.hpp"

// A MAC multiplies 4x8 values of A by 8x4 of B into 4x4 sums of f32 (an accumulator bm, half a cm).
// A block is 2x4 of them, and 4 steps deep:
//
//                    B: 0  1  2  3
//      A: upper (4 rows)  0  2  4  6       the numbers are the order of the MACs in a step
//         lower           1  3  5  7
//
//  cycle    0    1    2    3    4    5    6    7  |  8 ...      31
//  vec      0    1    2    3    4    5    6    7  |  0 ...       7   accumulators in cm0-3 in even
//                                                                    blocks, in cm4-7 in odd ones
//  ldb   8 and 7 cycles before the first MAC with B q: its two halves
//  lda   13, 11, 9 and 7 cycles before a step: A of it; between them sums of the next block
//
// The sums of a block are loaded while the block before is multiplied, each quarter of a cm after
// the last block in the same set has stored what was there. As sums take half an accumulator, those
// of the last MACs of a step are loaded early enough for all to go straight where they are added:
//
//      before its first MAC     31 30 29 28 27 26 25 24 .. 3 2 1 0
//      st (s cycles)             0     0     1     1       7   7
//      lda (l cycles)               0     0     1     1      7   7
//
// Results go to OUT in l cycles, from 32 before that MAC on: those of f32 a quarter in each, of
// int16 a bm in every other one.
namespace npuenc::aie2 {
namespace {

using namespace gemm;

constexpr int steps = 4;
constexpr int step_cycles = 8;
constexpr int set_cycles = 2 * block_cycles;

// When quarter k of a block's sums is loaded, relative to the first MAC of the block, and stored,
// relative to that of the next block in the same accumulators: before it is loaded there.
constexpr int load_cycle(int k) {
    return -30 + 2 * k;
}
constexpr int sums_store_cycle(int k) {
    return -31 + 2 * k;
}
// The last block's, relative to the first MAC of the next tile.
constexpr int last_sums_store_cycle(int k) {
    return -5 + 2 * k;
}
constexpr int result_store_cycle(int k) {
    return -32 + 2 * k;
}
// Of int16 a bm at once, when its first quarter goes: before sums are loaded there.
constexpr int s16_store_cycle(int k) {
    return result_store_cycle(2 * k);
}

int a_cycle(int step, int quarter) {
    return step * step_cycles - 13 + 2 * quarter;
}

// Before a tile A comes later, for its lock comes late, and sums come earlier.
constexpr int first_a_cycle(int quarter) {
    return -9 + quarter;
}
constexpr int first_load_cycle(int k) {
    return -40 + 2 * k;
}

int b_cycle(int step, int eighth) {
    return step * step_cycles - 8 + eighth;
}

// Forms of results, as the header's bit 2 counts them.
enum : size_t { f32, s16 };

class KernelBf16 : public Kernel {
  public:
    KernelBf16() : x_(assign_x()) {}

    // 4x8x4.
    int mac_configuration() const override { return 28; }
    int out_bytes() const override { return sums_bytes; }
    bool shifts() const override { return false; }
    // int16 results are the low 16 bits of the sums as they are.
    int saturation() const override { return keep_low_bits; }
    std::span<const ResultForm> forms() const override {
        static constexpr ResultForm all[] = {{2, 4}, {1, 6}}; // f32, s16
        return all;
    }
    // OUT is a ring: results begin in the unit behind the last ones.
    std::vector<Constant> result_registers() const override {
        return {{dj(out_steps), vector_bytes},
                {dn(out_steps), out_bytes() / vector_bytes - 1},
                {dc(out_steps), 0},
                {shift, 0}};
    }
    bool has_gelu() const override { return true; }

    void multiply(Timeline& timeline, int block, int start) const override {
        const int block_in_pair = block % blocks_in_row_pair;
        const bool pair_ends = block_in_pair == blocks_in_row_pair - 1;
        for (int step = 0; step < steps; ++step) {
            const StepRegisters& x_of = x_[block_in_pair * steps + step];
            const bool block_ends = step == steps - 1;

            for (int quarter = 0; quarter < 4; ++quarter) {
                const bool tile_begins = block == 0 && step == 0;
                const int cycle = tile_begins ? first_a_cycle(quarter) : a_cycle(step, quarter);
                // A row pair is read again for each of its blocks.
                const bool again = block_ends && quarter == 3 && !pair_ends;
                timeline.at(start + cycle,
                            vlda_after(half_of(x_of.a[quarter / 2], quarter % 2), a_pointer,
                                       vector_bytes - (again ? a_row_pair_bytes : 0)));
            }

            for (int eighth = 0; eighth < 8; ++eighth) {
                const std::string to = half_of(x_of.b[eighth / 2], eighth % 2);
                const int cycle = start + b_cycle(step, eighth);
                // All of B is read again for each row pair.
                if (pair_ends && block_ends && eighth == 7)
                    timeline.at(cycle, vldb_after(to, b_pointer, b_back));
                else
                    timeline.at(cycle, vldb_after(to, b_pointer, vector_bytes));
            }

            for (int mac = 0; mac < 8; ++mac) {
                const std::string sums = bm(accumulator(block, mac), mac % 2);
                timeline.at(start + step * step_cycles + mac,
                            vmac_f(sums, sums, x(x_of.a[mac % 2]), x(x_of.b[mac / 2]),
                                   step == 0 ? first_configuration : configuration));
            }
        }
    }

    void load_sums(Timeline& timeline, int block, int start) const override {
        for (int k = 0; k < 16; ++k) {
            const std::string to = am(accumulator(block, k / 2), k % 4);
            const int cycle = start + (block == 0 ? first_load_cycle(k) : load_cycle(k));
            if (block == blocks - 1 && k == 15)
                timeline.at(cycle, vlda_after(to, sums_load_pointer, sums_back));
            else
                timeline.at(cycle, vlda_after(to, sums_load_pointer, vector_bytes));
        }
    }

    void store_sums(Timeline& timeline, int block, int start) const override {
        for (int k = 0; k < 16; ++k) {
            const std::string from = am(accumulator(block, k / 2), k % 4);
            const int cycle = block == blocks - 1 ? start + last_sums_store_cycle(k)
                                                  : start + set_cycles + sums_store_cycle(k);
            if (block == blocks - 1 && k == 15)
                timeline.at(cycle, vst_after(from, sums_store_pointer, sums_back));
            else
                timeline.at(cycle, vst_after(from, sums_store_pointer, vector_bytes));
        }
    }

    // The last block of a tile has the port for itself: a store in every cycle.
    void store_results(Timeline& timeline, size_t form, int block, int start) const override {
        const auto cycle = [&](int k, int before_next_block) {
            return block == blocks - 1 ? start + block_cycles + 1 + k
                                       : start + set_cycles + before_next_block;
        };
        if (form == f32)
            for (int k = 0; k < 16; ++k)
                timeline.at(
                    cycle(k, result_store_cycle(k)),
                    vst_2d_after(am(accumulator(block, k / 2), k % 4), out_pointer, out_steps));
        else
            for (int k = 0; k < 8; ++k)
                timeline.at(cycle(k, s16_store_cycle(k)),
                            vst_2d_srs_s16_after(bm(accumulator(block, k), k % 2), out_pointer,
                                                 out_steps, shift));
    }

  private:
    struct StepRegisters {
        int a[2]; // upper, lower
        int b[4];
    };

    static int accumulator(int block, int mac) { return block % 2 * 4 + mac / 2; }

    static std::string half_of(int n, int half) { return half == 0 ? wl(n) : wh(n); }

    // Registers for the operands of each step of a row pair.
    static std::vector<StepRegisters> assign_x() {
        std::vector<Life> lives;
        for (int step = 0; step < steps * blocks_in_row_pair; ++step) {
            const int mac = step * step_cycles;
            for (int half : {0, 1})
                lives.push_back({a_cycle(step, 2 * half), mac + 6 + half});
            for (int q = 0; q < 4; ++q)
                lives.push_back({b_cycle(step, 2 * q), mac + 2 * q + 1});
        }
        const std::vector<int> colours = colour(lives, row_pair_cycles, n_x);
        std::vector<StepRegisters> registers;
        for (size_t i = 0; i < colours.size(); i += 6)
            registers.push_back({{colours[i], colours[i + 1]},
                                 {colours[i + 2], colours[i + 3], colours[i + 4], colours[i + 5]}});
        return registers;
    }

    std::vector<StepRegisters> x_;
};

} // namespace

Program gemm_bf16() {
    return make_program(KernelBf16());
}

} // namespace npuenc::aie2
