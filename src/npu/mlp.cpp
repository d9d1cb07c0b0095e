// SPDX-License-Identifier: MIT
// MLPs whose hidden values never leave the device: two commands of one submission, of which the
// second reads what the first one writes.
#include <algorithm>
#include <limits>

#include "error.hpp"
#include "npu/linear_input.hpp"
#include "npu/linear_output.hpp"
#include "npu/mlp_bounds.hpp"
#include "npu/npu_device.hpp"
#include "npu/timer.hpp"
#include "npu/weight.hpp"

namespace npuenc {
namespace {

// Of rows, as strips of the first weight are replayed by a chain of descriptors. Those of hidden
// values are, too, for as many groups of results.
constexpr size_t most_groups = GemmTiling::max_chain;

} // namespace

bool NpuDevice::has_mlp(size_t n_in, size_t n_hidden, size_t n_out) const {
    static_assert(mlp_bounds::most_hidden <= GemmTiling::max_groups * output_group);
    constexpr size_t most_tiles = GemmTiling::max_k_tiles - 1; // and that of GELU
    return n_in <= most_tiles * gemm_bf16_gelu.k_tile && n_hidden <= mlp_bounds::most_hidden &&
           n_out <= most_groups * output_group;
}

void NpuDevice::mlp(const Weight& any_up, const Weight& any_down, const Linear& shape,
                    const void* x, void* y, Stats& stats) {
    const NpuWeight &up = own(any_up), &down = own(any_down);
    if (up.sums() != Sums::stay || down.sums() != Sums::of_stayed || down.n_in() != up.n_out())
        fail(NPUENC_E_INVALID, "an MLP of weights that were not packed for one");
    array_.check();

    const LinearInput input(kernels_, up, shape, x);
    const LinearOutput output(kernels_, down, shape, false, y);
    const Product of_group = up.product(1, false), then_of_group = down.product(1, false);
    const size_t most_rows =
        rows_at_once(array_, of_group.a_bytes() + of_group.c_bytes() + then_of_group.c_bytes(),
                     std::min(shape.rows, most_groups * output_group));
    const SharedMemory::Lease memory(shared_,
                                     input.scratch_bytes(most_rows, parallel().n_threads()));

    for (size_t first = 0; first < shape.rows; first += most_rows) {
        const size_t rows = std::min(most_rows, shape.rows - first);
        const Product product = up.product(rows, false), then = down.product(rows, false);
        const BufferPool::Lease lease(array_.buffers(), product.c_bytes());
        const DevicePart hidden{&lease.buffer(), 0, product.c_bytes()};
        Submission submission(array_, product.a_bytes(), then.c_bytes());
        product.add_to(submission, array_, submission.input(0, product.a_bytes()), up.packed(),
                       hidden);
        then.add_to(submission, array_, hidden, down.packed(), submission.output(0, then.c_bytes()),
                    &product);
        float* scales;
        {
            const Timer timer(stats.pack_ns);
            scales =
                input.pack(product, first, parallel(), memory.data<char>(), submission.inputs());
        }
        if (up.is_beyond_bounds())
            std::fill_n(scales, rows, std::numeric_limits<float>::quiet_NaN());
        submission.run(Written::past_caches, parallel(), stats);
        const Timer timer(stats.unpack_ns);
        output.finish(then, submission.outputs(), first, scales, parallel());
    }
}

} // namespace npuenc
