// SPDX-License-Identifier: MIT
// A product of any size, as the array computes it: cut into pieces where GemmTiling ends, whose
// operands and results follow each other.
//
// Rows (M) and columns (N) are cut by groups, depth (K) by tiles, each into parts of about the same
// size:
//   A [part of rows][part of depth]
//   B [part of columns][part of depth]
//   C [part of rows][part of columns][part of depth], sums that the host has to add up
// How depth is cut depends on K alone, so that an element of C is the same whatever else is
// computed; and of a weight columns are cut the same for all rows that it may meet.
#pragma once

#include <algorithm>
#include <cstddef>

#include "aligned_buffer.hpp"
#include "npu/gemm_packing.hpp"
#include "npu/gemm_tiling.hpp"
#include "npu/streaming.hpp"
#include "npu/submission.hpp"

namespace npuenc {

class Product {
  public:
    // The weights of a chain of two products, which do not have to be cut: the results of the first
    // are A of the second. Of the first strips of B are replayed, so that it may have as many
    // columns as a product can have, of the second those of A.
    enum class B { any, weight, first_of_chain, second_of_chain };

    // m, n, k at least 1. Throws Error E_UNSUPPORTED for one of a chain that would have to be cut.
    Product(const GemmOverlay& overlay, size_t m, size_t n, size_t k, B b = B::any);

    const GemmOverlay& overlay() const { return overlay_; }
    size_t m() const { return m_; }
    size_t n() const { return n_; }
    size_t k() const { return k_; }
    size_t bands() const { return a_groups_.units * (output_group / band_rows); }
    size_t strips() const { return b_groups_.units * array_cores; }
    size_t n_groups() const { return b_groups_.units; }
    size_t parts_of_depth() const { return tiles_.parts(); }
    // In elements, of all parts but the last one.
    size_t depth_of_part() const { return tiles_.size * overlay_.k_tile; }

    // Of the packed operands and of the result: whole pages.
    size_t a_bytes() const { return a_groups_.parts() * tiles_.parts() * a_piece_; }
    size_t b_bytes() const { return b_groups_.parts() * tiles_.parts() * b_piece_; }
    size_t c_bytes() const {
        return a_groups_.parts() * b_groups_.parts() * tiles_.parts() * c_piece_;
    }
    size_t bytes() const { return a_bytes() + b_bytes() + c_bytes(); }

    // As their namesakes of gemm_packing.hpp, over all pieces.
    void pack_a_band(size_t band, const void* rows, size_t lda, char* packed) const;
    // A, some bands for each task, which one thread streams: pack_band(band, thread).
    template <class PackBand>
    void pack_a_by_tasks(Parallel& threads, const PackBand& pack_band) const {
        threads.for_each(bands() / bands_of_task, [&](size_t task, unsigned thread) {
            for (size_t i = 0; i < bands_of_task; ++i)
                pack_band(task * bands_of_task + i, thread);
            end_streaming();
        });
    }
    void pack_b_strip(size_t strip, const void* columns, size_t ldb, BLayout layout,
                      unsigned right_shift, char* packed) const;
    // Of a strip whose results are A of the next product: `bias` of its columns, or null.
    void pack_gelu_tile(size_t strip, const float* bias, char* packed) const {
        npuenc::pack_gelu_tile(tiling(0, 0, 0), strip, bias, packed);
    }
    // Where a band begins in the packed result, that of one part of depth.
    size_t c_band_offset(const CBand& band, size_t part = 0) const;
    // The sums of all parts, of which the first begins at this offset; not of results of 8 bits.
    void add_up_c_band(const npuenc_unpack& kernels, size_t offset, const char* packed,
                       void* band_of_group, size_t ld) const;

    // The bands of C in the order in which they lie, some for each task: visit(band, offset).
    size_t c_tasks() const { return a_groups_.parts() * b_groups_.parts() * tasks_of_piece(); }
    template <class Visit>
    void for_each_c_band(size_t task, const Visit& visit) const {
        const size_t piece = task / tasks_of_piece(), i = piece / b_groups_.parts(),
                     j = piece % b_groups_.parts();
        const GemmTiling of_piece = tiling(i, j, 0);
        const size_t first = task % tasks_of_piece() * blocks_of_task;
        const size_t end = std::min(first + blocks_of_task, of_piece.c_blocks());
        size_t offset = piece * tiles_.parts() * c_piece_ + first * of_piece.c_block();
        for (size_t block = first; block < end; ++block, offset += of_piece.c_block()) {
            const auto [row, n_group] = of_piece.place_of_c_block(block);
            for (size_t k = 0; k < chunk_bands(overlay_) && row + k * band_rows < of_piece.m(); ++k)
                visit(
                    CBand{i * bands_of_part() + row / band_rows + k, j * b_groups_.size + n_group},
                    offset + k * array_cores * of_piece.c_band());
        }
    }

    // A command for each piece. Of the second product of a chain, `before` is the first.
    void add_to(Submission& submission, Array& array, const DevicePart& a, const DevicePart& b,
                const DevicePart& c, const Product* before = nullptr) const;

  private:
    // `units` cut into parts of `size`, of which the last may be smaller.
    struct Cut {
        size_t units, size;

        Cut(size_t n_units, size_t most)
            : units(n_units), size(ceil_div(units, ceil_div(units, most))) {}
        size_t parts() const { return ceil_div(units, size); }
    };

    // Bands of A, and blocks of C: 64 KiB of int16 of int8, else 128.
    static constexpr size_t bands_of_task = 4;
    static constexpr size_t blocks_of_task = 4;
    size_t tasks_of_piece() const {
        return ceil_div(c_piece_, blocks_of_task * array_cores * overlay_.c_chunk);
    }
    // Bands of A and C in all parts of rows but the last one.
    size_t bands_of_part() const { return a_groups_.size * (output_group / band_rows); }

    GemmTiling tiling(size_t row_part, size_t column_part, size_t depth_part) const;
    size_t element() const { return overlay_.operand_type == NPUENC_S8 ? 1 : 2; }

    GemmOverlay overlay_;
    size_t m_, n_, k_;
    GemmTiling::Replayed replayed_;
    Cut a_groups_, b_groups_, tiles_;
    size_t a_piece_, b_piece_, c_piece_; // bytes of the largest
};

// So many rows that a submission is within its bound: whole groups, but for the last one.
inline size_t rows_at_once(const Array& array, size_t bytes_of_group, size_t rows) {
    const size_t groups = array.most_bytes() / bytes_of_group;
    return std::min(rows, std::max<size_t>(groups, 1) * output_group);
}

} // namespace npuenc
