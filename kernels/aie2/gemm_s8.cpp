// SPDX-License-Identifier: MIT
#include "kernels/aie2/gemm_s8.hpp"

#include "kernels/aie2/gemm_tile.hpp"
#include "kernels/aie2/program/colouring.hpp"
#include "kernels/aie2/program/mnemonics.hpp"

// A MAC multiplies 4x8 values of A by 8x8 of B into 4x8 sums of 32 bits (an accumulator cm). A
// block is 2x2 of them, and 8 steps deep:
//
//                    B: left  right
//      A: upper (4 rows)  0     1          the numbers are the order of the MACs in a step
//         lower           2     3
//
//  cycle    0    1    2    3  |  4    5   ...              31
//  vec      0    1    2    3  |  0    1   ...  0  1  2  3      accumulators cm0-3 in even blocks,
//                                                              cm4-7 in odd ones
//  ldb   9 to 6 cycles before a step: its left lower half, left upper, right lower, right upper
//  lda   5 to 9 cycles before a step: A of it; between them sums of the next block
//
// The sums of a block are loaded while the block before is multiplied, each quarter of an
// accumulator after the last block in the same set has stored what was there:
//
//      before its first MAC     31 30 29 28 27 26 25 24 23 22 21 20 .. 13 12 .. 7 6 5 4 3 2 1 0
//      st (s cycles)             0     0     0           0     1        2       2   3   3   3 3
//      lda (l cycles)               0     0     0  8  8     0     1        2      2   8   8
//
// Accumulator 3 is stored too late for that. Its sums land in cm8, and the first MAC of the block
// reads cm8 and writes cm3 or cm7. With all s cycles odd and all l cycles even the last load would
// come too late: cycle 0 is an s cycle, and cycle 25 an l cycle for it.
namespace npuenc::aie2 {
namespace {

using namespace gemm;

constexpr int steps = 8;
constexpr int step_cycles = 4;
constexpr int landing = 8; // cm8

// Where the accumulators lie in memory, in the order of the MACs, as 128 bytes of sums.
constexpr int place[] = {0, 2, 1, 3};

// A quarter of an accumulator.
struct Quarter {
    int mac; // the accumulator's place in a step
    int quarter;

    // From the start of the block's sums.
    int offset() const { return place[mac] * 4 * vector_bytes + quarter * vector_bytes; }
};
constexpr int block_sums_bytes = 8 * 16 * 4;

// When sums are loaded, relative to the first MAC of their block.
struct Load {
    int cycle;
    Quarter sums;
};
constexpr Load loads[] = {
    {-30, {0, 0}}, {-28, {0, 1}}, {-26, {0, 2}}, {-25, {3, 0}}, {-24, {3, 1}}, {-22, {0, 3}},
    {-20, {1, 0}}, {-18, {1, 1}}, {-16, {1, 2}}, {-14, {1, 3}}, {-12, {2, 0}}, {-10, {2, 1}},
    {-8, {2, 2}},  {-6, {2, 3}},  {-4, {3, 2}},  {-2, {3, 3}},
};

// When quarters are stored, relative to the first MAC of the next block in the same accumulators:
// in s cycles, and results in l cycles but for two that would come too late.
constexpr int set_cycles = 2 * block_cycles;
constexpr int sums_store_cycles[] = {-31, -29, -27, -23, -21, -19, -17, -15,
                                     -13, -11, -9,  -7,  -5,  -3,  -1,  0};
// The last block's, relative to the first MAC of the next tile.
constexpr int last_sums_store_cycles[] = {-5, -3, -1, 0,  1,  3,  5,  9,
                                          11, 13, 15, 17, 19, 21, 23, 25};
constexpr int result_store_cycles[] = {-31, -29, -28, -26, -25, -24, -22, -20,
                                       -18, -16, -14, -12, -10, -8,  -6,  -4};
// Results of 8 bits: a store for each accumulator. Of 16 bits: one for each half, before its first
// quarter is loaded; the lower half of OUT, which is all of theirs, lies in none of A's banks.
constexpr int s8_store_cycles[] = {-31, -21, -13, -5};
constexpr int s16_store_cycles[] = {-31, -27, -21, -17, -13, -9, -5, -3};

// A has the s cycles: 7 before the first MAC of a step for the upper half and 5 for the lower, but
// in two steps earlier.
int a_cycle(int step, int half) {
    if (step == 2)
        return half;
    if (step == 3)
        return 3 + 2 * half;
    return step * step_cycles - 7 + 2 * half;
}

int b_cycle(int step, int quarter) {
    return step * step_cycles - 9 + quarter;
}

class KernelS8 : public Kernel {
  public:
    explicit KernelS8(GemmS8Result result) : result_(result), x_(assign_x()) {}

