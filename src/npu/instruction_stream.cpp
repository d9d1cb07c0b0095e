// SPDX-License-Identifier: MIT
#include "npu/instruction_stream.hpp"

#include <algorithm>
#include <array>

#include "error.hpp"
#include "npu/shim_descriptor.hpp"

namespace npuenc {
namespace {

constexpr uint32_t memory_tile_rows = 1;

constexpr uint32_t bytes_of(size_t words) {
    return static_cast<uint32_t>(words * sizeof(uint32_t));
}

// The registers from `address` on, `words` of them.
void check_registers(uint32_t address, size_t words) {
    if (column_of(address) >= npu1_columns || row_of(address) >= npu1_rows)
        fail(NPUENC_E_INVALID, "instruction stream: no tile at column %u, row %u (address 0x%08x)",
             column_of(address), row_of(address), address);
    if (address % 4 != 0)
        fail(NPUENC_E_INVALID, "instruction stream: address 0x%08x is not a multiple of 4",
             address);
    constexpr size_t tile_words = (size_t{1} << row_shift) / 4;
    if (words > tile_words - offset_in_tile(address) / 4)
        fail(NPUENC_E_INVALID,
             "instruction stream: %zu words from address 0x%08x go beyond the tile", words,
             address);
}

} // namespace

InstructionStream::InstructionStream()
    : words_{version, memory_tile_rows << 8 | npu1_columns, 0, bytes_of(header_words)} {}

void InstructionStream::append(std::span<const uint32_t> head, std::span<const uint32_t> data) {
    const size_t words = words_.size() + head.size() + data.size();
    if (words > UINT32_MAX / sizeof(uint32_t))
        fail(NPUENC_E_INVALID, "instruction stream: longer than 4 GB");
    if (words > words_.capacity())
        words_.reserve(std::max(words, 2 * words_.capacity()));
    words_.insert(words_.end(), head.begin(), head.end());
    words_.insert(words_.end(), data.begin(), data.end());
    ++words_[2];
    words_[3] = bytes_of(words);
}

void InstructionStream::write(uint32_t address, uint32_t value) {
    check_registers(address, 1);
    append(std::array<uint32_t, 6>{op_write, 0, address, 0, value, bytes_of(6)});
    if (is_shim_queue(address))
        ++pushes_;
}

void InstructionStream::block_write(uint32_t address, std::span<const uint32_t> values) {
    if (values.empty())
        fail(NPUENC_E_INVALID, "instruction stream: a block of no words at address 0x%08x",
             address);
    check_registers(address, values.size());
    append(std::array<uint32_t, 4>{op_block_write, column_of(address) | row_of(address) << 8,
                                   address, bytes_of(4 + values.size())},
           values);
}

void InstructionStream::mask_write(uint32_t address, uint32_t value, uint32_t mask) {
    check_registers(address, 1);
    if (value & ~mask)
        fail(NPUENC_E_INVALID, "instruction stream: value 0x%08x has bits outside the mask 0x%08x",
             value, mask);
    append(std::array<uint32_t, 7>{op_mask_write, 0, address, 0, value, mask, bytes_of(7)});
}

void InstructionStream::patch(uint32_t address, uint32_t argument, uint64_t offset) {
    check_registers(address, 1);
    if (!is_shim_descriptor_address_word(address))
        fail(NPUENC_E_INVALID,
             "instruction stream: address 0x%08x is not the address word of a shim descriptor",
             address);
    if (argument >= max_buffers)
        fail(NPUENC_E_INVALID,
             "instruction stream: buffer %u, but the firmware translates the first %u alone",
             argument, max_buffers);
    if (offset % 4 != 0 || offset > max_offset)
        fail(NPUENC_E_INVALID,
             "instruction stream: offset %llu in buffer %u is not a multiple of 4 below 2 GB",
             static_cast<unsigned long long>(offset), argument);
    append(std::array<uint32_t, 12>{op_patch, bytes_of(12), 0, 0, 0, 0, address, 0, argument, 0,
                                    static_cast<uint32_t>(offset), 0});
}

void InstructionStream::sync(DmaDirection direction, uint32_t channel, uint32_t column,
                             uint32_t n_columns) {
    if (channel >= shim_channels)
        fail(NPUENC_E_INVALID, "instruction stream: a shim has no DMA channel %u", channel);
    if (column >= npu1_columns || n_columns == 0 || n_columns > npu1_columns - column)
        fail(NPUENC_E_INVALID,
             "instruction stream: %u columns from column %u on, of the %u that there are",
             n_columns, column, npu1_columns);
    constexpr uint32_t n_rows = 1;
    append(std::array<uint32_t, 4>{op_sync, bytes_of(4),
                                   static_cast<uint32_t>(direction) | shim_row << 8 | column << 16,
                                   n_rows << 8 | n_columns << 16 | channel << 24});
    ++syncs_;
}

} // namespace npuenc
