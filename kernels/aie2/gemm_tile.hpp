// SPDX-License-Identifier: MIT
// What the GEMM programs of a core have in common: the memory map, the locks, and the loop over
// tiles.
//
// A core multiplies one tile of A by one of B after the other and adds the products to one tile of
// sums, until a tile of B says that it is the last; then the sums are sent. A tile is 64 rows of A
// and 64 columns of B; its depth is 64 (int8) or 32 (bf16), so that both take 1024 MACs:
//
//      tile  = 8 row pairs (8 rows of A each; two micro-tiles of 4 rows)
//      row pair = 4 blocks (8 rows x 16 columns of sums, which are in registers for 32 cycles)
//      block = 32 MACs, one in each cycle
//
// In these 32 cycles the ports move, beside the MACs:
//
//      ldb   B, 32 bytes in every cycle
//      lda   A in 16 cycles; sums of the next block in the other 16
//      st    sums of the block before in 16 cycles
//
// Sums that are loaded and sums that are stored lie in one bank, so they take different cycles:
// "s cycles" in which lda loads A and st stores, and "l cycles" in which lda loads sums. Results
// that go to OUT are stored in l cycles, for half of OUT lies in A's bank.
#pragma once

#include <span>

#include "kernels/aie2/program/timeline.hpp"

namespace npuenc::aie2::gemm {

// Data memory, as the core sees its own. A and B have two buffers each.
constexpr int own_memory = 0x70000;
constexpr int b_buffers[] = {own_memory + 0x4000, own_memory + 0x0000};
constexpr int out_buffer = own_memory + 0x6000;
constexpr int a_buffers[] = {own_memory + 0xa000, own_memory + 0xb000};
constexpr int sums_buffer = own_memory + 0xc000;
constexpr int header_bytes = 32; // before the values of a tile of B
constexpr int sums_bytes = 64 * 64 * 4;

// Locks: empty ones count free buffers, full ones filled buffers.
constexpr int a_empty = 0, a_full = 1, b_empty = 2, b_full = 3, out_empty = 4, out_full = 5;

// Shape of a tile in cycles.
constexpr int block_cycles = 32;
constexpr int blocks_in_row_pair = 4;
constexpr int row_pair_cycles = block_cycles * blocks_in_row_pair;
constexpr int row_pairs = 8;
constexpr int blocks = blocks_in_row_pair * row_pairs;

constexpr int n_x = 12; // vector registers

// Values of crSat.
constexpr int keep_low_bits = 0, saturate = 1;

// Registers that the tile loop sets up and the kernels use.
constexpr const char* minus_one = "r0"; // what an acquire adds to a lock
constexpr const char* one = "r1";       // what a release adds; and the header's bit 0
constexpr const char* b_other = "r11";  // of the tile after the next one, or of that at work
constexpr const char* a_pointer = "p0";
constexpr const char* b_pointer = "p1";
constexpr const char* sums_load_pointer = "p2";
constexpr const char* sums_store_pointer = "p3";
constexpr const char* out_pointer = "p4";
constexpr const char* b_back = "m0";    // from the last 32 bytes of a tile of B to the first
constexpr const char* sums_back = "m1"; // the same for sums
constexpr const char* out_back = "m2";  // and for OUT
constexpr int out_steps = 2;            // d2, of which m2 is a part: round OUT again and again
constexpr const char* first_configuration = "r4"; // of a block's first MACs: may ignore the sums
constexpr const char* configuration = "r5";       // of all others
constexpr const char* shift = "s0";               // of int8 and int16 results

// Steps of pointers in a tile.
constexpr int vector_bytes = 32;
constexpr int a_row_pair_bytes = 512;

// What a register holds in all of the program.
struct Constant {
    std::string to;
    int value;
};

// A form in which results are sent.
struct ResultForm {
    int units;            // of OUT that a tile of them takes
    int store_to_release; // bundles from a store of results to the release of OUT
};

// What is special about a type. Cycles are relative to the first MAC of a tile; `start` is the
// cycle of the first MAC of a block.
class Kernel {
  public:
    virtual ~Kernel() = default;

    // The word that configures a MAC; with bit 0 it takes the sums before it as zero.
    virtual int mac_configuration() const = 0;
    virtual int out_bytes() const = 0;
    virtual bool shifts() const = 0; // results, by the header's second word
    // What results that do not fit become: a value of crSat.
    virtual int saturation() const = 0;
    // Of results: one, or two of which the header of the last tile says by its bit 2 which.
    virtual std::span<const ResultForm> forms() const = 0;
    // Registers for the stores of results that only this kernel uses.
    virtual std::vector<Constant> result_registers() const { return {}; }
    // Whether the header of the last tile may ask for GELU by its bit 3, see gelu_results.hpp.
    virtual bool has_gelu() const { return false; }

    // A block's MACs, and the loads of A and B for them.
    virtual void multiply(Timeline& timeline, int block, int start) const = 0;
    virtual void load_sums(Timeline& timeline, int block, int start) const = 0;
    // For the last block of a tile `start` is the first MAC of the next, which stores before the
    // passes part.
    virtual void store_sums(Timeline& timeline, int block, int start) const = 0;
    virtual void store_results(Timeline& timeline, size_t form, int block, int start) const = 0;
};

Program make_program(const Kernel& kernel);

} // namespace npuenc::aie2::gemm
