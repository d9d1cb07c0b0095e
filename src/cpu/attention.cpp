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
constexpr size_t block_queries = 24;
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

// One call. Heads are counted over the whole batch.
template <class Kind>
class Call {
  public:
    using Scores = typename Kind::Scores;
    using Results = typename Kind::Results;
    using In = OperandOf<Scores>;
    using Probability = OperandOf<Results>;

    Call(const npuenc_kernels& kernels, const Attention& shape, const void* q, const void* k,
         const void* v, void* out)
        : kernels_(kernels), score_gemm_(Kind::scores(kernels)),
          result_gemm_(Kind::results(kernels)), shape_(shape), visible_(shape),
          q_(static_cast<const In*>(q)), k_(static_cast<const In*>(k)),
          v_(static_cast<const In*>(v)), out_(static_cast<In*>(out)),
          k_stride_(panel_stride(score_gemm_, score_gemm_.nr, shape.head_dim)),
          v_stride_(panel_stride(result_gemm_, result_gemm_.nr, shape.kv_len)),
          keys_bytes_(size_product(ceil_div(shape.kv_len, score_gemm_.nr),
                                   size_product(k_stride_, sizeof(In)))),
          values_bytes_(size_product(ceil_div(shape.head_dim, result_gemm_.nr),
                                     size_product(v_stride_, sizeof(Probability)))) {}

    size_t n_heads() const { return size_product(shape_.batch, shape_.n_head); }
    // Of the packed keys and values of a head.
    size_t head_bytes() const { return keys_bytes_ + values_bytes_; }

    size_t block_rows() const {
        return std::max<size_t>(1, block_queries / score_gemm_.mr) * score_gemm_.mr;
    }
    size_t n_blocks() const { return ceil_div(shape_.q_len, block_rows()); }

    void pack_keys(size_t head, char* packed) const;
    void pack_values(size_t head, char* packed, Scratch& scratch) const;
    void attend(size_t head, size_t block, const char* packed, Scratch& scratch) const;

  private:
    // A block of queries, and the scores of each, `ld` apart, which become its probabilities.
    struct Queries {
        size_t item, head, first, rows;
        size_t n_keys; // seen by any of them
        float* scores;
        size_t ld;
    };

    void compute_scores(const Queries& queries, const In* keys, Scratch& scratch) const;
    void apply_softmax(const Queries& queries) const;
    const Probability* probabilities(const Queries& queries, Scratch& scratch) const;
    void compute_results(const Queries& queries, const Probability* p, const Probability* values,
                         Scratch& scratch) const;

    const npuenc_kernels& kernels_;
    const Scores& score_gemm_;
    const Results& result_gemm_;
    const Attention& shape_;
    const Visible visible_;
    const In *q_, *k_, *v_;
    In* out_;
    const size_t k_stride_, v_stride_;
    const size_t keys_bytes_, values_bytes_; // multiples of a cache line, as panels are
};

template <class Kind>
void Call<Kind>::pack_keys(size_t head, char* packed) const {
    const size_t item = head / shape_.n_head, nr = score_gemm_.nr;
    const In* rows = k_ + item * shape_.stride_k + head % shape_.n_head * shape_.head_dim;
    In* panels = reinterpret_cast<In*>(packed);
    const size_t n = visible_.of_item(item);
    for (size_t key = 0; key < n; key += nr)
        score_gemm_.pack_b_rows(std::min(nr, n - key), shape_.head_dim, rows + key * shape_.ldk,
                                shape_.ldk, panels + key / nr * k_stride_);
}

template <class Kind>
void Call<Kind>::pack_values(size_t head, char* packed, Scratch& scratch) const {
    const size_t item = head / shape_.n_head, head_dim = shape_.head_dim, nr = result_gemm_.nr;
    const In* v = v_ + item * shape_.stride_v + head % shape_.n_head * head_dim;
    auto* panels = reinterpret_cast<Probability*>(packed + keys_bytes_);
    const size_t n = visible_.of_item(item);
    const auto pack = [&](size_t position, size_t count, const Probability* rows, size_t ld) {
        for (size_t col = 0; col < head_dim; col += nr)
            result_gemm_.pack_b_cols(std::min(nr, head_dim - col), count, rows + col, ld,
                                     panels + col / nr * v_stride_ + position * nr);
    };
    if constexpr (std::is_same_v<In, Probability>) {
        pack(0, n, v, shape_.ldv);
    } else {
        float* staging =
            scratch.get<float>(Scratch::staging, size_product(staged_positions, head_dim));
        for (size_t position = 0; position < n; position += staged_positions) {
            const size_t count = std::min(staged_positions, n - position);
            for (size_t i = 0; i < count; ++i)
                kernels_.convert.s8_to_f32(head_dim, v + (position + i) * shape_.ldv, 1.0f,
                                           staging + i * head_dim);
            pack(position, count, staging, head_dim);
        }
    }
}

template <class Kind>
void Call<Kind>::attend(size_t head, size_t block, const char* packed, Scratch& scratch) const {
    Queries queries{};
    queries.item = head / shape_.n_head;
    queries.head = head % shape_.n_head;
    queries.first = block * block_rows();
    queries.rows = std::min(block_rows(), shape_.q_len - queries.first);
    queries.n_keys = visible_.of_query(queries.item, queries.first + queries.rows - 1);
    queries.ld = round_up(queries.n_keys, cache_line / sizeof(float));
    queries.scores = scratch.get<float>(Scratch::scores, size_product(queries.rows, queries.ld));

    compute_scores(queries, reinterpret_cast<const In*>(packed), scratch);
    apply_softmax(queries);
    compute_results(queries, probabilities(queries, scratch),
                    reinterpret_cast<const Probability*>(packed + keys_bytes_), scratch);
    scratch.trim();
}