    // Signed 4x8x8.
    int mac_configuration() const override { return 776; }
    int out_bytes() const override {
        return result_ == GemmS8Result::s32   ? sums_bytes
               : result_ == GemmS8Result::s16 ? sums_bytes / 2
                                              : sums_bytes / 4;
    }
    bool shifts() const override { return result_ != GemmS8Result::s32; }
    int saturation() const override { return saturate; }
    std::span<const ResultForm> forms() const override {
        static constexpr ResultForm stored{1, 4}, converted{1, 6};
        return {result_ == GemmS8Result::s32 ? &stored : &converted, 1};
    }

    void multiply(Timeline& timeline, int block, int start) const override {
        const int block_in_pair = block % blocks_in_row_pair;
        const bool pair_ends = block_in_pair == blocks_in_row_pair - 1;
        for (int step = 0; step < steps; ++step) {
            const StepRegisters& x_of = x_[block_in_pair * steps + step];
            const bool block_ends = step == steps - 1;

            for (int half : {0, 1}) {
                // A row pair is read again for each of its blocks.
                const bool again = block_ends && half == 1 && !pair_ends;
                timeline.at(start + a_cycle(step, half),
                            vlda_after(wl(x_of.a[half]), a_pointer,
                                       vector_bytes - (again ? a_row_pair_bytes : 0)));
            }

            for (int quarter = 0; quarter < 4; ++quarter) {
                const int x_b = x_of.b[quarter / 2];
                const std::string to = quarter % 2 == 0 ? wl(x_b) : wh(x_b);
                const int cycle = start + b_cycle(step, quarter);
                // All of B is read again for each row pair.
                if (pair_ends && block_ends && quarter == 3)
                    timeline.at(cycle, vldb_after(to, b_pointer, b_back));
                else
                    timeline.at(cycle, vldb_after(to, b_pointer, vector_bytes));
            }

            for (int mac = 0; mac < 4; ++mac) {
                const int sums = accumulator(block, mac);
                const int before = step == 0 && mac == 3 ? landing : sums;
                timeline.at(start + step * step_cycles + mac,
                            vmac(cm(sums), cm(before), x(x_of.a[mac / 2]), x(x_of.b[mac % 2]),
                                 step == 0 ? first_configuration : configuration));
            }
        }
    }

    void load_sums(Timeline& timeline, int block, int start) const override {
        for (int k = 0; k < 16; ++k) {
            const auto [mac, quarter] = loads[k].sums;
            const std::string to = am(mac == 3 ? landing : accumulator(block, mac), quarter);
            if (block == blocks - 1 && k == 15)
                timeline.at(start + loads[k].cycle, vlda_after(to, sums_load_pointer, sums_back));
            else
                timeline.at(start + loads[k].cycle,
                            vlda_after(to, sums_load_pointer,
                                       (k == 15 ? block_sums_bytes : loads[k + 1].sums.offset()) -
                                           loads[k].sums.offset()));
        }
    }

    void store_sums(Timeline& timeline, int block, int start) const override {
        store(timeline, block, sums_store_pointer, sums_back, [&](int k) {
            return block == blocks - 1 ? start + last_sums_store_cycles[k]
                                       : start + set_cycles + sums_store_cycles[k];
        });
    }

