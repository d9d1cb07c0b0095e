// SPDX-License-Identifier: MIT
#include "npu/gemm_packing.hpp"

#include <algorithm>
#include <cstring>

#include "error.hpp"

namespace npuenc {
namespace {

constexpr size_t micro_rows = 8; // of A and C: two micro-tiles, one above the other
constexpr size_t micro_k = 8;
constexpr size_t block_columns = 16; // of B and C

// Of B and C, by the type of A and B.
template <class Operand>
constexpr size_t micro_columns = 8 / sizeof(Operand);

template <class Operand>
constexpr size_t tile_depth = 64 / sizeof(Operand);

// Words of a B header.
constexpr uint32_t first_k_tile = 1, last_k_tile = 2;

// A length that the compiler knows: one or two moves.
template <size_t n, class T>
void move_values(T* to, const T* from) {
    std::memcpy(to, from, n * sizeof(T));
}

template <class T>
void pack_a_tile(const T* a, size_t lda, T* out) {
    for (size_t i = 0; i < core_tile; i += micro_rows)
        for (size_t k = 0; k < tile_depth<T>; k += micro_k)
            for (size_t row = 0; row < micro_rows; ++row, out += micro_k)
                move_values<micro_k>(out, a + (i + row) * lda + k);
}

// Where the micro-tile that begins at row k and a column lies in a tile of B.
template <class T>
size_t micro_tile_of_b(size_t k, size_t column) {
    constexpr size_t width = micro_columns<T>;
    return ((column / block_columns * tile_depth<T> + k) * block_columns) +
           column % block_columns / width * (micro_k * width);
}

// Rows in eights first, though they lie apart in the tile: so each cache line is read at once.
template <class T>
void pack_b_tile(const T* b, size_t ldb, T* out) {
    constexpr size_t width = micro_columns<T>;
    for (size_t k = 0; k < tile_depth<T>; k += micro_k)
        for (size_t column = 0; column < core_tile; column += width) {
            T* micro_tile = out + micro_tile_of_b<T>(k, column);
            for (size_t row = 0; row < micro_k; ++row)
                move_values<width>(micro_tile + row * width, b + (k + row) * ldb + column);
        }
}

// Two squares beside each other, each row of each in one word. Both are transposed in step, so that
// a compiler can do them in one register.
constexpr size_t squares = 2;
template <size_t n>
using Squares = uint64_t[n][squares];

// Swaps the off-diagonal corners of 2 x 2 blocks, each corner `bits` wide.
void swap_corners(uint64_t (&upper)[squares], uint64_t (&lower)[squares], int bits,
                  uint64_t low_halves) {
    for (size_t i = 0; i < squares; ++i) {
        const uint64_t difference = (upper[i] >> bits ^ lower[i]) & low_halves;
        lower[i] ^= difference;
        upper[i] ^= difference << bits;
    }
}

void transpose(Squares<8>& rows) { // of bytes
    for (const size_t i : {0, 2, 4, 6})
        swap_corners(rows[i], rows[i + 1], 8, 0x00ff00ff00ff00ff);
    for (const size_t i : {0, 1, 4, 5})
        swap_corners(rows[i], rows[i + 2], 16, 0x0000ffff0000ffff);
    for (const size_t i : {0, 1, 2, 3})
        swap_corners(rows[i], rows[i + 4], 32, 0x00000000ffffffff);
}

void transpose(Squares<4>& rows) { // of halfwords
    for (const size_t i : {0, 2})
        swap_corners(rows[i], rows[i + 1], 16, 0x0000ffff0000ffff);
    for (const size_t i : {0, 1})
        swap_corners(rows[i], rows[i + 2], 32, 0x00000000ffffffff);
}

template <class T>
void pack_b_tile_transposed(const T* b, size_t ldb, T* out) {
    constexpr size_t width = micro_columns<T>; // and so many values are in a word
    for (size_t column = 0; column < core_tile; column += width)
        for (size_t k = 0; k < tile_depth<T>; k += squares * width) {
            Squares<width> rows;
            for (size_t i = 0; i < width; ++i)
                std::memcpy(rows[i], b + (column + i) * ldb + k, sizeof rows[i]);
            transpose(rows);
            for (size_t square = 0; square < squares; ++square) {
                const size_t row = k + square * width;
                T* to = out + micro_tile_of_b<T>(row / micro_k * micro_k, column) +
                        row % micro_k * width;
                for (size_t i = 0; i < width; ++i)
                    std::memcpy(to + i * width, &rows[i][square], sizeof rows[i][square]);
            }
        }
}

// One chunk of C: 32 rows.
constexpr size_t chunk_rows = core_tile / c_chunks;

template <size_t width, class T>
void unpack_c_chunk(const T* packed, T* c, size_t ldc) {
    for (size_t i = 0; i < chunk_rows; i += micro_rows)
        for (size_t j = 0; j < core_tile; j += width)
            for (size_t row = 0; row < micro_rows; ++row, packed += width)
                move_values<width>(c + (i + row) * ldc + j, packed);
}

// A part of a matrix at its edge.
struct Extent {
    size_t rows, columns;
    bool empty() const { return rows == 0 || columns == 0; }
};

size_t remaining(size_t size, size_t begin, size_t most) {
    return size > begin ? std::min(size - begin, most) : 0;
}

// Calls pack(tile, ld) with the matrix itself where it covers the tile, and with a copy among zeros
// at its edges.
template <class T, class Pack>
void with_full_tile(const T* tile, size_t ld, Extent there, Extent full, const Pack& pack) {
    if (there.rows == full.rows && there.columns == full.columns)
        return pack(tile, ld);
    T padded[core_tile * tile_depth<T>] = {};
    for (size_t row = 0; row < there.rows; ++row)
        std::copy_n(tile + row * ld, there.columns, padded + row * full.columns);
    pack(padded, full.columns);
}

template <class T>
void pack_a_strips(const GemmTiling& tiling, const T* a, size_t lda, char* packed,
                   Parallel& threads) {
    constexpr size_t depth = tile_depth<T>;
    threads.for_each(array_cores * tiling.m_groups(), [&](size_t strip, unsigned) {
        const size_t core_row = strip % array_cores, group = strip / array_cores;
        const size_t row = group * output_group + core_row * core_tile;
        const size_t rows = remaining(tiling.m(), row, core_tile);
        auto* out = reinterpret_cast<T*>(packed + tiling.a_offset(core_row, group));
        if (rows == 0) {
            std::memset(out, 0, tiling.a_strip());
            return;
        }
        for (size_t k = 0; k < tiling.k(); k += depth, out += core_tile * depth)
            with_full_tile(a + row * lda + k, lda, {rows, remaining(tiling.k(), k, depth)},
                           {core_tile, depth},
                           [&](const T* tile, size_t ld) { pack_a_tile(tile, ld, out); });
    });
}

template <class T>
void pack_b_strips(const GemmTiling& tiling, const T* b, size_t ldb, BLayout layout,
                   uint32_t right_shift, char* packed, Parallel& threads) {
    constexpr size_t depth = tile_depth<T>;
    const GemmOverlay& overlay = tiling.overlay();
    threads.for_each(array_cores * tiling.n_groups(), [&](size_t strip, unsigned) {
        const size_t core_column = strip % array_cores, group = strip / array_cores;
        const size_t column = group * output_group + core_column * core_tile;
        const size_t columns = remaining(tiling.n(), column, core_tile);
        char* message = packed + tiling.b_offset(core_column, group);
        for (size_t k = 0; k < tiling.k(); k += depth, message += overlay.b_message) {
            const size_t rows = remaining(tiling.k(), k, depth);
            const uint32_t place =
                (k == 0 ? first_k_tile : 0) | (k + rows == tiling.k() ? last_k_tile : 0);
            const uint32_t header[8] = {place, right_shift};
            std::memcpy(message, header, sizeof header);
            auto* out = reinterpret_cast<T*>(message + overlay.b_header);
            if (columns == 0)
                std::memset(out, 0, overlay.b_message - overlay.b_header);
            else if (layout == BLayout::k_by_n)
                with_full_tile(b + k * ldb + column, ldb, {rows, columns}, {depth, core_tile},
                               [&](const T* tile, size_t ld) { pack_b_tile(tile, ld, out); });
            else
                with_full_tile(
                    b + column * ldb + k, ldb, {columns, rows}, {core_tile, depth},
                    [&](const T* tile, size_t ld) { pack_b_tile_transposed(tile, ld, out); });
        }
    });
}

// The chunks of one core, one after another down the matrix.
template <size_t width, class T>
void unpack_c_chunks(const GemmTiling& tiling, const char* packed, T* c, size_t ldc,
                     Parallel& threads) {
    const size_t tile_rows = tiling.m_groups() * array_cores;
    threads.for_each(tile_rows * tiling.n_groups(), [&](size_t task, unsigned) {
        const size_t n_group = task % tiling.n_groups(), tile_row = task / tiling.n_groups();
        const size_t m_group = tile_row / array_cores, core_row = tile_row % array_cores;
        const size_t index = tiling.output_index(m_group, n_group);
        for (size_t core_column = 0; core_column < array_cores; ++core_column)
            for (size_t chunk = 0; chunk < c_chunks; ++chunk) {
                const size_t row = tile_row * core_tile + chunk * chunk_rows;
                const size_t column = n_group * output_group + core_column * core_tile;
                const Extent there{remaining(tiling.m(), row, chunk_rows),
                                   remaining(tiling.n(), column, core_tile)};
                if (there.empty())
                    continue;
                const auto* from = reinterpret_cast<const T*>(
                    packed + tiling.c_offset(core_column, core_row, index, chunk));
                T* to = c + row * ldc + column;
                if (there.rows == chunk_rows && there.columns == core_tile) {
                    unpack_c_chunk<width>(from, to, ldc);
                    continue;
                }
                T whole[chunk_rows * core_tile];
                unpack_c_chunk<width>(from, whole, core_tile);
                for (size_t i = 0; i < there.rows; ++i)
                    std::copy_n(whole + i * core_tile, there.columns, to + i * ldc);
            }
    });
}

void check_leading_dimension(const GemmTiling& tiling, const char* matrix, size_t ld,
                             size_t columns) {
    if (ld < columns)
        fail(NPUENC_E_INVALID, "%s: rows of %s are %zu elements long but %zu apart",
             tiling.overlay().name, matrix, columns, ld);
}

} // namespace

void pack_a(const GemmTiling& tiling, const void* a, size_t lda, void* packed, Parallel& threads) {
    check_leading_dimension(tiling, "A", lda, tiling.k());
    auto* out = static_cast<char*>(packed);
    if (tiling.overlay().operand_type == NPUENC_S8)
        pack_a_strips(tiling, static_cast<const int8_t*>(a), lda, out, threads);
    else
        pack_a_strips(tiling, static_cast<const uint16_t*>(a), lda, out, threads);
}

void pack_b(const GemmTiling& tiling, const void* b, size_t ldb, BLayout layout,
            unsigned right_shift, void* packed, Parallel& threads) {
    check_leading_dimension(tiling, "B", ldb, layout == BLayout::k_by_n ? tiling.n() : tiling.k());
    const unsigned most = tiling.overlay().result_type == NPUENC_S8 ? 31 : 0;
    if (right_shift > most)
        fail(NPUENC_E_INVALID, "%s: a right shift of %u is above %u", tiling.overlay().name,
             right_shift, most);
    auto* out = static_cast<char*>(packed);
    if (tiling.overlay().operand_type == NPUENC_S8)
        pack_b_strips(tiling, static_cast<const int8_t*>(b), ldb, layout, right_shift, out,
                      threads);
    else
        pack_b_strips(tiling, static_cast<const uint16_t*>(b), ldb, layout, right_shift, out,
                      threads);
}

void unpack_c(const GemmTiling& tiling, const void* packed, void* c, size_t ldc,
              Parallel& threads) {
    check_leading_dimension(tiling, "C", ldc, tiling.n());
    const auto* from = static_cast<const char*>(packed);
    switch (tiling.overlay().result_type) {
    case NPUENC_S8:
        return unpack_c_chunks<micro_columns<int8_t>>(tiling, from, static_cast<int8_t*>(c), ldc,
                                                      threads);
    case NPUENC_S32:
        return unpack_c_chunks<micro_columns<int8_t>>(tiling, from, static_cast<int32_t*>(c), ldc,
                                                      threads);
    default:
        return unpack_c_chunks<micro_columns<uint16_t>>(tiling, from, static_cast<float*>(c), ldc,
                                                        threads);
    }
}

} // namespace npuenc