template <class Kind>
void Call<Kind>::compute_scores(const Queries& queries, const In* keys, Scratch& scratch) const {
    const In* q = q_ + queries.item * shape_.stride_q + queries.first * shape_.ldq +
                  queries.head * shape_.head_dim;
    Block<Scores> block{};
    block.rows = queries.rows;
    block.end_col = queries.n_keys;
    block.k = shape_.head_dim;
    block.b = {keys, k_stride_};
    if constexpr (std::is_same_v<SumOf<Scores>, float>) {
        block.c = queries.scores;
        block.ldc = queries.ld;
    }
    multiply(
        score_gemm_, block, scratch,
        [&](size_t row, size_t rows, size_t k, size_t n, In* panel) {
            score_gemm_.pack_a(rows, n, q + row * shape_.ldq + k, shape_.ldq, panel);
        },
        [&](size_t row, size_t col, size_t n, const SumOf<Scores>* sums) {
            if constexpr (std::is_same_v<SumOf<Scores>, int32_t>)
                kernels_.convert.s32_to_f32(n, sums, 1.0f, nullptr,
                                            queries.scores + row * queries.ld + col);
        });
}

template <class Kind>
void Call<Kind>::apply_softmax(const Queries& queries) const {
    float scale = shape_.scale;
    if (shape_.type == NPUENC_S8)
        scale *= shape_.q_scale * shape_.k_scale;
    const float* added = nullptr;
    if (shape_.mask == NPUENC_MASK_ADD_F32)
        added = shape_.added + queries.item * shape_.added_stride_batch +
                queries.head * shape_.added_stride_head + queries.first * shape_.kv_len;
    for (size_t row = 0; row < queries.rows; ++row) {
        float* scores = queries.scores + row * queries.ld;
        const size_t n = visible_.of_query(queries.item, queries.first + row);
        if (n > 0)
            kernels_.rows_f32.softmax(n, scores, scale,
                                      added ? added + row * shape_.kv_len : nullptr);
        std::fill(scores + n, scores + queries.n_keys, 0.0f);
    }
}

// In the type of the second product.
template <class Kind>
auto Call<Kind>::probabilities(const Queries& queries, Scratch& scratch) const
    -> const Probability* {
    if constexpr (std::is_same_v<Probability, float>) {
        return queries.scores;
    } else {
        const size_t ld = queries.ld;
        auto* rounded =
            scratch.get<uint16_t>(Scratch::probabilities, size_product(queries.rows, ld));
        for (size_t row = 0; row < queries.rows; ++row)
            kernels_.convert.f32_to_bf16(queries.n_keys, queries.scores + row * ld,
                                         rounded + row * ld);
        return rounded;
    }
}

template <class Kind>
void Call<Kind>::compute_results(const Queries& queries, const Probability* p,
                                 const Probability* values, Scratch& scratch) const {
    In* out = out_ + queries.item * shape_.stride_o + queries.first * shape_.ldo +
              queries.head * shape_.head_dim;
    Block<Results> block{};
    block.rows = queries.rows;
    block.end_col = shape_.head_dim;
    block.k = queries.n_keys;
    block.b = {values, v_stride_};
    if constexpr (std::is_same_v<In, float>) {
        block.c = out;
        block.ldc = shape_.ldo;
    }
    multiply(
        result_gemm_, block, scratch,
        [&](size_t row, size_t rows, size_t k, size_t n, Probability* panel) {
            result_gemm_.pack_a(rows, n, p + row * queries.ld + k, queries.ld, panel);
        },
        [&](size_t row, size_t col, size_t n, const float* sums) {
            In* to = out + row * shape_.ldo + col;
            if constexpr (std::is_same_v<In, uint16_t>)
                kernels_.convert.f32_to_bf16(n, sums, to);
            else if constexpr (std::is_same_v<In, int8_t>)
                kernels_.convert.f32_to_s8(n, sums, shape_.v_scale / shape_.out_scale, 0, to);
        });
}

} // namespace

template <class Kind>
void CpuDevice::attend(const Attention& shape, const void* q, const void* k, const void* v,
                       void* out) {
    const Call<Kind> call(kernels_, shape, q, k, v, out);
    const size_t n_heads = call.n_heads(), n_blocks = call.n_blocks();
    if (n_heads == 0 || n_blocks == 0)
        return;
    const size_t head_bytes = call.head_bytes();
    const size_t heads_at_once =
        std::clamp<size_t>(packed_bytes / std::max<size_t>(1, head_bytes), 1, n_heads);
    const SharedMemory::Lease lease(shared_, size_product(heads_at_once, head_bytes));
    char* const packed = lease.data<char>();

    for (size_t first = 0; first < n_heads; first += heads_at_once) {
        const size_t heads = std::min(heads_at_once, n_heads - first);
        pool_.for_each(2 * heads, [&](size_t task, unsigned thread) {
            const size_t i = task / 2;
            if (task % 2 == 0)
                call.pack_keys(first + i, packed + i * head_bytes);
            else
                call.pack_values(first + i, packed + i * head_bytes, scratch_[thread]);
        });
        pool_.for_each(heads * n_blocks, [&](size_t task, unsigned thread) {
            const size_t i = task / n_blocks;
            call.attend(first + i, task % n_blocks, packed + i * head_bytes, scratch_[thread]);
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
