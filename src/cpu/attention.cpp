// SPDX-License-Identifier: MIT
// Attention: the scores of a few queries at a time, which never leave the cache.
//
// The keys and values of a head are packed once, then its queries are taken in blocks: scores by
// one product, softmax by rows, results by a second product. A group of heads is packed at a time,
// bounded in memory.
#include "cpu/cpu_device.hpp"
#include "error.hpp"

namespace npuenc {

namespace {

// Queries of a task: at most this many, in whole panels.
constexpr size_t block_queries = 56;
// Of keys and values packed at a time.
constexpr size_t packed_bytes = size_t{16} << 20;
// Values converted at a time while they are packed; a multiple of every k_group and cache line.
constexpr size_t staged_positions = 256;

// The types: of q, k, v and the result (In), of the product of q and k (Scores), and of the
// product of probabilities and v (Results).

struct F32 {
    using Scores = npuenc_gemm_f32;
    using Results = npuenc_gemm_f32;
    static const Scores& scores(const npuenc_kernels& kernels) { return kernels.gemm_f32; }
    static const Results& results(const npuenc_kernels& kernels) { return kernels.gemm_f32; }
};

struct Bf16 {
    using Scores = npuenc_gemm_bf16;
    using Results = npuenc_gemm_bf16;
    static const Scores& scores(const npuenc_kernels& kernels) { return kernels.gemm_bf16; }
    static const Results& results(const npuenc_kernels& kernels) { return kernels.gemm_bf16; }
};

struct S8 {
    using Scores = npuenc_gemm_s8;
    using Results = npuenc_gemm_f32;
    static const Scores& scores(const npuenc_kernels& kernels) { return kernels.gemm_s8; }
    static const Results& results(const npuenc_kernels& kernels) { return kernels.gemm_f32; }
};

// How many keys, from the first, a query may see.
class Visible {
  public:
    explicit Visible(const Attention& shape) : shape_(shape) {}

    size_t of_item(size_t item) const {
        if (shape_.mask == NPUENC_MASK_KEY_LENGTHS)
            return std::min<size_t>(shape_.key_lengths[item], shape_.kv_len);
        return shape_.kv_len;
    }
    size_t of_query(size_t item, size_t query) const {
        if (shape_.mask != NPUENC_MASK_CAUSAL)
            return of_item(item);
        const size_t end = query + 1 + shape_.kv_len;
        return end > shape_.q_len ? std::min(end - shape_.q_len, shape_.kv_len) : 0;
    }

