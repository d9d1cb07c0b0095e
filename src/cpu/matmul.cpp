// SPDX-License-Identifier: MIT
// Products of two matrices given at the call: B is packed once for all rows that meet it.
#include <type_traits>

#include "cpu/cpu_device.hpp"
#include "error.hpp"

namespace npuenc {

namespace {

// Of B packed at a time.
constexpr size_t packed_bytes = size_t{16} << 20;

struct Operands {
    const Matmul& shape;
    const char *a, *b;
    char* c;
    size_t in_size, out_size;

    const char* a_row(size_t item, size_t row) const {
        return a + (item * shape.stride_a + row * shape.lda) * in_size;
    }
    const char* b_col(size_t item, size_t col) const {
        return b + (item * shape.stride_b + col * (shape.b_transposed ? shape.ldb : 1)) * in_size;
    }
    char* c_at(size_t item, size_t row, size_t col) const {
        return c + (item * shape.stride_c + row * shape.ldc + col) * out_size;
    }
};

} // namespace

// store(rows, cols, sums, ld, c): a tile's sums into c; nullptr: they are c, as they are.
template <class Store>
void CpuDevice::multiply_matrices(const npuenc_gemm& gemm, const Matmul& shape, const void* a,
                                  const void* b, void* c, Store store) {
    constexpr bool in_place = std::is_null_pointer_v<Store>;
    if (shape.batch == 0 || shape.m == 0 || shape.n == 0)
        return;
    const Operands operands = {shape,
                               static_cast<const char*>(a),
                               static_cast<const char*>(b),
                               static_cast<char*>(c),
                               element_size(shape.a_type),
                               element_size(shape.c_type)};
    // As many columns as fit; then, if these are all, as many items of the batch as fit.
    const size_t stride = panel_stride(gemm, shape.k);
    const size_t n_panels = ceil_div(shape.n, gemm.nr);
    const size_t panels_at_once =
        std::clamp<size_t>(packed_bytes / std::max<size_t>(1, stride), 1, n_panels);
    const bool shared = shape.stride_b == 0;
    size_t items_at_once = 1;
    if (shared)
        items_at_once = shape.batch;
    else if (panels_at_once == n_panels)
        items_at_once = std::clamp<size_t>(
            packed_bytes / std::max<size_t>(1, size_product(n_panels, stride)), 1, shape.batch);
    const size_t packed_items = shared ? 1 : items_at_once;
    const SharedMemory::Lease packed(
        shared_, size_product(size_product(packed_items, panels_at_once), stride));
    const size_t stride_a = shape.lda * operands.in_size;
    const bool a_is_packed = shape.k > 0 && are_packed(gemm, operands.in_size, shape.k, stride_a);
    const bool packs_a = shape.k > 0 && !a_is_packed;
    const size_t lda = a_is_packed ? stride_a : row_stride(gemm, shape.k);

    for (size_t first_item = 0; first_item < shape.batch; first_item += items_at_once) {
        const size_t items = std::min(items_at_once, shape.batch - first_item);
        for (size_t first_panel = 0; first_panel < n_panels; first_panel += panels_at_once) {
            const size_t panels = std::min(panels_at_once, n_panels - first_panel);
            const size_t first_col = first_panel * gemm.nr;
            const size_t cols = std::min(shape.n - first_col, panels * gemm.nr);

            const size_t to_pack = stride ? (shared ? 1 : items) * panels : 0; // k may be 0
            parallel().for_each(to_pack, [&](size_t task, unsigned) {
                const size_t col = first_col + task % panels * gemm.nr;
                const size_t count = std::min<size_t>(gemm.nr, shape.n - col);
                const auto pack_b = shape.b_transposed ? gemm.pack_b_rows : gemm.pack_b_cols;
                pack_b(count, shape.k, operands.b_col(first_item + task / panels, col), shape.ldb,
                       packed.data<char>() + task * stride);
            });

            const Split split(gemm, shape.m, cols, shape.k, team_.n_threads());
            Scratch::Sizes sizes;
            if (packs_a)
                sizes.need<char>(Scratch::a_rows, size_product(split.most_rows(), lda));
            need_sums(sizes, gemm, split.most_rows(), shape.k);
            team_.for_each(
                items * split.n_tasks(), sizes, [&](size_t task, const Scratch& scratch) {
                    const size_t i = task / split.n_tasks(), item = first_item + i;
                    const Split::Part part = split.part(task % split.n_tasks());
                    char* rows = scratch.get<char>(Scratch::a_rows);
                    for (size_t row = 0; packs_a && row < part.rows; ++row)
                        gemm.pack_a(shape.k, operands.a_row(item, part.first_row + row),
                                    rows + row * lda);
                    const char* b_panels = packed.data<char>() + (shared ? 0 : i * panels * stride);
                    const auto c_at = [&](size_t row, size_t col) {
                        return operands.c_at(item, part.first_row + row, first_col + col);
                    };
                    const Block block = {part.rows,
                                         part.first_col,
                                         part.end_col,
                                         shape.k,
                                         a_is_packed ? operands.a_row(item, part.first_row) : rows,
                                         lda,
                                         {b_panels, stride},
                                         c_at(0, part.first_col),
                                         shape.ldc * operands.out_size,
                                         operands.out_size,
                                         in_place};
                    multiply(gemm, block, scratch,
                             [&](size_t row, size_t n_rows, size_t col, size_t n_cols,
                                 const void* sums, size_t ld) {
                                 if constexpr (!in_place)
                                     store(n_rows, n_cols, sums, ld, c_at(row, col));
                             });
                });
        }
    }
}

void CpuDevice::matmul(const Matmul& shape, const void* a, const void* b, void* c, Stats&) {
    const npuenc_dtype type = shape.a_type, result = shape.c_type;
    const auto is = [&](npuenc_dtype operands, npuenc_dtype results) {
        return type == operands && shape.b_type == operands && result == results;
    };
    const auto to_bf16 = [&](size_t rows, size_t cols, const void* sums, size_t ld, void* to) {
        npuenc_finish finish{};
        finish.type = npuenc_float_bf16;
        finish.y = to;
        finish.ldy = shape.ldc;
        kernels_.finish.f32(rows, cols, static_cast<const float*>(sums), ld, &finish);
    };
    const auto to_s8 = [&](size_t rows, size_t cols, const void* sums, size_t ld, void* to) {
        for (size_t row = 0; row < rows; ++row)
            kernels_.convert.s32_to_s8(cols, static_cast<const int32_t*>(sums) + row * ld,
                                       shape.scale, shape.zero_point,
                                       static_cast<int8_t*>(to) + row * shape.ldc);
    };
    if (is(NPUENC_F32, NPUENC_F32))
        multiply_matrices(kernels_.gemm_f32, shape, a, b, c, nullptr);
    else if (is(NPUENC_BF16, NPUENC_F32))
        multiply_matrices(kernels_.gemm_bf16, shape, a, b, c, nullptr);
    else if (is(NPUENC_BF16, NPUENC_BF16))
        multiply_matrices(kernels_.gemm_bf16, shape, a, b, c, to_bf16);
    else if (is(NPUENC_S8, NPUENC_S32))
        multiply_matrices(kernels_.gemm_s8, shape, a, b, c, nullptr);
    else if (is(NPUENC_S8, NPUENC_S8))
        multiply_matrices(kernels_.gemm_s8, shape, a, b, c, to_s8);
    else
        fail(NPUENC_E_UNSUPPORTED, "matmul of types %d and %d into %d", type, shape.b_type, result);
}

} // namespace npuenc
