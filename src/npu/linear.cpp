// SPDX-License-Identifier: MIT
// Linear layers, and convolutions through overlapping rows.
#include "error.hpp"
#include "npu/linear_input.hpp"
#include "npu/linear_output.hpp"
#include "npu/npu_device.hpp"
#include "npu/timer.hpp"
#include "npu/weight.hpp"

namespace npuenc {

std::unique_ptr<Weight> NpuDevice::pack(size_t n_out, size_t n_in, npuenc_precision precision,
                                        const RowReader& rows, const float* bias, Sums sums) {
    return std::make_unique<NpuWeight>(NpuWeight::Owner{kernels_, array_, parallel(), shared_},
                                       n_out, n_in, precision, rows, bias, sums);
}

std::unique_ptr<Weight> NpuDevice::pack(size_t n_out, size_t n_in, const Int8Rows& rows,
                                        const float* bias) {
    return std::make_unique<NpuWeight>(NpuWeight::Owner{kernels_, array_, parallel(), shared_},
                                       n_out, n_in, rows, bias);
}

const NpuWeight& NpuDevice::own(const Weight& weight) const {
    const auto* own = dynamic_cast<const NpuWeight*>(&weight);
    if (!own || &own->array() != &array_)
        fail(NPUENC_E_INVALID, "a weight that was packed for another device");
    return *own;
}

void NpuDevice::linear(const Weight& any_weight, const Linear& shape, const void* x, void* y,
                       Stats& stats) {
    const NpuWeight& weight = own(any_weight);
    if (weight.is_of_mlp())
        fail(NPUENC_E_INVALID, "a linear layer with a weight that was packed for an MLP");
    array_.check();

    const bool in_16_bits = weight.in_16_bits(shape);
    const LinearInput input(kernels_, weight, shape, x);
    const LinearOutput output(kernels_, weight, shape, in_16_bits, y);
    const Product group = weight.product(1, in_16_bits);
    const size_t most_rows = rows_at_once(array_, group.a_bytes() + group.c_bytes(), shape.rows);
    const SharedMemory::Lease memory(shared_,
                                     input.scratch_bytes(most_rows, parallel().n_threads()));

    for (size_t first = 0; first < shape.rows; first += most_rows) {
        const Product product = weight.product(std::min(most_rows, shape.rows - first), in_16_bits);
        Submission submission(array_, product.a_bytes(), product.c_bytes());
        product.add_to(submission, array_, submission.input(0, product.a_bytes()), weight.packed(),
                       submission.output(0, product.c_bytes()));
        const float* scales;
        {
            const Timer timer(stats.pack_ns);
            scales =
                input.pack(product, first, parallel(), memory.data<char>(), submission.inputs());
        }
        submission.run(Written::past_caches, parallel(), stats);
        const Timer timer(stats.unpack_ns);
        output.finish(product, submission.outputs(), first, scales, parallel());
    }
}

} // namespace npuenc
