// SPDX-License-Identifier: MIT
// Blocking of products for the caches, the same for every family of tile kernels.
//
// A task of the pool multiplies a block of rows of A, which stay in its L2, by a range of panels of
// B. Rows are packed first, but for those that are packed as they lie:
//
//   for ranges of columns         one panel of B, or as many as stay in the L2
//     for ranges of rows          all, or as many as stay in the L1
//       for panels of B
//         for slices of k         one, unless k is large
//           for panels of rows
//             tile, then finish   bias, GELU, conversion, ... while the sums are in L1
//
// Slices depend on k alone, and a tile kernel adds in the order of k: an element is the same
// however rows and columns are split.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "aligned_buffer.hpp"
#include "cpu/workspace.hpp"
#include "kernels/cpu/kernels.h"

namespace npuenc {

// Bytes from one row of A that is packed to the next: an odd number of cache lines, so that those
// of a tile do not fall on the same few sets of the cache.
inline size_t row_stride(const npuenc_gemm& gemm, size_t k) {
    const size_t lines = ceil_div(size_product(round_up(k, gemm.k_group), gemm.a_size), cache_line);
    return size_product(lines | 1, cache_line);
}

// Whether rows of elements of so many bytes, `stride` bytes apart, can be multiplied as they lie,
// by families other than gemm_bf16x2. Rows of a tile may fall on the same set of a cache where they
// are few beside its ways, of which there are at least eight.
constexpr bool are_packed(const npuenc_gemm& gemm, size_t element_size, size_t k, size_t stride) {
    constexpr size_t few_rows = 6;
    return element_size == gemm.a_size && !gemm.shifted_a && k % gemm.k_group == 0 &&
           (gemm.mr <= few_rows || stride % (2 * cache_line) == cache_line);
}

// Bytes of the groups of a panel of B.
inline size_t groups_bytes(const npuenc_gemm& gemm, size_t k) {
    return size_product(round_up(k, gemm.k_group), size_t{gemm.nr} * gemm.b_size);
}

// Bytes from one panel of B to the next.
inline size_t panel_stride(const npuenc_gemm& gemm, size_t k) {
    const size_t groups = groups_bytes(gemm, k), start = gemm.shifted_a ? gemm.nr * 4 : 0;
    if (groups > std::numeric_limits<size_t>::max() - start)
        throw std::bad_alloc();
    return round_up(groups + start, cache_line);
}

// Whether tiles are those of AMX.
constexpr bool is_amx(const npuenc_gemm& gemm) {
    return gemm.begin != nullptr;
}

// A packed B: panel j, `stride` bytes from the one before, holds columns j * nr and on.
struct Panels {
    const char* data;
    size_t stride;
};

struct Block {
    size_t rows;
    size_t first_col, end_col; // first_col is a multiple of nr
    size_t k;
    const char* a; // packed rows, `lda` bytes apart
    size_t lda;
    Panels b;
    // The result from this block's first element on: elements of y_size bytes, y_stride bytes from
    // row to row.
    void* y;
    size_t y_stride, y_size;
    bool takes_sums = false; // the result is the sums as they are; else `finish` writes it
};

// Tiles of a family may be multiplied by this thread while one of these lives.
class TileScope {
  public:
    explicit TileScope(const npuenc_gemm& gemm) : gemm_(gemm) {
        if (gemm_.begin)
            gemm_.begin();
    }
    ~TileScope() {
        if (gemm_.end)
            gemm_.end();
    }
    TileScope(const TileScope&) = delete;
    TileScope& operator=(const TileScope&) = delete;

  private:
    const npuenc_gemm& gemm_;
};

// A tile asks for a part, the i-th of n, of what is multiplied later.
inline void ask_for_part(npuenc_tile& tile, const char* data, size_t bytes, size_t i, size_t n) {
    const size_t step = round_up(ceil_div(bytes, n), cache_line);
    const size_t begin = std::min(bytes, i * step);
    tile.soon = data + begin;
    tile.soon_bytes = std::min(step, bytes - begin);
}

// Asks for the lines that a tile's results go to: they are there when it has been multiplied.
inline void ask_for_results(const Block& block, size_t row, size_t rows, size_t col, size_t cols) {
    const char* y = static_cast<const char*>(block.y) + row * block.y_stride +
                    (col - block.first_col) * block.y_size;
    for (size_t i = 0; i < rows; ++i, y += block.y_stride)
        for (size_t byte = 0; byte < cols * block.y_size; byte += cache_line)
            __builtin_prefetch(y + byte, 1);
}

// How many k are multiplied in one go: a slice of a panel of B stays in the L2 while rows meet it.
// CPUs with AMX have a larger one.
constexpr size_t slice_length(const npuenc_gemm& gemm) {
    const size_t slice_bytes = size_t{is_amx(gemm) ? 256u : 128u} << 10;
    return slice_bytes / (gemm.nr * gemm.b_size);
}

// How many rows meet how many panels of B before others come. Where a panel of rows fits into the
// L1, it meets, with others that fit too, as many panels as fit into the L2 beside A: the result is
// written along a few rows at a time. Else a panel of B meets all the rows of the block.
struct Order {
    size_t rows, panels = 1;

