// SPDX-License-Identifier: MIT
// Blocking of products for the caches, the same for every family of tile kernels.
//
// A task of the pool multiplies a block of packed rows of A, which stay in its L2, by a range of
// panels of B, each of which meets all the rows of the block before the next one comes:
//
//   for panels of B
//     for slices of k           one, unless k is very large
//       for panels of rows
//         tile, then finish     bias, GELU, conversion, ... while the sums are in L1
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

// Bytes from one packed row of A to the next: an odd number of cache lines, so that the rows of a
// tile do not fall on the same few sets of the cache.
inline size_t row_stride(const npuenc_gemm& gemm, size_t k) {
    const size_t lines = ceil_div(size_product(round_up(k, gemm.k_group), gemm.a_size), cache_line);
    return size_product(lines | 1, cache_line);
}

// Bytes of the groups of a panel of B.
inline size_t groups_bytes(const npuenc_gemm& gemm, size_t k) {
    return size_product(round_up(k, gemm.k_group), size_t{gemm.nr} * gemm.b_size);
}

// Bytes from one panel of B to the next.
inline size_t panel_stride(const npuenc_gemm& gemm, size_t k) {
    const size_t groups = groups_bytes(gemm, k), start = gemm.unsigned_a ? gemm.nr * 4 : 0;
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

// The next panel of B: each tile of this one asks for a part of it.
class NextPanel {
  public:
    NextPanel(const char* data, size_t bytes, size_t n_tiles)
        : data_(data), end_(data + bytes), step_(round_up(ceil_div(bytes, n_tiles), cache_line)) {}

    void give_part(npuenc_tile& tile) {
        tile.soon = data_;
        tile.soon_bytes = std::min<size_t>(step_, static_cast<size_t>(end_ - data_));
        data_ += tile.soon_bytes;
    }

  private:
    const char *data_, *end_;
    size_t step_;
};

// Of a packed row in one go: above that, panels of B would be read from far away for every panel of
// rows.
constexpr size_t slice_bytes = 8192;

// Asks for `bytes` of each of some rows, which are to be written or read a little later.
inline void prefetch_rows(const void* data, size_t rows, size_t bytes, size_t stride) {
    const char* row = static_cast<const char*>(data);
    for (size_t i = 0; i < rows; ++i, row += stride)
        for (size_t byte = 0; byte < bytes; byte += cache_line)
            __builtin_prefetch(row + byte, 1, 2);
}

constexpr size_t slice_length(const npuenc_gemm& gemm) {
    return slice_bytes / gemm.a_size;
}

// What multiply needs for blocks of up to `rows` rows.
inline void need_sums(Scratch::Sizes& sizes, const npuenc_gemm& gemm, size_t rows, size_t k) {
    const size_t kept_rows = k > slice_length(gemm) ? rows : gemm.mr;
    sizes.need<int32_t>(Scratch::sums, size_product(kept_rows, gemm.nr));
}

// expect(row, rows, col, cols): called before a tile that finish will be called for, to ask for
// what that will touch. finish(row, rows, col, cols, sums, ld): called once for each tile of the
// block; sums are f32 or s32, `ld` elements from row to row.
template <class Expect, class Finish>
void multiply(const npuenc_gemm& gemm, const Block& block, const Scratch& scratch, Expect&& expect,
              Finish&& finish) {
    const size_t mr = gemm.mr, nr = gemm.nr;
    const size_t slice = slice_length(gemm);
    const bool sliced = block.k > slice;
    auto* sums = scratch.get<int32_t>(Scratch::sums);
    const size_t start = groups_bytes(gemm, block.k);
    const TileScope scope(gemm);

    npuenc_tile tile;
    tile.lda = block.lda;
    tile.ldc = nr;
    for (size_t col = block.first_col; col < block.end_col; col += nr) {
        const char* panel = block.b.data + col / nr * block.b.stride;
        tile.cols = std::min(nr, block.end_col - col);
        tile.start = reinterpret_cast<const int32_t*>(panel + start);
        NextPanel next(panel + block.b.stride, col + nr < block.end_col ? block.b.stride : 0,
                       ceil_div(block.rows, mr));
        size_t k = 0;
        do {
            tile.k = std::min(slice, block.k - k);
            tile.b = panel + k * nr * gemm.b_size;
            tile.accumulate = k > 0;
            for (size_t row = 0; row < block.rows; row += mr) {
                tile.rows = std::min(mr, block.rows - row);
                tile.a = block.a + row * block.lda + k * gemm.a_size;
                tile.c = sums + (sliced ? row * nr : 0);
                next.give_part(tile);
                if (k + tile.k == block.k)
                    expect(row, tile.rows, col, tile.cols);
                gemm.tile(&tile);
                if (k + tile.k == block.k)
                    finish(row, tile.rows, col, tile.cols, tile.c, nr);
            }
            k += tile.k;
        } while (k < block.k);
    }
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
        constexpr size_t least_rows = 48, most_rows = 240;
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
