// SPDX-License-Identifier: MIT
// Matrices into the order in which the array reads them, and its result back.
//
// A tile of A, in the order of its bytes: rows in eights, K in eights, then 8 rows of 8 values (two
// micro-tiles of 4 x 8). A tile of B: a header, then columns in sixteens, K in eights, micro-tiles
// of 8 x 8 (int8) or 8 x 4 (bf16), each by rows of K. A tile of C: rows in eights, columns in
// sixteens, micro-tile columns of 8 (int8 operands) or 4 (bf16), then 8 rows. Edges are filled with
// zeros. Where results are A of the next product, a strip has one more tile: zeros in A, and in B
// what gelu_tile.hpp says.
//
// bf16 values are uint16_t. Results of int16 are unpacked to int32. Results do not depend on the
// number of threads.
//
// Matrices can be taken as a whole, or in parts by whoever makes their values on the way: eight
// rows of A, or of a group of columns of C, are a band, 64 columns of B a strip; padded to whole
// groups there are a_bands(tiling) and b_strips(tiling) of them. Parts do not overlap.
#pragma once

#include <cstddef>
#include <cstdint>

#include "device/parallel.hpp"
#include "kernels/cpu/kernels.h"
#include "npu/gemm_tiling.hpp"

namespace npuenc {

// A [m][k], rows `lda` elements apart, into the tiling's a_bytes(), on a multiple of 16.
void pack_a(const GemmTiling& tiling, const void* a, size_t lda, void* packed, Parallel& threads);

inline size_t a_bands(const GemmTiling& tiling) {
    return tiling.m_groups() * (output_group / band_rows);
}

// Of a band, or zeros where the matrix has ended; `rows` is where its first row begins. `packed` is
// on a multiple of 16, and is streamed to: who hands it on calls end_streaming() first.
void pack_a_band(const GemmTiling& tiling, size_t band, const void* rows, size_t lda, void* packed);

enum class BLayout {
    k_by_n, // B [k][n]
    n_by_k, // B transposed, as the weight of a linear layer is stored
};

// Of a result once it is unpacked.
constexpr size_t result_bytes(const GemmOverlay& overlay) {
    return overlay.result == GemmResult::s8 ? sizeof(int8_t) : sizeof(int32_t);
}

// B, rows `ldb` elements apart, into the tiling's b_bytes(): the same for every M. A result of 8 or
// 16 bits is sum / 2^right_shift, 0 to 31; of others the shift is 0. Throws Error E_INVALID else.
void pack_b(const GemmTiling& tiling, const void* b, size_t ldb, BLayout layout,
            unsigned right_shift, void* packed, Parallel& threads);

inline size_t b_strips(const GemmTiling& tiling) {
    return tiling.n_groups() * array_cores;
}

// Of a strip, or zeros where the matrix has ended; `columns` is where its first column begins.
void pack_b_strip(const GemmTiling& tiling, size_t strip, const void* columns, size_t ldb,
                  BLayout layout, unsigned right_shift, void* packed);

// That strip's last one of gemm_bf16_gelu, which the others leave out; `bias` is where that of the
// strip's first column is, or null.
void pack_gelu_tile(const GemmTiling& tiling, size_t strip, const float* bias, void* packed);

struct CBand {
    size_t band, n_group;
};

// Where a band of C begins.
size_t c_band_offset(const GemmTiling& tiling, const CBand& band);

// A band, which begins at `packed`, padded to [band_rows][output_group] as it is in the result,
// into rows `ld` elements apart.
void unpack_c_band(const npuenc_unpack& kernels, const GemmOverlay& overlay, const void* packed,
                   void* band_of_group, size_t ld);

// The tiling's c_bytes() into C [m][n], rows `ldc` elements apart.
void unpack_c(const npuenc_unpack& kernels, const GemmTiling& tiling, const void* packed, void* c,
              size_t ldc, Parallel& threads);

} // namespace npuenc
