// SPDX-License-Identifier: MIT
#include "npu/attention_kernel.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "npu/gemm_stream.hpp"
#include "npu/submission.hpp"
#include "npu/timer.hpp"

namespace npuenc {
namespace {

constexpr size_t side = 64; // positions, and dimensions
constexpr size_t matrix = side * side;

// Results have the scale of v times 2^(shift - 16).
constexpr int shift_of_same_scale = 16, least_shift = 12, most_shift = 31;

std::optional<int> output_shift(const Attention& shape) {
    int exponent;
    if (std::frexp(shape.out_scale / shape.v_scale, &exponent) != 0.5f)
        return {};
    const int shift = shift_of_same_scale + exponent - 1;
    return shift >= least_shift && shift <= most_shift ? std::optional(shift) : std::nullopt;
}

double score_scale(const Attention& shape) {
    return static_cast<double>(shape.scale) * static_cast<double>(shape.q_scale) *
           static_cast<double>(shape.k_scale);
}

} // namespace

std::optional<aie2::AttentionParameters> attention_kernel_parameters(const Attention& shape) {
    if (shape.type != NPUENC_S8 || shape.head_dim != side || shape.q_len != side ||
        shape.kv_len != side || shape.mask != NPUENC_MASK_NONE)
        return {};
    const double scale = score_scale(shape);
    const std::optional<int> shift = output_shift(shape);
    if (!shift || !(scale >= 0x1p-28 && scale <= 0x1p-6))
        return {};
    return aie2::attention_parameters(scale, *shift);
}

void attend_by_kernel(Array& array, Parallel& threads, const Attention& shape,
                      const aie2::AttentionParameters& parameters, const void* q, const void* k,
                      const void* v, void* out, Stats& stats) {
    constexpr size_t input = attention_s8_64x64.input_bytes,
                     output = attention_s8_64x64.output_bytes;
    const size_t n_heads = shape.batch * shape.n_head;
    const size_t most_heads = std::max<size_t>(1, array.most_bytes() / (input + output));
    for (size_t first = 0; first < n_heads; first += most_heads) {
        const size_t heads = std::min(most_heads, n_heads - first);
        Submission submission(array, heads * input, heads * output);
        const ProgramKey key{attention_s8_64x64.name,
                             {heads, std::bit_cast<uint64_t>(score_scale(shape)),
                              static_cast<uint64_t>(parameters.output_shift)}};
        submission.add(array.program(key, [&] { return attention_stream(parameters, heads); }),
                       {submission.input(0, heads * input), submission.output(0, heads * output)});
        // Row `row` of a head in one of q, k, v and out.
        const auto place = [&](size_t head, size_t row, size_t stride, size_t ld) {
            return (first + head) / shape.n_head * stride + row * ld +
                   (first + head) % shape.n_head * side;
        };
        {
            const Timer timer(stats.pack_ns);
            threads.for_each(heads, [&](size_t head, unsigned) {
                const auto copy = [&](const void* from, size_t stride, size_t ld, char* to) {
                    for (size_t row = 0; row < side; ++row)
                        std::memcpy(to + row * side,
                                    static_cast<const char*>(from) + place(head, row, stride, ld),
                                    side);
                };
                char* message = submission.inputs() + head * input;
                copy(q, shape.stride_q, shape.ldq, message);
                copy(k, shape.stride_k, shape.ldk, message + matrix);
                copy(v, shape.stride_v, shape.ldv, message + 2 * matrix);
            });
        }
        submission.run(Written::through_caches, threads, stats);
        const Timer timer(stats.unpack_ns);
        threads.for_each(heads, [&](size_t head, unsigned) {
            for (size_t row = 0; row < side; ++row)
                std::memcpy(static_cast<char*>(out) + place(head, row, shape.stride_o, shape.ldo),
                            submission.outputs() + head * output + row * side, side);
        });
    }
}

} // namespace npuenc
