// SPDX-License-Identifier: MIT
#include "npu/product.hpp"

#include "error.hpp"
#include "npu/gemm_stream.hpp"

namespace npuenc {
namespace {

// Whether A is the operand of fewer groups, those that are chained. Of a weight it always is, but
// of the first one of a chain of products.
bool chains_a(size_t m, size_t n, Product::B b) {
    return b == Product::B::first_of_chain ||
           (b == Product::B::any && ceil_div(m, output_group) <= ceil_div(n, output_group));
}

bool is_of_chain(Product::B b) {
    return b == Product::B::first_of_chain || b == Product::B::second_of_chain;
}

GemmTiling::Replayed replayed(Product::B b) {
    switch (b) {
    case Product::B::first_of_chain:
        return GemmTiling::Replayed::b;
    case Product::B::second_of_chain:
        return GemmTiling::Replayed::a;
    default:
        return GemmTiling::Replayed::fewer;
    }
}

template <class T>
void add(const T* part, T* sums, size_t ld) {
    for (size_t row = 0; row < band_rows; ++row, part += output_group, sums += ld)
        for (size_t i = 0; i < output_group; ++i)
            sums[i] += part[i];
}

} // namespace

Product::Product(const GemmOverlay& overlay, size_t m, size_t n, size_t k, B b)
    : overlay_(overlay), m_(m), n_(n), k_(k), replayed_(replayed(b)),
      a_groups_(ceil_div(m, output_group),
                chains_a(m, n, b) ? GemmTiling::max_chain : GemmTiling::max_groups),
      b_groups_(ceil_div(n, output_group),
                chains_a(m, n, b) ? GemmTiling::max_groups : GemmTiling::max_chain),
      tiles_(ceil_div(k, overlay.k_tile), GemmTiling::max_k_tiles) {
    if (is_of_chain(b) && (a_groups_.parts() > 1 || b_groups_.parts() > 1 || tiles_.parts() > 1))
        fail(NPUENC_E_UNSUPPORTED,
             "%s: a product of %zu x %zu x %zu (M x N x K) is too large for a chain", overlay.name,
             m, n, k);
    const GemmTiling largest = tiling(0, 0, 0);
    a_piece_ = whole_pages(largest.a_bytes());
    b_piece_ = whole_pages(largest.b_bytes());
    c_piece_ = whole_pages(largest.c_bytes());
}

GemmTiling Product::tiling(size_t row_part, size_t column_part, size_t depth_part) const {
    const auto extent = [](size_t all, size_t part, size_t size) {
        return std::min(all - part * size, size);
    };
    return {overlay_, extent(m_, row_part, a_groups_.size * output_group),
            extent(n_, column_part, b_groups_.size * output_group),
            extent(k_, depth_part, depth_of_part()), replayed_};
}

void Product::pack_a_band(size_t band, const void* rows, size_t lda, char* packed) const {
    const size_t bands = bands_of_part(), part = band / bands;
    for (size_t i = 0; i < tiles_.parts(); ++i)
        npuenc::pack_a_band(tiling(part, 0, i), band % bands,
                            static_cast<const char*>(rows) + i * depth_of_part() * element(), lda,
                            packed + (part * tiles_.parts() + i) * a_piece_);
}

void Product::pack_b_strip(size_t strip, const void* columns, size_t ldb, BLayout layout,
                           unsigned right_shift, char* packed) const {
    const size_t strips = b_groups_.size * array_cores, part = strip / strips;
    for (size_t i = 0; i < tiles_.parts(); ++i) {
        const size_t k = i * depth_of_part();
        const size_t from = layout == BLayout::k_by_n ? k * ldb : k;
        npuenc::pack_b_strip(tiling(0, part, i), strip % strips,
                             static_cast<const char*>(columns) + from * element(), ldb, layout,
                             right_shift, packed + (part * tiles_.parts() + i) * b_piece_);
    }
}

size_t Product::c_band_offset(const CBand& band, size_t part) const {
    const size_t i = band.band / bands_of_part(), j = band.n_group / b_groups_.size;
    return ((i * b_groups_.parts() + j) * tiles_.parts() + part) * c_piece_ +
           npuenc::c_band_offset(tiling(i, j, part),
                                 {band.band % bands_of_part(), band.n_group % b_groups_.size});
}

void Product::add_up_c_band(const npuenc_unpack& kernels, size_t offset, const char* packed,
                            void* band_of_group, size_t ld) const {
    unpack_c_band(kernels, overlay_, packed + offset, band_of_group, ld);
    for (size_t part = 1; part < tiles_.parts(); ++part) {
        alignas(cache_line) char more[band_rows * output_group * sizeof(int32_t)];
        unpack_c_band(kernels, overlay_, packed + offset + part * c_piece_, more, output_group);
        if (overlay_.result == GemmResult::f32)
            add(reinterpret_cast<const float*>(more), static_cast<float*>(band_of_group), ld);
        else
            add(reinterpret_cast<const uint32_t*>(more), static_cast<uint32_t*>(band_of_group), ld);
    }
}

void Product::add_to(Submission& submission, Array& array, const DevicePart& a, const DevicePart& b,
                     const DevicePart& c, const Product* before) const {
    const auto piece = [](const DevicePart& all, size_t i, size_t stride, size_t bytes) {
        return DevicePart{all.buffer, all.offset + i * stride, bytes};
    };
    const size_t depths = tiles_.parts();
    for (size_t i = 0; i < a_groups_.parts(); ++i)
        for (size_t j = 0; j < b_groups_.parts(); ++j)
            for (size_t part = 0; part < depths; ++part) {
                const GemmTiling of_piece = tiling(i, j, part);
                const auto make_stream = [&] {
                    if (!before)
                        return gemm_stream(of_piece);
                    const GemmTiling left = before->tiling(0, 0, 0);
                    return gemm_stream(of_piece, &left);
                };
                // What K is cut into also says how many groups were before.
                submission.add(
                    array.program({overlay_.name,
                                   {of_piece.m_groups(), of_piece.n_groups(), of_piece.k_tiles(),
                                    static_cast<uint64_t>(overlay_.result) * 2 + (before ? 1 : 0)}},
                                  make_stream),
                    {piece(a, i * depths + part, a_piece_, of_piece.a_bytes()),
                     piece(b, j * depths + part, b_piece_, of_piece.b_bytes()),
                     piece(c, (i * b_groups_.parts() + j) * depths + part, c_piece_,
                           of_piece.c_bytes())});
            }
}

} // namespace npuenc
