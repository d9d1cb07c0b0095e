// SPDX-License-Identifier: MIT
#include "npu/gemm_packing.hpp"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "aligned_buffer.hpp"
#include "error.hpp"
#include "kernels/aie2/gelu_tile.hpp"
#include "npu/streaming.hpp"

namespace npuenc {
namespace {

constexpr size_t micro_k = 8;
constexpr size_t block_columns = 16; // of B and C

// Of B and C, by the type of A and B.
template <class Operand>
constexpr size_t micro_columns = 8 / sizeof(Operand);

template <class Operand>
constexpr size_t tile_depth = 64 / sizeof(Operand);

// Words of a B header.
constexpr uint32_t first_k_tile = 1, last_k_tile = 2, results_of_16_bits = 4; // the last: of bf16

// A length that the compiler knows: one or two moves.
template <size_t n, class T>
void move_values(T* to, const T* from) {
    std::memcpy(to, from, n * sizeof(T));
}

// A band of a tile of A: 8 x 8 squares, each by rows. Each cache line is streamed as a whole.
void pack_a_squares(const int8_t* rows, size_t lda, int8_t* out) {
    constexpr size_t square = band_rows * micro_k;
    for (size_t k = 0; k < tile_depth<int8_t>; k += 2 * micro_k, out += 2 * square)
        for (size_t row = 0; row < band_rows; row += 2) {
            Pair upper, lower;
            std::memcpy(&upper, rows + row * lda + k, sizeof upper);
            std::memcpy(&lower, rows + (row + 1) * lda + k, sizeof lower);
            stream(out + row * micro_k, __builtin_shufflevector(upper, lower, 0, 2));
            stream(out + square + row * micro_k, __builtin_shufflevector(upper, lower, 1, 3));
        }
}

void pack_a_squares(const uint16_t* rows, size_t lda, uint16_t* out) {
    for (size_t k = 0; k < tile_depth<uint16_t>; k += micro_k)
        for (size_t row = 0; row < band_rows; ++row, out += micro_k) {
            Pair values;
            std::memcpy(&values, rows + row * lda + k, sizeof values);
            stream(out, values);
        }
}

void stream_zeros(char* out, size_t bytes) {
    for (size_t i = 0; i < bytes; i += sizeof(Pair))
        stream(out + i, Pair{});
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

// A part of a matrix at its edge.
struct Extent {
    size_t rows, columns;
};

size_t remaining(size_t size, size_t begin, size_t most) {
    return size > begin ? std::min(size - begin, most) : 0;
}

// Calls pack(tile, ld) with the matrix itself where it covers `full`, and with a copy among zeros
// at its edges.
template <class T, class Pack>
void with_full_tile(const T* tile, size_t ld, Extent there, Extent full, const Pack& pack) {
    if (there.rows == full.rows && there.columns == full.columns)
        return pack(tile, ld);
    T padded[core_tile * tile_depth<T>];
    std::fill_n(padded, full.rows * full.columns, T{0});
    for (size_t row = 0; row < there.rows; ++row)
        std::copy_n(tile + row * ld, there.columns, padded + row * full.columns);
    pack(padded, full.columns);
}

constexpr size_t bands_of_tile = core_tile / band_rows;

template <class T>
void pack_band(const GemmTiling& tiling, size_t band, const T* a, size_t lda, char* packed) {
    constexpr size_t depth = tile_depth<T>;
    const size_t tile_row = band / bands_of_tile,
                 rows = remaining(tiling.m(), band * band_rows, band_rows);
    const size_t message = tiling.overlay().a_message, part = message / bands_of_tile;
    char* out = packed + tiling.a_offset(tile_row % array_cores, tile_row / array_cores) +
                band % bands_of_tile * part;
    for (size_t k = 0; k < tiling.k(); k += depth, out += message) {
        if (rows == 0)
            stream_zeros(out, part);
        else
            with_full_tile(a + k, lda, {rows, remaining(tiling.k(), k, depth)}, {band_rows, depth},
                           [&](const T* tile, size_t ld) {
                               pack_a_squares(tile, ld, reinterpret_cast<T*>(out));
                           });
    }
    if (is_next_a(tiling.overlay()))
        stream_zeros(out, part);
}

template <class T>
void pack_strip(const GemmTiling& tiling, size_t strip, const T* b, size_t ldb, BLayout layout,
                uint32_t right_shift, char* packed) {
    constexpr size_t depth = tile_depth<T>;
    const GemmOverlay& overlay = tiling.overlay();
    const size_t columns = remaining(tiling.n(), strip * core_tile, core_tile);
    const uint32_t form =
        std::is_same_v<T, uint16_t> && overlay.result == GemmResult::s16 ? results_of_16_bits : 0;
    char* message = packed + tiling.b_offset(strip % array_cores, strip / array_cores);
    for (size_t k = 0; k < tiling.k(); k += depth, message += overlay.b_message) {
        const size_t rows = remaining(tiling.k(), k, depth);
        const bool is_last = k + rows == tiling.k() && !is_next_a(overlay);
        const uint32_t place = (k == 0 ? first_k_tile : 0) | (is_last ? last_k_tile : 0);
        const uint32_t header[8] = {place | form, right_shift};
        std::memcpy(message, header, sizeof header);
        auto* out = reinterpret_cast<T*>(message + overlay.b_header);
        if (columns == 0)
            std::memset(out, 0, overlay.b_message - overlay.b_header);
        else if (layout == BLayout::k_by_n)
            with_full_tile(b + k * ldb, ldb, {rows, columns}, {depth, core_tile},
                           [&](const T* tile, size_t ld) { pack_b_tile(tile, ld, out); });
        else
            with_full_tile(
                b + k, ldb, {columns, rows}, {core_tile, depth},
                [&](const T* tile, size_t ld) { pack_b_tile_transposed(tile, ld, out); });
    }
}

template <class From, class To>
void unpack_band(void (*unpack)(const From* packed, To* c, size_t ldc), const void* packed,
                 void* band_of_group, size_t ld) {
    static_assert(band_rows == npuenc_unpacked_rows && core_tile == npuenc_unpacked_cols);
    for (size_t core_column = 0; core_column < array_cores; ++core_column)
        unpack(static_cast<const From*>(packed) + core_column * band_rows * core_tile,
               static_cast<To*>(band_of_group) + core_column * core_tile, ld);
}

void check_leading_dimension(const GemmTiling& tiling, const char* matrix, size_t ld,
                             size_t columns) {
    if (ld < columns)
        fail(NPUENC_E_INVALID, "%s: rows of %s are %zu elements long but %zu apart",
             tiling.overlay().name, matrix, columns, ld);
}

bool is_int8(const GemmTiling& tiling) {
    return tiling.overlay().operand_type == NPUENC_S8;
}

} // namespace

void pack_a_band(const GemmTiling& tiling, size_t band, const void* rows, size_t lda,
                 void* packed) {
    auto* out = static_cast<char*>(packed);
    if (is_int8(tiling))
        pack_band(tiling, band, static_cast<const int8_t*>(rows), lda, out);
    else
        pack_band(tiling, band, static_cast<const uint16_t*>(rows), lda, out);
}

void pack_a(const GemmTiling& tiling, const void* a, size_t lda, void* packed, Parallel& threads) {
    check_leading_dimension(tiling, "A", lda, tiling.k());
    const size_t element = is_int8(tiling) ? sizeof(int8_t) : sizeof(uint16_t);
    threads.for_each(a_bands(tiling), [&](size_t band, unsigned) {
        const size_t row = std::min(band * band_rows, tiling.m());
        pack_a_band(tiling, band, static_cast<const char*>(a) + row * lda * element, lda, packed);
        end_streaming();
    });
}

void pack_b_strip(const GemmTiling& tiling, size_t strip, const void* columns, size_t ldb,
                  BLayout layout, unsigned right_shift, void* packed) {
    auto* out = static_cast<char*>(packed);
    if (is_int8(tiling))
        pack_strip(tiling, strip, static_cast<const int8_t*>(columns), ldb, layout, right_shift,
                   out);
    else
        pack_strip(tiling, strip, static_cast<const uint16_t*>(columns), ldb, layout, right_shift,
                   out);
}

void pack_gelu_tile(const GemmTiling& tiling, size_t strip, const float* bias, void* packed) {
    const size_t last = (tiling.k_tiles() - 1) * tiling.overlay().b_message;
    gelu_tile::write(bias, remaining(tiling.n(), strip * core_tile, core_tile),
                     static_cast<char*>(packed) +
                         tiling.b_offset(strip % array_cores, strip / array_cores) + last);
}

void pack_b(const GemmTiling& tiling, const void* b, size_t ldb, BLayout layout,
            unsigned right_shift, void* packed, Parallel& threads) {
    check_leading_dimension(tiling, "B", ldb, layout == BLayout::k_by_n ? tiling.n() : tiling.k());
    const unsigned most = shifts(tiling.overlay()) ? 31 : 0;
    if (right_shift > most)
        fail(NPUENC_E_INVALID, "%s: a right shift of %u is above %u", tiling.overlay().name,
             right_shift, most);
    const size_t element = is_int8(tiling) ? sizeof(int8_t) : sizeof(uint16_t);
    threads.for_each(b_strips(tiling), [&](size_t strip, unsigned) {
        const size_t column = std::min(strip * core_tile, tiling.n());
        const size_t from = layout == BLayout::k_by_n ? column : column * ldb;
        pack_b_strip(tiling, strip, static_cast<const char*>(b) + from * element, ldb, layout,
                     right_shift, packed);
    });
}

size_t c_band_offset(const GemmTiling& tiling, const CBand& band) {
    const size_t tile_row = band.band / bands_of_tile, in_tile = band.band % bands_of_tile;
    return tiling.c_offset(
        tile_row % array_cores, tiling.output_index(tile_row / array_cores, band.n_group),
        in_tile / chunk_bands(tiling.overlay()), in_tile % chunk_bands(tiling.overlay()), 0);
}

void unpack_c_band(const npuenc_unpack& kernels, const GemmOverlay& overlay, const void* packed,
                   void* band_of_group, size_t ld) {
    switch (overlay.result) {
    case GemmResult::s32:
        return unpack_band(kernels.s32, packed, band_of_group, ld);
    case GemmResult::s16:
        return unpack_band(overlay.operand_type == NPUENC_S8 ? kernels.s16 : kernels.s16_of_bf16,
                           packed, band_of_group, ld);
    case GemmResult::s8:
        return unpack_band(kernels.s8, packed, band_of_group, ld);
    case GemmResult::f32:
        return unpack_band(kernels.f32, packed, band_of_group, ld);
    case GemmResult::gelu:
        fail(NPUENC_E_INTERNAL, "%s: results that stay on the device", overlay.name);
    }
}

void unpack_c(const npuenc_unpack& kernels, const GemmTiling& tiling, const void* packed, void* c,
              size_t ldc, Parallel& threads) {
    check_leading_dimension(tiling, "C", ldc, tiling.n());
    const size_t element = result_bytes(tiling.overlay());
    threads.for_each(ceil_div(tiling.m(), band_rows), [&](size_t band, unsigned) {
        alignas(cache_line) char whole[band_rows * output_group * sizeof(int32_t)];
        const size_t row = band * band_rows, rows = remaining(tiling.m(), row, band_rows);
        for (size_t column = 0; column < tiling.n(); column += output_group) {
            unpack_c_band(kernels, tiling.overlay(),
                          static_cast<const char*>(packed) +
                              c_band_offset(tiling, {band, column / output_group}),
                          whole, output_group);
            const size_t columns = remaining(tiling.n(), column, output_group);
            for (size_t i = 0; i < rows; ++i)
                std::memcpy(static_cast<char*>(c) + ((row + i) * ldc + column) * element,
                            whole + i * output_group * element, columns * element);
        }
    });
}

} // namespace npuenc