  private:
    const Attention& shape_;
};

// Packs the values of one head as the B of the second product.
template <class Kind>
void pack_values(const npuenc_kernels& kernels, size_t n, size_t head_dim,
                 const OperandOf<typename Kind::Scores>* v, size_t ld, Scratch& scratch,
                 OperandOf<typename Kind::Results>* panels, size_t stride) {
    const auto& gemm = Kind::results(kernels);
    const auto pack = [&](size_t position, size_t count, const auto* rows, size_t ld_rows) {
        for (size_t col = 0; col < head_dim; col += gemm.nr)
            gemm.pack_b_cols(std::min<size_t>(gemm.nr, head_dim - col), count, rows + col, ld_rows,
                             panels + col / gemm.nr * stride + position * gemm.nr);
    };
    if constexpr (std::is_same_v<Kind, S8>) {
        float* staging =
            scratch.get<float>(Scratch::staging, size_product(staged_positions, head_dim));
        for (size_t position = 0; position < n; position += staged_positions) {
            const size_t count = std::min(staged_positions, n - position);
            for (size_t i = 0; i < count; ++i)
                kernels.convert.s8_to_f32(head_dim, v + (position + i) * ld, 1.0f,
                                          staging + i * head_dim);
            pack(position, count, staging, head_dim);
        }
    } else {
        pack(0, n, v, ld);
    }
}

} // namespace

template <class Kind>
void CpuDevice::attend(const Attention& shape, const void* q_data, const void* k_data,
                       const void* v_data, void* out_data) {
    using Scores = typename Kind::Scores;
    using Results = typename Kind::Results;
    using In = OperandOf<Scores>;
    using Probability = OperandOf<Results>;
    const Scores& score_gemm = Kind::scores(kernels_);
    const Results& result_gemm = Kind::results(kernels_);
    const auto* q = static_cast<const In*>(q_data);
    const auto* k = static_cast<const In*>(k_data);
    const auto* v = static_cast<const In*>(v_data);
    auto* out = static_cast<In*>(out_data);
    const Visible visible(shape);
    const size_t head_dim = shape.head_dim;

    const size_t k_stride = panel_stride(score_gemm, score_gemm.nr, head_dim);
    const size_t v_stride = panel_stride(result_gemm, result_gemm.nr, shape.kv_len);
    const size_t k_bytes = round_up(
        size_product(size_product(ceil_div(shape.kv_len, score_gemm.nr), k_stride), sizeof(In)),
        cache_line);
    const size_t v_bytes =
        round_up(size_product(size_product(ceil_div(head_dim, result_gemm.nr), v_stride),
                              sizeof(Probability)),
                 cache_line);
    const size_t head_bytes = k_bytes + v_bytes;

    const size_t n_heads = size_product(shape.batch, shape.n_head);
    const size_t heads_at_once = std::clamp<size_t>(packed_bytes / std::max<size_t>(1, head_bytes),
                                                    1, std::max<size_t>(1, n_heads));
    const SharedMemory::Lease packed(shared_, size_product(heads_at_once, head_bytes));
    const auto keys_of = [&](size_t i) {
        return reinterpret_cast<In*>(packed.data<char>() + i * head_bytes);
    };
    const auto values_of = [&](size_t i) {
        return reinterpret_cast<Probability*>(packed.data<char>() + i * head_bytes + k_bytes);
    };

    const size_t mr = score_gemm.mr;
    const size_t queries = std::max<size_t>(1, block_queries / mr) * mr;
    const size_t n_blocks = ceil_div(shape.q_len, queries);

    for (size_t first_head = 0; first_head < n_heads; first_head += heads_at_once) {
        const size_t heads = std::min(heads_at_once, n_heads - first_head);

        // Keys and values of each head, a task each.
        pool_.for_each(2 * heads, [&](size_t task, unsigned thread) {
            const size_t i = task / 2;
            const size_t item = (first_head + i) / shape.n_head;
            const size_t head = (first_head + i) % shape.n_head;
            const size_t n_keys = visible.of_item(item);
            if (task % 2) {
                pack_values<Kind>(kernels_, n_keys, head_dim,
                                  v + item * shape.stride_v + head * head_dim, shape.ldv,
                                  scratch_[thread], values_of(i), v_stride);
                return;
            }
            const In* rows = k + item * shape.stride_k + head * head_dim;
            for (size_t key = 0; key < n_keys; key += score_gemm.nr)
                score_gemm.pack_b_rows(std::min<size_t>(score_gemm.nr, n_keys - key), head_dim,
                                       rows + key * shape.ldk, shape.ldk,
                                       keys_of(i) + key / score_gemm.nr * k_stride);
        });

        pool_.for_each(heads * n_blocks, [&](size_t task, unsigned thread) {
            const size_t i = task / n_blocks;
            const size_t item = (first_head + i) / shape.n_head;
            const size_t head = (first_head + i) % shape.n_head;
            const size_t first = task % n_blocks * queries;
            const size_t rows = std::min(queries, shape.q_len - first);
            const size_t n_keys = visible.of_query(item, first + rows - 1); // the last sees most
            Scratch& scratch = scratch_[thread];

            // Scores: s32 of s8 become f32 row by row.
            const size_t ld = round_up(n_keys, 16);
            float* scores = scratch.get<float>(Scratch::scores, size_product(rows, ld));
            const In* q_rows = q + item * shape.stride_q + first * shape.ldq + head * head_dim;
            Block<Scores> block{};
            block.rows = rows;
            block.end_col = n_keys;
            block.k = head_dim;
            block.b = {keys_of(i), k_stride};
            if constexpr (std::is_same_v<SumOf<Scores>, float>) {
                block.c = scores;
                block.ldc = ld;
            }
            multiply(
                score_gemm, block, scratch,
                [&](size_t row, size_t count, size_t first_k, size_t depth, In* panel) {
                    score_gemm.pack_a(count, depth, q_rows + row * shape.ldq + first_k, shape.ldq,
                                      panel);
                },
                [&](size_t row, size_t col, size_t n, const SumOf<Scores>* sums) {
                    if constexpr (std::is_same_v<Kind, S8>)
                        kernels_.convert.s32_to_f32(n, sums, 1.0f, nullptr,
                                                    scores + row * ld + col);
                });

            // Probabilities.
            float scale = shape.scale;
            if constexpr (std::is_same_v<Kind, S8>)
                scale *= shape.q_scale * shape.k_scale;
            const float* added = nullptr;
            if (shape.mask == NPUENC_MASK_ADD_F32)
                added = shape.added + item * shape.added_stride_batch +
                        head * shape.added_stride_head + first * shape.kv_len;
            for (size_t row = 0; row < rows; ++row) {
                float* scores_row = scores + row * ld;
                const size_t n = visible.of_query(item, first + row);
                if (n > 0)
                    kernels_.rows_f32.softmax(n, scores_row, scale,
                                              added ? added + row * shape.kv_len : nullptr);
                std::fill(scores_row + n, scores_row + n_keys, 0.0f);
            }
            const Probability* probabilities;
            if constexpr (std::is_same_v<Kind, Bf16>) {
                uint16_t* rounded =
                    scratch.get<uint16_t>(Scratch::probabilities, size_product(rows, ld));
                for (size_t row = 0; row < rows; ++row)
                    kernels_.convert.f32_to_bf16(n_keys, scores + row * ld, rounded + row * ld);
                probabilities = rounded;
            } else {
                probabilities = scores;
            }

            // Results.
            In* out_rows = out + item * shape.stride_o + first * shape.ldo + head * head_dim;
            Block<Results> result{};
            result.rows = rows;
            result.end_col = head_dim;
            result.k = n_keys;
            result.b = {values_of(i), v_stride};
            if constexpr (std::is_same_v<Kind, F32>) {
                result.c = out_rows;
                result.ldc = shape.ldo;
            }
            multiply(
                result_gemm, result, scratch,
                [&](size_t row, size_t count, size_t first_k, size_t depth, Probability* panel) {
                    result_gemm.pack_a(count, depth, probabilities + row * ld + first_k, ld, panel);
                },
                [&](size_t row, size_t col, size_t n, const float* sums) {
                    In* to = out_rows + row * shape.ldo + col;
                    if constexpr (std::is_same_v<Kind, Bf16>)
                        kernels_.convert.f32_to_bf16(n, sums, to);
                    else if constexpr (std::is_same_v<Kind, S8>)
                        kernels_.convert.f32_to_s8(n, sums, shape.v_scale / shape.out_scale, 0, to);
                });
            scratch.trim();
        });
    }
}

void CpuDevice::attention(const Attention& shape, const void* q, const void* k, const void* v,
                          void* out) {
    switch (shape.type) {
    case NPUENC_F32:
        return attend<F32>(shape, q, k, v, out);
    case NPUENC_BF16:
        return attend<Bf16>(shape, q, k, v, out);
    case NPUENC_S8:
        return attend<S8>(shape, q, k, v, out);
    default:
        fail(NPUENC_E_UNSUPPORTED, "attention of type %d", shape.type);
    }
}

} // namespace npuenc