    // The last block of a tile has the port for itself: a store in every cycle.
    void store_results(Timeline& timeline, size_t, int block, int start) const override {
        const int* cycles = result_ == GemmS8Result::s32   ? result_store_cycles
                            : result_ == GemmS8Result::s16 ? s16_store_cycles
                                                           : s8_store_cycles;
        const auto cycle_of = [&](int k) {
            return block == blocks - 1 ? start + block_cycles + 1 + k
                                       : start + set_cycles + cycles[k];
        };
        if (result_ == GemmS8Result::s32)
            store(timeline, block, out_pointer, out_back, cycle_of);
        else if (result_ == GemmS8Result::s16)
            store_s16(timeline, block, cycle_of);
        else
            store_s8(timeline, block, cycle_of);
    }

  private:
    struct StepRegisters {
        int a[2]; // upper, lower: in the low half of an x
        int b[2]; // left, right: a whole x
    };

    static int accumulator(int block, int mac) { return block % 2 * 4 + mac; }

    template <class CycleOf>
    static void store(Timeline& timeline, int block, const char* pointer, const char* back,
                      CycleOf cycle_of) {
        for (int k = 0; k < 16; ++k) {
            const Quarter sums = {k / 4, k % 4};
            const Quarter next = {(k + 1) / 4, (k + 1) % 4};
            const std::string from = am(accumulator(block, sums.mac), sums.quarter);
            if (block == blocks - 1 && k == 15)
                timeline.at(cycle_of(k), vst_after(from, pointer, back));
            else
                timeline.at(cycle_of(k), vst_after(from, pointer,
                                                   (k == 15 ? block_sums_bytes : next.offset()) -
                                                       sums.offset()));
        }
    }

    // Halves of accumulators, 16 sums each: 64 bytes of results for each MAC.
    template <class CycleOf>
    static void store_s16(Timeline& timeline, int block, CycleOf cycle_of) {
        for (int k = 0; k < 8; ++k) {
            const int mac = k / 2, half = k % 2;
            const int next = mac == 3 ? 4 : place[mac + 1];
            const std::string from = bm(accumulator(block, mac), half);
            if (block == blocks - 1 && k == 7)
                timeline.at(cycle_of(k), vst_srs_s16_after(from, out_pointer, out_back, shift));
            else
                timeline.at(cycle_of(k),
                            vst_srs_s16_after(from, out_pointer,
                                              half == 0
                                                  ? vector_bytes
                                                  : (2 * (next - place[mac]) - 1) * vector_bytes,
                                              shift));
        }
    }

    template <class CycleOf>
    static void store_s8(Timeline& timeline, int block, CycleOf cycle_of) {
        for (int mac = 0; mac < 4; ++mac) {
            const std::string from = cm(accumulator(block, mac));
            const int next = mac == 3 ? 4 : place[mac + 1];
            if (block == blocks - 1 && mac == 3)
                timeline.at(cycle_of(mac), vst_srs_s8_after(from, out_pointer, out_back, shift));
            else
                timeline.at(
                    cycle_of(mac),
                    vst_srs_s8_after(from, out_pointer, (next - place[mac]) * vector_bytes, shift));
        }
    }

    // Registers for the operands of each step of a row pair.
    static std::vector<StepRegisters> assign_x() {
        std::vector<Life> lives;
        for (int step = 0; step < steps * blocks_in_row_pair; ++step) {
            const int start = step / steps * block_cycles;
            const int mac = step * step_cycles;
            for (int half : {0, 1})
                lives.push_back({start + a_cycle(step % steps, half), mac + 1 + 2 * half});
            for (int side : {0, 1})
                lives.push_back({start + b_cycle(step % steps, 2 * side), mac + 2 + side});
        }
        const std::vector<int> colours = colour(lives, row_pair_cycles, n_x);
        std::vector<StepRegisters> registers;
        for (size_t i = 0; i < colours.size(); i += 4)
            registers.push_back({{colours[i], colours[i + 1]}, {colours[i + 2], colours[i + 3]}});
        return registers;
    }

    GemmS8Result result_;
    std::vector<StepRegisters> x_;
};

} // namespace

Program gemm_s8(GemmS8Result result) {
    return make_program(KernelS8(result));
}

} // namespace npuenc::aie2
