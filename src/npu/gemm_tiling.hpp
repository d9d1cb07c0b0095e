// SPDX-License-Identifier: MIT
// How a product is cut for the array of 4 x 4 cores, and what lies where in its three buffers.
//
// The array computes C in groups of 256 x 256: core (column c, row r) has the tile of rows 64 r and
// columns 64 c of its group, and keeps its sums from the first tile along K to the last. The shim
// of column i streams A for the cores of row i and B for the cores of column i, tile by tile; each
// tile of C comes down its own column. The operand with fewer groups is streamed as a whole for
// each group of the other; of that one each strip along K is replayed, by a chain of descriptors,
// for each group of the first.
//
// Buffers, all zero where the matrix has ended:
//   A [row of cores][group of rows][tile of K][a_message]
//   B [column of cores][group of columns][tile of K][b_message]
//   C [half][output group in order of computation][chunk][core of the half][band][core's column]
// The halves are the upper and the lower two rows of cores, each of which has a channel of its own
// in every column; a chunk is half a tile of C, or all of it. A band is eight rows of it: the shims
// leave room for those of the other columns between two, so that eight rows of a whole group lie in
// one piece.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <npuenc/npuenc.h>

namespace npuenc {

constexpr size_t array_cores = 4; // rows of cores, and columns
constexpr size_t core_tile = 64;  // rows and columns of C on one core
constexpr size_t output_group = array_cores * core_tile;
constexpr size_t band_rows = 8; // of A and C, that are packed together

// What the cores send of their sums, which have 32 bits.
enum class GemmResult {
    s32,
    s16, // of int8: sum / 2^s, to nearest even and saturated; s goes with B
         // of bf16: the low bits of the sum in f32, see fixed_point.hpp
    s8,  // sum / 2^s
    f32,
    gelu, // of bf16: GELU (sum + bias) in bf16, as gelu_tile.hpp says
};

// What is built into an overlay's programs, and one of the results that they can send.
struct GemmOverlay {
    const char* name; // of the overlay
    npuenc_dtype operand_type;
    GemmResult result;
    size_t k_tile;    // along K
    size_t a_message; // bytes of a tile of A
    size_t b_header;  // bytes that go before a tile of B and say where along K it is
    size_t b_message; // with the header
    size_t c_chunk;   // bytes
};

inline constexpr GemmOverlay gemm_s8_s32{"gemm_s8_s32", NPUENC_S8, GemmResult::s32, 64, 4096, 32,
                                         4128,          8192};
inline constexpr GemmOverlay gemm_s8_s16{"gemm_s8_s16", NPUENC_S8, GemmResult::s16, 64, 4096, 32,
                                         4128,          4096};
inline constexpr GemmOverlay gemm_s8_s8{"gemm_s8_s8", NPUENC_S8, GemmResult::s8, 64,
                                        4096,         32,        4128,           2048};
// One overlay: B says which results are sent.
inline constexpr GemmOverlay gemm_bf16_f32{"gemm_bf16", NPUENC_BF16, GemmResult::f32, 32, 4096, 32,
                                           4128,        8192};
inline constexpr GemmOverlay gemm_bf16_s16{"gemm_bf16", NPUENC_BF16, GemmResult::s16, 32, 4096, 32,
                                           4128,        8192};
// Its results are A of another product, tile by tile.
inline constexpr GemmOverlay gemm_bf16_gelu{
    "gemm_bf16", NPUENC_BF16, GemmResult::gelu, 32, 4096, 32, 4128, 8192};

// Those whose results go to the host.
inline constexpr const GemmOverlay* gemm_overlays[] = {&gemm_s8_s32, &gemm_s8_s16, &gemm_s8_s8,
                                                       &gemm_bf16_f32, &gemm_bf16_s16};

// Whether results are shifted to the right.
constexpr bool shifts(const GemmOverlay& overlay) {
    return overlay.operand_type == NPUENC_S8 && overlay.result != GemmResult::s32;
}

// Bytes of a result as it is sent.
constexpr size_t sent_bytes(GemmResult result) {
    switch (result) {
    case GemmResult::s16:
    case GemmResult::gelu:
        return sizeof(int16_t);
    case GemmResult::s8:
        return sizeof(int8_t);
    default:
        return sizeof(int32_t);
    }
}

// A tile of C in chunks, and a chunk in bands.
constexpr size_t c_chunks(const GemmOverlay& overlay) {
    return core_tile * core_tile * sent_bytes(overlay.result) / overlay.c_chunk;
}
constexpr size_t chunk_bands(const GemmOverlay& overlay) {
    return core_tile / band_rows / c_chunks(overlay);
}
// Where a chunk is a tile of C, two tiles of A: those do not lie in bands.
constexpr bool is_next_a(const GemmOverlay& overlay) {
    return overlay.result == GemmResult::gelu;
}

// What one product costs the host and the controller.
struct GemmCost {
    uint64_t submissions, synchronisations; // of the host with the device
    uint64_t pushes, operations;            // of the instruction stream
    uint64_t bytes_to_device, bytes_from_device;
};

class GemmTiling {
  public:
    // So long a chain of descriptors keeps the stream within 80 operations.
    static constexpr size_t max_chain = 9;
    // A descriptor's iterations count the groups of the operand whose strips are replayed,
    static constexpr size_t max_groups = 64;
    // and their step, of at most 2^20 words, reaches over a strip: of B, the longer one.
    static constexpr size_t max_k_tiles = 1016;

