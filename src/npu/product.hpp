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
    enum class B { any, weight };

    // m, n, k at least 1.
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
    // A by chunks of bands, each streamed by one thread: pack_band(band, thread).
    template <class PackBand>
    void pack_a_by_chunks(Parallel& threads, const PackBand& pack_band) const {
        threads.for_each(bands() / chunk_bands, [&](size_t chunk, unsigned thread) {
            for (size_t i = 0; i < chunk_bands; ++i)
                pack_band(chunk * chunk_bands + i, thread);
            end_streaming();
        });
    }
    void pack_b_strip(size_t strip, const void* columns, size_t ldb, BLayout layout,
                      unsigned right_shift, char* packed) const;
    // Of one part of depth.
    void unpack_c_band(const npuenc_unpack& kernels, size_t part, const CBand& band,
                       const CBand& next, const char* packed, void* band_of_group, size_t ld) const;
    // The sums of all parts; not of results of 8 bits.
    void add_up_c_band(const npuenc_unpack& kernels, const CBand& band, const CBand& next,
                       const char* packed, void* band_of_group, size_t ld) const;

    // C by chunks of bands, each in the order in which it lies: visit(band, next).
    size_t chunks() const { return ceil_div(ceil_div(m_, band_rows), chunk_bands); }
    template <class Visit>
    void for_each_c_band(size_t chunk, const Visit& visit) const {
        const size_t first = chunk * chunk_bands;
        const size_t end = std::min(first + chunk_bands, ceil_div(m_, band_rows));
        for (CBand here{first, 0}; here.n_group < n_groups();) {
            CBand next{here.band + 1, here.n_group};
            if (next.band == end)
                next = {first, here.n_group + 1};
            visit(here, next.n_group < n_groups() ? next : here);
            here = next;
        }
    }

    // A command for each piece.
    void add_to(Submission& submission, Array& array, const DevicePart& a, const DevicePart& b,
                const DevicePart& c) const;

  private:
    // `units` cut into parts of `size`, of which the last may be smaller.
    struct Cut {
        size_t units, size;

        Cut(size_t n_units, size_t most)
            : units(n_units), size(ceil_div(units, ceil_div(units, most))) {}
        size_t parts() const { return ceil_div(units, size); }
    };

    GemmTiling tiling(size_t row_part, size_t column_part, size_t depth_part) const;
    size_t element() const { return overlay_.operand_type == NPUENC_S8 ? 1 : 2; }

    GemmOverlay overlay_;
    size_t m_, n_, k_;
    Cut a_groups_, b_groups_, tiles_;
    size_t a_piece_, b_piece_, c_piece_; // bytes of the largest
};

} // namespace npuenc
