// SPDX-License-Identifier: MIT
// The program of one run for the NPU's controller: which registers to write, which buffers to put
// where, what to wait for.
//
// Encoding 0.1 of npu1, as Xilinx/mlir-aie's include/aie/Runtime/TxnEncoding.h (Apache-2.0 WITH
// LLVM-exception) lays it out: a header of 4 words, then operations of 4 to some hundred words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace npuenc {

// Columns count from the first of the partition that the program runs in, rows from the shim.
constexpr uint32_t npu1_columns = 5;
constexpr uint32_t npu1_rows = 6; // shim, memory tile, four cores
constexpr uint32_t shim_row = 0;

constexpr uint32_t column_shift = 25;
constexpr uint32_t row_shift = 20;

constexpr uint32_t tile_address(uint32_t column, uint32_t row, uint32_t offset) {
    return column << column_shift | row << row_shift | offset;
}
constexpr uint32_t column_of(uint32_t address) {
    return address >> column_shift;
}
constexpr uint32_t row_of(uint32_t address) {
    return address >> row_shift & 0x1f;
}
constexpr uint32_t offset_in_tile(uint32_t address) {
    return address & 0xfffff;
}

// Of a DMA channel: from the stream to memory, or from memory to the stream.
enum class DmaDirection : uint32_t { s2mm = 0, mm2s = 1 };

class InstructionStream {
  public:
    // Opcodes: the low byte of an operation's first word.
    enum Opcode : uint32_t {
        op_write = 0,
        op_block_write = 1,
        op_mask_write = 3,
        op_mask_poll = 4,
        op_noop = 5,
        op_preempt = 6,
        op_load_pdi = 8,
        op_sync = 0x80,
        op_patch = 0x81,
    };

    static constexpr uint32_t version = 0x06030100; // 6 rows, generation 3, encoding 0.1
    static constexpr size_t header_words = 4;

    // The firmware translates the addresses of this many buffers, no more.
    static constexpr uint32_t max_buffers = 5;
    // Above lies the bit that tells the firmware that an address is not to be translated.
    static constexpr uint64_t max_offset = 0x7fffffff;

    InstructionStream();

    // An operation that does not fit the array or the encoding throws Error E_INVALID, and then, as
    // after std::bad_alloc, the stream is as it was.
    void write(uint32_t address, uint32_t value);
    void block_write(uint32_t address, std::span<const uint32_t> values);
    void mask_write(uint32_t address, uint32_t value, uint32_t mask);

    // The address of byte `offset` of buffer `argument` into the descriptor whose address word is
    // the register at `address`.
    void patch(uint32_t address, uint32_t argument, uint64_t offset);

    // Waits for a token of this shim channel in each of `n_columns` columns.
    void sync(DmaDirection direction, uint32_t channel, uint32_t column, uint32_t n_columns);

    // With its header: what goes into the instruction buffer.
    std::span<const uint32_t> words() const { return words_; }
    size_t bytes() const { return words_.size() * sizeof(uint32_t); }

    size_t operations() const { return words_[2]; }
    size_t pushes() const { return pushes_; } // writes of a shim's task queue
    size_t syncs() const { return syncs_; }

  private:
    void append(std::span<const uint32_t> head, std::span<const uint32_t> data = {});

    std::vector<uint32_t> words_;
    size_t pushes_ = 0;
    size_t syncs_ = 0;
};

} // namespace npuenc