    Order(const npuenc_gemm& gemm, const Block& block) : rows(block.rows) {
        // 36 KiB are 32 rows of 512 bf16, in the 48 KiB of an L1 beside AMX; other panels of rows
        // have at most 6.
        constexpr size_t panel_bytes = size_t{36} << 10, rows_bytes = size_t{24} << 10;
        constexpr size_t most_rows = 32, panels_bytes = size_t{384} << 10;
        if (gemm.mr * block.lda <= panel_bytes) {
            const size_t fitting = std::min(most_rows, rows_bytes / block.lda);
            rows = std::max<size_t>(1, fitting / gemm.mr) * gemm.mr;
            panels = std::max<size_t>(1, panels_bytes / std::max<size_t>(1, block.b.stride));
        }
    }
};

// What multiply needs for blocks of up to `rows` rows.
inline void need_sums(Scratch::Sizes& sizes, const npuenc_gemm& gemm, size_t rows, size_t k) {
    const size_t kept_rows = k > slice_length(gemm) ? rows : gemm.mr;
    sizes.need<int32_t>(Scratch::sums, size_product(kept_rows, gemm.nr));
}

// finish(row, rows, col, cols, sums, ld): called once for each tile of a block that does not take
// sums; they are f32 or s32, `ld` elements from row to row.
template <class Finish>
void multiply(const npuenc_gemm& gemm, const Block& block, const Scratch& scratch,
              Finish&& finish) {
    const size_t mr = gemm.mr, nr = gemm.nr;
    const size_t slice = slice_length(gemm), start = groups_bytes(gemm, block.k);
    const bool sliced = block.k > slice;
    const size_t end_panel = ceil_div(block.end_col, nr), n_row_panels = ceil_div(block.rows, mr);
    auto* const kept = block.takes_sums ? nullptr : scratch.get<int32_t>(Scratch::sums);
    const Order order(gemm, block);
    const TileScope scope(gemm);

    npuenc_tile tile{};
    tile.lda = block.lda;
    tile.ldc = block.takes_sums ? block.y_stride / sizeof(int32_t) : nr;
    const auto multiply_panel = [&](size_t j, size_t first_row, size_t end_row) {
        const char* panel = block.b.data + j * block.b.stride;
        const size_t col = j * nr;
        const bool more = j + order.panels < end_panel;
        tile.cols = std::min(nr, block.end_col - col);
        tile.start = reinterpret_cast<const int32_t*>(panel + start);
        size_t k = 0;
        do {
            tile.k = std::min(slice, block.k - k);
            const char* b = panel + k * nr * gemm.b_size;
            tile.b = b;
            tile.accumulate = k > 0;
            // Then come the next slice of this panel, or the first one of a later panel.
            const size_t left = block.k - k - tile.k;
            const size_t next_k = std::min(slice, left ? left : block.k);
            const char* next = left   ? b + tile.k * nr * gemm.b_size
                               : more ? panel + order.panels * block.b.stride
                                      : nullptr;
            for (size_t row = first_row; row < end_row; row += mr) {
                tile.rows = std::min(mr, end_row - row);
                tile.a = block.a + row * block.lda + k * gemm.a_size;
                if (block.takes_sums)
                    tile.c =
                        static_cast<int32_t*>(block.y) + row * tile.ldc + (col - block.first_col);
                else
                    tile.c = kept + (sliced ? row * nr : 0);
                if (next)
                    ask_for_part(tile, next, next_k * nr * gemm.b_size, row / mr, n_row_panels);
                else
                    tile.soon_bytes = 0;
                if (left == 0)
                    ask_for_results(block, row, tile.rows, col, tile.cols);
                gemm.tile(&tile);
                if (!block.takes_sums && left == 0)
                    finish(row, tile.rows, col, tile.cols, tile.c, tile.ldc);
            }
            k += tile.k;
        } while (k < block.k);
    };

    for (size_t first = block.first_col / nr; first < end_panel; first += order.panels)
        for (size_t row = 0; row < block.rows; row += order.rows)
            for (size_t j = first; j < std::min(end_panel, first + order.panels); ++j)
                multiply_panel(j, row, std::min(block.rows, row + order.rows));
}

// How a product of m rows and n columns is split into tasks of about the same size, enough for all
// threads.
class Split {
  public:
    Split(const npuenc_gemm& gemm, size_t m, size_t n, size_t k, size_t n_threads)
        : m_(m), n_(n), mr_(gemm.mr), nr_(gemm.nr), row_panels_(ceil_div(m, mr_)),
          col_panels_(ceil_div(n, nr_)) {
        // Packed rows of a task should stay in its L2, but enough of them for a panel of B to pay.
        // CPUs with AMX have one of 2 MiB.
        const size_t kept_bytes = size_t{is_amx(gemm) ? 1200u : 512u} << 10;
        const size_t least_rows = std::max<size_t>(48, gemm.nr + gemm.nr / 2), most_rows = 240;
        const size_t rows = std::clamp(kept_bytes / row_stride(gemm, k), least_rows, most_rows);
        row_blocks_ = ceil_div(row_panels_, std::max<size_t>(1, rows / mr_));
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
    // Of any part.
    size_t most_rows() const {
        return row_blocks_ ? std::min(m_, ceil_div(row_panels_, row_blocks_) * mr_) : 0;
    }

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