    // C [m][n] = A [m][k] B [k][n]. Throws Error E_INVALID where one of them is 0 and
    // E_UNSUPPORTED where the product has to be cut before it comes here: m or n above 16384 or
    // both above 2304, k above 65024 (int8) or 32512 (bf16); and for an overlay whose messages are
    // not those of gemm_overlays. What says which strips are replayed may have less: of `a` n, of
    // `b` m is at most 2304.
    enum class Replayed { fewer, a, b };
    GemmTiling(const GemmOverlay& overlay, size_t m, size_t n, size_t k,
               Replayed replayed = Replayed::fewer);

    const GemmOverlay& overlay() const { return overlay_; }
    size_t m() const { return m_; }
    size_t n() const { return n_; }
    size_t k() const { return k_; }

    size_t m_groups() const { return m_groups_; }
    size_t n_groups() const { return n_groups_; }
    size_t k_tiles() const { return k_tiles_; }
    size_t output_groups() const { return m_groups_ * n_groups_; }

    // Strips of A are replayed for each group of columns and B is streamed as a whole for each
    // group of rows; or the other way round.
    bool replays_a() const {
        return replayed_ == Replayed::fewer ? n_groups_ <= m_groups_ : replayed_ == Replayed::a;
    }

    // The place of a group of C in the order of computation.
    size_t output_index(size_t m_group, size_t n_group) const {
        return replays_a() ? m_group * n_groups_ + n_group : n_group * m_groups_ + m_group;
    }

    // A strip: all tiles of K for one row (column) of cores in one group.
    size_t a_strip() const { return k_tiles_ * overlay_.a_message; }
    size_t b_strip() const { return k_tiles_ * overlay_.b_message; }

    // Bytes of the buffers. Those of A and B depend on M and K, and on N and K, alone.
    size_t a_bytes() const { return array_cores * m_groups_ * a_strip(); }
    size_t b_bytes() const { return array_cores * n_groups_ * b_strip(); }
    size_t c_bytes() const { return 2 * c_half(); }

    // Where things begin in their buffers.
    size_t a_offset(size_t core_row, size_t m_group) const {
        return (core_row * m_groups_ + m_group) * a_strip();
    }
    size_t b_offset(size_t core_column, size_t n_group) const {
        return (core_column * n_groups_ + n_group) * b_strip();
    }
    size_t c_half() const { return c_blocks() / 2 * c_block(); }
    // Of the chunks of all columns, a block, and of its bands, one for each column.
    size_t c_blocks() const { return output_groups() * array_cores * c_chunks(overlay_); }
    size_t c_block() const { return array_cores * overlay_.c_chunk; }
    // A tile that is not in bands is one.
    size_t c_band() const {
        return is_next_a(overlay_) ? overlay_.c_chunk : overlay_.c_chunk / chunk_bands(overlay_);
    }
    size_t c_offset(size_t core_row, size_t output_index, size_t chunk, size_t band,
                    size_t core_column) const {
        const size_t half = core_row / 2, core = core_row % 2;
        return half * c_half() +
               ((output_index * c_chunks(overlay_) + chunk) * 2 + core) * c_block() +
               (band * array_cores + core_column) * c_band();
    }

    // The first row and the group of columns of a block, in the order in which they lie.
    struct BlockPlace {
        size_t row, n_group;
    };
    BlockPlace place_of_c_block(size_t block) const {
        const size_t chunks = c_chunks(overlay_);
        const size_t half = block / (c_blocks() / 2), core = block % 2, chunk = block / 2 % chunks;
        const size_t index = block % (c_blocks() / 2) / (2 * chunks);
        const size_t m_group = replays_a() ? index / n_groups_ : index % m_groups_;
        return {m_group * output_group + (half * 2 + core) * core_tile +
                    chunk * chunk_bands(overlay_) * band_rows,
                replays_a() ? index % n_groups_ : index / m_groups_};
    }

    // Of the instruction stream: in each column one block of descriptors, an address for each
    // descriptor, two token receivers and four pushes; at the end one wait for each output channel.
    size_t chain() const { return replays_a() ? n_groups_ : m_groups_; }
    size_t descriptors() const { return 2 + 1 + chain(); } // of one column: C, one whole, the chain
    size_t pushes() const { return array_cores * 4; }
    size_t operations() const { return array_cores * (1 + descriptors() + 2 + 4) + 2; }

    GemmCost cost() const;

  private:
    GemmOverlay overlay_;
    Replayed replayed_;
    size_t m_, n_, k_;
    size_t m_groups_, n_groups_, k_tiles_;
};

} // namespace npuenc
