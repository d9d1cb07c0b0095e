// SPDX-License-Identifier: MIT
// Blocking of products for the caches, the same for every family of tile kernels.
//
// A task of the pool multiplies a block of rows of A by a range of columns of a packed B. It packs
// its rows itself; they stay in its L2 with the sums, while a slice of one B panel, small enough
// for L1, meets one panel of A after the other:
//
//   for chunks of columns            sums of the chunk stay in L2
//     for segments of k              panels of A stay in L2
//       for slices of the segment
//         for panels of B            the slice of this panel stays in L1
//           for panels of A
//             tile
//     finish each row of the chunk   bias, GELU, conversion, ... while it is near
//
// Slices and segments depend on k alone, and a tile kernel adds in the order of k: an element is
// the same however rows and columns are split.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cpu/aligned_buffer.hpp"
#include "cpu/workspace.hpp"
#include "kernels/cpu/kernels.h"

namespace npuenc {

template <class Gemm>
struct GemmTypes;
template <>
struct GemmTypes<npuenc_gemm_f32> {
    using Operand = float;
    using Sum = float;
};
template <>
struct GemmTypes<npuenc_gemm_bf16> {
    using Operand = uint16_t;
    using Sum = float;
};
template <>
struct GemmTypes<npuenc_gemm_s8> {
    using Operand = int8_t;
    using Sum = int32_t;
};
template <class Gemm>
using OperandOf = typename GemmTypes<Gemm>::Operand;
template <class Gemm>
using SumOf = typename GemmTypes<Gemm>::Sum;

// All multiples of every k_group, and of a cache line in every layout of panels.
constexpr size_t slice_bytes = 1024;   // of k, at most
constexpr size_t segment_bytes = 4096; // of k
constexpr size_t chunk_cols = 512;
constexpr size_t block_rows = 144; // at most, of a task of a linear layer or matmul

// Elements from one panel of `width` rows or columns to the next.
template <class Gemm>
size_t panel_stride(const Gemm& gemm, size_t width, size_t k) {
    return round_up(size_product(round_up(k, gemm.k_group), width),
                    cache_line / sizeof(OperandOf<Gemm>));
}

// A packed B: panel j holds columns j * nr and on.
template <class Gemm>
struct Panels {
    const OperandOf<Gemm>* data;
    size_t stride;
};

template <class Gemm>
struct Block {
    size_t rows;
    size_t first_col, end_col; // first_col is a multiple of nr
    size_t k;
    Panels<Gemm> b;
    // Where the sums go, the block's first row and column 0 of B; null: to scratch memory, from
    // which `finish` takes them.
    SumOf<Gemm>* c;
    size_t ldc;
};

// pack(row, rows, first_k, k, panel): packs that part of the block's rows into one panel of A.
// finish(row, first_col, cols, sums): called once for each row of each chunk, sums of columns
// [first_col, first_col + cols).
template <class Gemm, class Pack, class Finish>
void multiply(const Gemm& gemm, const Block<Gemm>& block, Scratch& scratch, Pack&& pack,
              Finish&& finish) {
    using Operand = OperandOf<Gemm>;
    using Sum = SumOf<Gemm>;
    const size_t mr = gemm.mr, nr = gemm.nr;
    const size_t segment = segment_bytes / sizeof(Operand);
    const size_t chunk = chunk_cols / nr * nr;

    const size_t a_stride = panel_stride(gemm, mr, std::min(block.k, segment));
    Operand* a =
        scratch.get<Operand>(Scratch::a_panels, size_product(ceil_div(block.rows, mr), a_stride));
    Sum* own = nullptr;
    const size_t own_ld = std::min(chunk, block.end_col - block.first_col);
    if (!block.c)
        own = scratch.get<Sum>(Scratch::sums, size_product(block.rows, own_ld));

    for (size_t col = block.first_col; col < block.end_col; col += chunk) {
        const size_t end = std::min(block.end_col, col + chunk);
        Sum* c = own ? own : block.c + col;
        const size_t ldc = own ? own_ld : block.ldc;
        if (block.k == 0)
            for (size_t row = 0; row < block.rows; ++row)
                std::fill_n(c + row * ldc, end - col, Sum{0});

        for (size_t first_k = 0; first_k < block.k; first_k += segment) {
            const size_t depth = std::min(segment, block.k - first_k);
            if (col == block.first_col || block.k > segment)
                for (size_t row = 0; row < block.rows; row += mr)
                    pack(row, std::min(mr, block.rows - row), first_k, depth,
                         a + row / mr * a_stride);
            // Slices of equal depth rather than full ones and a short last one.
            const size_t n_slices = ceil_div(depth, slice_bytes / sizeof(Operand));
            const size_t slice = round_up(ceil_div(depth, n_slices), cache_line);
            for (size_t k = 0; k < depth; k += slice)
                for (size_t j = col; j < end; j += nr)
                    for (size_t row = 0; row < block.rows; row += mr)
                        gemm.tile(std::min(mr, block.rows - row), std::min(nr, end - j),
                                  std::min(slice, depth - k), a + row / mr * a_stride + k * mr,
                                  block.b.data + j / nr * block.b.stride + (first_k + k) * nr,
                                  c + row * ldc + (j - col), ldc, first_k + k > 0);
        }
        for (size_t row = 0; row < block.rows; ++row)
            finish(row, col, end - col, c + row * ldc);
    }
}

// How a product of m rows and n columns is split into tasks of about the same size, enough for all
// threads.
class Split {
  public:
    Split(size_t m, size_t n, size_t mr, size_t nr, size_t n_threads)
        : m_(m), n_(n), mr_(mr), nr_(nr), row_panels_(ceil_div(m, mr)),
          col_panels_(ceil_div(n, nr)) {
        row_blocks_ = ceil_div(row_panels_, std::max<size_t>(1, block_rows / mr));
        if (row_panels_ >= 4 * n_threads) {
            row_blocks_ = std::min(row_panels_, round_up(row_blocks_, n_threads));
        } else if (n_threads > 1) {
            // Few rows: split columns too, though each task then packs its rows again.
            row_blocks_ = std::max(row_blocks_, std::min(row_panels_, n_threads));
            const size_t wanted = ceil_div(4 * n_threads, std::max<size_t>(1, row_blocks_));
            col_blocks_ = std::clamp<size_t>(wanted, 1, std::max<size_t>(1, col_panels_ / 2));
        }
    }

    size_t n_tasks() const { return row_blocks_ * col_blocks_; }

    struct Part {
        size_t first_row, rows, first_col, end_col;
    };
    Part part(size_t task) const {
        const size_t i = task / col_blocks_, j = task % col_blocks_;
        const size_t row = row_panels_ * i / row_blocks_ * mr_;
        const size_t end_row = std::min(m_, row_panels_ * (i + 1) / row_blocks_ * mr_);
        const size_t col = col_panels_ * j / col_blocks_ * nr_;
        const size_t end_col = std::min(n_, col_panels_ * (j + 1) / col_blocks_ * nr_);
        return {row, end_row - row, col, end_col};
    }

  private:
    size_t m_, n_, mr_, nr_, row_panels_, col_panels_;
    size_t row_blocks_, col_blocks_ = 1;
};

} // namespace npuenc
