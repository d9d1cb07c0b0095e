// SPDX-License-Identifier: MIT
// Products of two matrices given at the call: B is packed once for all rows that meet it.
#include "cpu/cpu_device.hpp"
#include "error.hpp"

namespace npuenc {

namespace {

// Of B packed at a time.
constexpr size_t packed_bytes = size_t{16} << 20;

} // namespace

// convert(n, sums, c): a row's sums into c; for C the type of the sums, they are in c already.
template <class Gemm, class C, class Convert>
void CpuDevice::multiply_matrices(const Gemm& gemm, const Matmul& shape, const void* a_data,
                                  const void* b_data, C* c, Convert&& convert) {
    using Operand = OperandOf<Gemm>;
    using Sum = SumOf<Gemm>;
    const auto* a = static_cast<const Operand*>(a_data);
    const auto* b = static_cast<const Operand*>(b_data);

    if (shape.batch == 0 || shape.m == 0 || shape.n == 0)
        return;
    // As many columns as fit; then, if these are all, as many items of the batch as fit.
    const size_t stride = panel_stride(gemm, gemm.nr, shape.k);
    const size_t panel_bytes = size_product(stride, sizeof(Operand));
    const size_t n_panels = ceil_div(shape.n, gemm.nr);
    const size_t panels_at_once =
        std::clamp<size_t>(packed_bytes / std::max<size_t>(1, panel_bytes), 1, n_panels);
    const bool shared = shape.stride_b == 0;
    size_t items_at_once = 1;
    if (shared)
        items_at_once = shape.batch;
    else if (panels_at_once == n_panels)
        items_at_once = std::clamp<size_t>(
            packed_bytes / std::max<size_t>(1, size_product(n_panels, panel_bytes)), 1,
            shape.batch);
    const size_t packed_items = shared ? 1 : items_at_once;
    const SharedMemory::Lease packed(
        shared_, size_product(size_product(packed_items, panels_at_once), panel_bytes));

    for (size_t first_item = 0; first_item < shape.batch; first_item += items_at_once) {
        const size_t items = std::min(items_at_once, shape.batch - first_item);
        for (size_t first_panel = 0; first_panel < n_panels; first_panel += panels_at_once) {
            const size_t panels = std::min(panels_at_once, n_panels - first_panel);
            const size_t first_col = first_panel * gemm.nr;
            const size_t cols = std::min(shape.n - first_col, panels * gemm.nr);

            pool_.for_each((shared ? 1 : items) * panels, [&](size_t task, unsigned) {
                const size_t col = first_col + task % panels * gemm.nr;
                const size_t count = std::min<size_t>(gemm.nr, shape.n - col);
                const Operand* item = b + (first_item + task / panels) * shape.stride_b;
                Operand* panel = packed.data<Operand>() + task * stride;
                if (shape.b_transposed)
                    gemm.pack_b_rows(count, shape.k, item + col * shape.ldb, shape.ldb, panel);
                else
                    gemm.pack_b_cols(count, shape.k, item + col, shape.ldb, panel);
            });

            const Split split(shape.m, cols, gemm.mr, gemm.nr, pool_.n_threads());
            pool_.for_each(items * split.n_tasks(), [&](size_t task, unsigned thread) {
                const size_t i = task / split.n_tasks(), item = first_item + i;
                const Split::Part part = split.part(task % split.n_tasks());
                const Operand* a_rows = a + item * shape.stride_a + part.first_row * shape.lda;
                C* c_rows = c + item * shape.stride_c + part.first_row * shape.ldc + first_col;
                Block<Gemm> block{};
                block.rows = part.rows;
                block.first_col = part.first_col;
                block.end_col = part.end_col;
                block.k = shape.k;
                block.b = {packed.data<Operand>() + (shared ? 0 : i * panels * stride), stride};
                if constexpr (std::is_same_v<C, Sum>) {
                    block.c = c_rows;
                    block.ldc = shape.ldc;
                }
                multiply(
                    gemm, block, scratch_[thread],
                    [&](size_t row, size_t rows, size_t k, size_t n, Operand* panel) {
                        gemm.pack_a(rows, n, a_rows + row * shape.lda + k, shape.lda, panel);
                    },
                    [&](size_t row, size_t col, size_t n, const Sum* sums) {
                        convert(n, sums, c_rows + row * shape.ldc + col);
                    });
            });
        }
    }
}

void CpuDevice::matmul(const Matmul& shape, const void* a, const void* b, void* c) {
    const npuenc_dtype type = shape.a_type, result = shape.c_type;
    const auto as_they_are = [](size_t, const auto*, auto*) {};
    const auto is = [&](npuenc_dtype operands, npuenc_dtype results) {
        return type == operands && shape.b_type == operands && result == results;
    };
    const npuenc_convert& convert = kernels_.convert;
    if (is(NPUENC_F32, NPUENC_F32))
        multiply_matrices(kernels_.gemm_f32, shape, a, b, static_cast<float*>(c), as_they_are);
    else if (is(NPUENC_BF16, NPUENC_F32))
        multiply_matrices(kernels_.gemm_bf16, shape, a, b, static_cast<float*>(c), as_they_are);
    else if (is(NPUENC_BF16, NPUENC_BF16))
        multiply_matrices(kernels_.gemm_bf16, shape, a, b, static_cast<uint16_t*>(c),
                          convert.f32_to_bf16);
    else if (is(NPUENC_S8, NPUENC_S32))
        multiply_matrices(kernels_.gemm_s8, shape, a, b, static_cast<int32_t*>(c), as_they_are);
    else if (is(NPUENC_S8, NPUENC_S8))
        multiply_matrices(kernels_.gemm_s8, shape, a, b, static_cast<int8_t*>(c),
                          [&](size_t n, const int32_t* sums, int8_t* out) {
                              convert.s32_to_s8(n, sums, shape.scale, shape.zero_point, out);
                          });
    else
        fail(NPUENC_E_UNSUPPORTED, "matmul of types %d and %d into %d", type, shape.b_type, result);
}

} // namespace npuenc
