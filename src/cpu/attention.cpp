// SPDX-License-Identifier: MIT
// Attention: the scores of a few queries and keys at a time, which never leave the L1 cache.
//
// The keys and values of a head are packed once, then its queries are taken a few at a time, and
// for these the keys in blocks: scores by one product, their softmax within the block, results by a
// second product, merged into those of the blocks before (Milakov and Gimelshein 2018; Dao et al.
// 2022). A group of heads is packed at a time, bounded in memory.
#include <cstring>
#include <limits>

#include "cpu/cpu_device.hpp"
#include "device/visible_keys.hpp"
#include "error.hpp"

namespace npuenc {

namespace {

// Keys of a block: its scores, probabilities, keys and values share the L1 cache. Where
// probabilities are bytes, to the scale of the block's greatest, a smaller block is a finer one.
constexpr size_t block_keys = 256;
constexpr size_t block_keys_int8 = 128;
// Queries that meet a block of keys together, in whole tiles, and those of a task.
constexpr size_t queries_together = 12;
constexpr size_t queries_of_task = 4 * queries_together;
// Of keys and values packed at a time.
constexpr size_t packed_bytes = size_t{16} << 20;
// Values converted at a time while they are packed; a multiple of every k_group.
constexpr size_t staged_positions = 256;

// One call. Heads are counted over the whole batch.
class Call {
  public:
    Call(const npuenc_kernels& kernels, const Attention& shape, const void* q, const void* k,
         const void* v, void* out)
        : kernels_(kernels), shape_(shape),
          score_gemm_(shape.precision == NPUENC_PRECISION_INT8   ? kernels.gemm_s8
                      : shape.precision == NPUENC_PRECISION_BF16 ? kernels.gemm_bf16
                                                                 : kernels.gemm_f32),
          int8_results_(shape.precision == NPUENC_PRECISION_INT8 && shape.type == NPUENC_BF16 &&
                        kernels.gemm_s8.unsigned_a),
          result_gemm_(int8_results_                             ? kernels.gemm_s8
                       : shape.precision == NPUENC_PRECISION_F32 ? kernels.gemm_f32
                                                                 : kernels.gemm_bf16),
          block_keys_(int8_results_ ? block_keys_int8 : block_keys),
          lda_(row_stride(score_gemm_, shape.head_dim)),
          ldp_(row_stride(result_gemm_, block_keys_)),
          ld_results_(round_up(shape.head_dim, cache_line / sizeof(float))), visible_(shape),
          q_(static_cast<const char*>(q)), k_(static_cast<const char*>(k)),
          v_(static_cast<const char*>(v)), out_(static_cast<char*>(out)),
          k_stride_(panel_stride(score_gemm_, shape.head_dim)),
          v_stride_(round_up(groups_bytes(result_gemm_, shape.kv_len), cache_line)),
          keys_bytes_(size_product(ceil_div(shape.kv_len, score_gemm_.nr), k_stride_)),
          values_bytes_(size_product(ceil_div(shape.head_dim, result_gemm_.nr), v_stride_)),
          value_scales_bytes_(
              int8_results_
                  ? round_up(size_product(
                                 size_product(ceil_div(shape.kv_len, block_keys_), shape.head_dim),
                                 sizeof(float)),
                             cache_line)
                  : 0) {}

    size_t n_heads() const { return size_product(shape_.batch, shape_.n_head); }
    // Of what is packed of a head: keys, values, the scale of the keys, those of the values.
    size_t head_bytes() const {
        return keys_bytes_ + values_bytes_ + cache_line + value_scales_bytes_;
    }
    size_t n_tasks() const { return ceil_div(shape_.q_len, queries_of_task); }

    // Of what follows.
    Scratch::Sizes scratch_sizes() const;
    void pack_keys(size_t head, char* packed, const Scratch& scratch) const;
    void pack_values(size_t head, char* packed, const Scratch& scratch) const;
    void attend(size_t head, size_t task, const char* packed, const Scratch& scratch) const;

  private:
    // Some queries of a head, at most queries_together, and what has been found of them so far.
    struct Queries {
        size_t item, head, first, rows;
        size_t n_keys;                    // seen by any of them
        size_t seen[npuenc_most_queries]; // by each
        float row_scale[npuenc_most_queries];
        float greatest[npuenc_most_queries], total[npuenc_most_queries];
        char* packed;
        void* scores;
        char* p; // the probabilities, rows of the second product's A
        float *part, *results;
        // Of the block of keys that they are at.
        float block_greatest[npuenc_most_queries], block_total[npuenc_most_queries];
    };

    struct Keys {
        size_t first, count;
        const char* packed; // of the head
    };

    bool quantises() const {
        return shape_.precision == NPUENC_PRECISION_INT8 && shape_.type != NPUENC_S8;
    }
    const char* row(const char* base, size_t stride, size_t ld, size_t item, size_t head,
                    size_t position) const {
        const size_t element = item * stride + position * ld + head * shape_.head_dim;
        return base + element * element_size(shape_.type);
    }
    float quantise(size_t rows, const char* x, size_t ld, int8_t* out) const;
    size_t key_scale_at() const { return keys_bytes_ + values_bytes_; }
    size_t value_scales_at() const { return key_scale_at() + cache_line; }
    void quantise_values(size_t head, char* packed, const Scratch& scratch) const;
    void pack_queries(Queries& queries, const char* head, const Scratch& scratch) const;
    void begin(Queries& queries, size_t head, size_t first, size_t rows, const char* packed,
               const Scratch& scratch) const;
    void score(Queries& queries, const Keys& keys) const;
    void soften(Queries& queries, const Keys& keys) const;
    void weigh(Queries& queries, const Keys& keys) const;
    void merge(Queries& queries, const Keys& keys) const;
    size_t queries_bytes() const;
    void place(Queries& queries, char* at) const;
    void write(const Queries& queries) const;

    const npuenc_kernels& kernels_;
    const Attention& shape_;
    const npuenc_gemm& score_gemm_;
    const bool int8_results_; // probabilities and values in int8 too
    const npuenc_gemm& result_gemm_;
    const size_t block_keys_;
    const size_t lda_, ldp_;  // bytes from one packed query to the next, and of probabilities
    const size_t ld_results_; // elements
    const VisibleKeys visible_;
    const char *q_, *k_, *v_;
    char* out_;
    const size_t k_stride_, v_stride_;
    // Multiples of a cache line.
    const size_t keys_bytes_, values_bytes_, value_scales_bytes_;
};

Scratch::Sizes Call::scratch_sizes() const {
    const size_t head_dim = shape_.head_dim;
    Scratch::Sizes sizes;
    if (quantises())
        sizes.need<int8_t>(Scratch::narrow, size_product(shape_.kv_len, head_dim));
    if (int8_results_) {
        sizes.need<int8_t>(Scratch::narrow, size_product(block_keys_, head_dim));
        sizes.need<char>(Scratch::staging, panel_stride(result_gemm_, block_keys_));
    }
    if (shape_.type == NPUENC_S8) {
        sizes.need<uint16_t>(Scratch::narrow, size_product(staged_positions, head_dim));
        sizes.need<float>(Scratch::staging, head_dim);
    }
    sizes.need<char>(Scratch::queries, queries_bytes());
    return sizes;
}

// Rows of a head to int8, symmetrically by their greatest magnitude; returns their scale.
float Call::quantise(size_t rows, const char* x, size_t ld, int8_t* out) const {
    return shape_.type == NPUENC_BF16
               ? kernels_.rows.quantise_bf16(rows, shape_.head_dim,
                                             reinterpret_cast<const uint16_t*>(x), ld, out)
               : kernels_.rows.quantise_f32(rows, shape_.head_dim,
                                            reinterpret_cast<const float*>(x), ld, out);
}

// Keys of a head have one scale, which becomes a part of those of the queries.
void Call::pack_keys(size_t head, char* packed, const Scratch& scratch) const {
    const size_t item = head / shape_.n_head, nr = score_gemm_.nr, head_dim = shape_.head_dim;
    const size_t n = visible_.of_item(item);
    const char* keys = row(k_, shape_.stride_k, shape_.ldk, item, head % shape_.n_head, 0);
    size_t ld = shape_.ldk, size = element_size(shape_.type);
    if (quantises()) {
        auto* narrow = scratch.get<int8_t>(Scratch::narrow);
        *reinterpret_cast<float*>(packed + key_scale_at()) = quantise(n, keys, ld, narrow);
        keys = reinterpret_cast<const char*>(narrow);
        ld = head_dim;
        size = sizeof *narrow;
    }
    for (size_t key = 0; key < n; key += nr)
        score_gemm_.pack_b_rows(std::min(nr, n - key), head_dim, keys + key * ld * size, ld,
                                packed + key / nr * k_stride_);
}

// Each block of keys and channel has a scale of its own.
void Call::quantise_values(size_t head, char* packed, const Scratch& scratch) const {
    const size_t item = head / shape_.n_head, head_dim = shape_.head_dim, nr = result_gemm_.nr;
    const size_t n = visible_.of_item(item);
    float* scales = reinterpret_cast<float*>(packed + value_scales_at());
    auto* narrow = scratch.get<int8_t>(Scratch::narrow);
    // The kernel appends to a panel what sums begin with, which probabilities do not need: they are
    // unsigned already. So each block is packed aside.
    const size_t bytes = groups_bytes(result_gemm_, block_keys_);
    char* panel = scratch.get<char>(Scratch::staging);
    for (size_t first = 0; first < n; first += block_keys_, scales += head_dim) {
        const size_t count = std::min(block_keys_, n - first);
        const char* values =
            row(v_, shape_.stride_v, shape_.ldv, item, head % shape_.n_head, first);
        kernels_.rows.quantise_cols_bf16(count, head_dim, reinterpret_cast<const uint16_t*>(values),
                                         shape_.ldv, narrow, scales);
        for (size_t col = 0; col < head_dim; col += nr) {
            result_gemm_.pack_b_cols(std::min(nr, head_dim - col), count, narrow + col, head_dim,
                                     panel);
            std::memcpy(packed + keys_bytes_ + col / nr * v_stride_ + first / block_keys_ * bytes,
                        panel, groups_bytes(result_gemm_, count));
        }
    }
}

void Call::pack_values(size_t head, char* packed, const Scratch& scratch) const {
    if (int8_results_)
        return quantise_values(head, packed, scratch);
    const size_t item = head / shape_.n_head, head_dim = shape_.head_dim, nr = result_gemm_.nr;
    const size_t n = visible_.of_item(item);
    const auto pack = [&](size_t position, size_t count, const char* rows, size_t ld, size_t size) {
        for (size_t col = 0; col < head_dim; col += nr)
            result_gemm_.pack_b_cols(std::min(nr, head_dim - col), count, rows + col * size, ld,
                                     packed + keys_bytes_ + col / nr * v_stride_ +
                                         position * nr * result_gemm_.b_size);
    };
    const auto at = [&](size_t i) {
        return row(v_, shape_.stride_v, shape_.ldv, item, head % shape_.n_head, i);
    };
    if (shape_.type != NPUENC_S8) {
        pack(0, n, at(0), shape_.ldv, element_size(shape_.type));
        return;
    }
    // An int8 is a bf16, exactly.
    float* wide = scratch.get<float>(Scratch::staging);
    auto* narrow = scratch.get<uint16_t>(Scratch::narrow);
    for (size_t position = 0; position < n; position += staged_positions) {
        const size_t count = std::min(staged_positions, n - position);
        for (size_t i = 0; i < count; ++i) {
            kernels_.convert.s8_to_f32(head_dim, reinterpret_cast<const int8_t*>(at(position + i)),
                                       1.0f, wide);
            kernels_.convert.f32_to_bf16(head_dim, wide, narrow + i * head_dim);
        }
        pack(position, count, reinterpret_cast<const char*>(narrow), head_dim, sizeof *narrow);
    }
}

void Call::attend(size_t head, size_t task, const char* packed, const Scratch& scratch) const {
    const size_t first = task * queries_of_task;
    const size_t end = std::min(shape_.q_len, first + queries_of_task);
    for (size_t query = first; query < end; query += queries_together) {
        Queries queries;
        begin(queries, head, query, std::min(queries_together, end - query), packed, scratch);
        for (size_t key = 0; key < queries.n_keys; key += block_keys_) {
            const Keys keys = {key, std::min(block_keys_, queries.n_keys - key), packed};
            score(queries, keys);
            soften(queries, keys);
            weigh(queries, keys);
            merge(queries, keys);
        }
        write(queries);
    }
}

void Call::begin(Queries& queries, size_t head, size_t first, size_t rows, const char* packed,
                 const Scratch& scratch) const {
    queries.item = head / shape_.n_head;
    queries.head = head % shape_.n_head;
    queries.first = first;
    queries.rows = rows;
    for (size_t i = 0; i < queries.rows; ++i)
        queries.seen[i] = visible_.of_query(queries.item, first + i);
    queries.n_keys = queries.seen[queries.rows - 1];
    place(queries, scratch.get<char>(Scratch::queries));
    pack_queries(queries, packed, scratch);
    std::fill_n(queries.results, queries.rows * ld_results_, 0.0f);
    std::fill_n(queries.greatest, queries.rows, -std::numeric_limits<float>::infinity());
    std::fill_n(queries.total, queries.rows, 0.0f);
}

// Of what place() places.
size_t Call::queries_bytes() const {
    const size_t results = size_product(2 * ld_results_, sizeof(float));
    return size_product(queries_together, lda_ + block_keys_ * sizeof(float) + ldp_ + results);
}

// All in one piece, so that nothing competes for the same sets of the L1 cache.
void Call::place(Queries& queries, char* at) const {
    queries.packed = at;
    queries.scores = at += queries_together * lda_;
    queries.p = at += queries_together * block_keys_ * sizeof(float);
    queries.part = reinterpret_cast<float*>(at += queries_together * ldp_);
    queries.results = queries.part + queries_together * ld_results_;
}

void Call::pack_queries(Queries& queries, const char* head, const Scratch& scratch) const {
    const float scale =
        shape_.type == NPUENC_S8 ? shape_.scale * (shape_.q_scale * shape_.k_scale) : shape_.scale;
    auto* narrow = scratch.get<int8_t>(Scratch::narrow);
    for (size_t i = 0; i < queries.rows; ++i) {
        const char* q =
            row(q_, shape_.stride_q, shape_.ldq, queries.item, queries.head, queries.first + i);
        queries.row_scale[i] = scale;
        if (quantises()) {
            queries.row_scale[i] *=
                *reinterpret_cast<const float*>(head + key_scale_at()) * quantise(1, q, 0, narrow);
            q = reinterpret_cast<const char*>(narrow);
        }
        score_gemm_.pack_a(shape_.head_dim, q, queries.packed + i * lda_);
    }
}

// The scores of a block of keys: queries times keys.
void Call::score(Queries& queries, const Keys& keys) const {
    npuenc_tile tile{};
    tile.k = shape_.head_dim;
    tile.lda = lda_;
    tile.ldc = block_keys_;
    const size_t start = groups_bytes(score_gemm_, shape_.head_dim);
    for (size_t key = 0; key < keys.count; key += score_gemm_.nr) {
        const char* panel = keys.packed + (keys.first + key) / score_gemm_.nr * k_stride_;
        tile.cols = std::min<size_t>(score_gemm_.nr, keys.count - key);
        tile.b = panel;
        tile.start = reinterpret_cast<const int32_t*>(panel + start);
        for (size_t row = 0; row < queries.rows; row += score_gemm_.mr) {
            tile.rows = std::min<size_t>(score_gemm_.mr, queries.rows - row);
            tile.a = queries.packed + row * lda_;
            tile.c = static_cast<float*>(queries.scores) + row * block_keys_ + key;
            score_gemm_.tile(&tile);
        }
    }
}

// Their probabilities within the block.
void Call::soften(Queries& queries, const Keys& keys) const {
    uint32_t n_keys[npuenc_most_queries];
    for (size_t i = 0; i < queries.rows; ++i) {
        const size_t seen = std::max(queries.seen[i], keys.first) - keys.first;
        n_keys[i] = static_cast<uint32_t>(std::min(seen, keys.count));
    }
    npuenc_scores block{};
    block.rows = queries.rows;
    block.keys = round_up(keys.count, result_gemm_.k_group);
    block.scores = queries.scores;
    block.integers = shape_.precision == NPUENC_PRECISION_INT8;
    block.ld = block_keys_;
    block.n_keys = n_keys;
    block.row_scale = queries.row_scale;
    if (shape_.mask == NPUENC_MASK_ADD_F32) {
        block.mask = shape_.added + queries.item * shape_.added_stride_batch +
                     queries.head * shape_.added_stride_head + queries.first * shape_.kv_len +
                     keys.first;
        block.ld_mask = shape_.kv_len;
    }
    block.p = queries.p;
    block.ldp = ldp_ / result_gemm_.a_size;
    block.greatest = queries.block_greatest;
    block.total = queries.block_total;
    if (int8_results_)
        kernels_.softmax.block_u8(&block);
    else if (result_gemm_.a_size == sizeof(float))
        kernels_.softmax.block_f32(&block);
    else
        kernels_.softmax.block_bf16(&block);
}

// Probabilities times values.
void Call::weigh(Queries& queries, const Keys& keys) const {
    static constexpr int32_t zeros[64] = {};
    npuenc_tile tile{};
    tile.start = zeros;
    tile.k = keys.count;
    tile.lda = ldp_;
    tile.ldc = ld_results_;
    for (size_t col = 0; col < shape_.head_dim; col += result_gemm_.nr) {
        tile.cols = std::min<size_t>(result_gemm_.nr, shape_.head_dim - col);
        tile.b = keys.packed + keys_bytes_ + col / result_gemm_.nr * v_stride_ +
                 keys.first * result_gemm_.nr * result_gemm_.b_size;
        for (size_t row = 0; row < queries.rows; row += result_gemm_.mr) {
            tile.rows = std::min<size_t>(result_gemm_.mr, queries.rows - row);
            tile.a = queries.p + row * ldp_;
            tile.c = queries.part + row * ld_results_ + col;
            result_gemm_.tile(&tile);
        }
    }
}

// Into what was found in the blocks before.
void Call::merge(Queries& queries, const Keys& keys) const {
    npuenc_part part{};
    part.rows = queries.rows;
    part.n = shape_.head_dim;
    part.part = queries.part;
    part.ld = ld_results_;
    if (int8_results_)
        part.col_scale = reinterpret_cast<const float*>(keys.packed + value_scales_at()) +
                         keys.first / block_keys_ * shape_.head_dim;
    part.greatest = queries.block_greatest;
    part.total = queries.block_total;
    kernels_.softmax.merge(&part, queries.results, ld_results_, queries.greatest, queries.total);
}

// results / total, in the type of the result. A query that sees no key gives zeros.
void Call::write(const Queries& queries) const {
    float scale[npuenc_most_queries];
    for (size_t i = 0; i < queries.rows; ++i) {
        scale[i] = queries.total[i] == 0 ? 0 : 1.0f / queries.total[i];
        if (shape_.type == NPUENC_S8)
            scale[i] *= shape_.v_scale / shape_.out_scale;
    }
    npuenc_finish finish{};
    finish.row_scale = scale;
    char* out = out_ + (queries.item * shape_.stride_o + queries.first * shape_.ldo +
                        queries.head * shape_.head_dim) *
                           element_size(shape_.type);
    const bool s8 = shape_.type == NPUENC_S8;
    finish.type = shape_.type == NPUENC_BF16 ? npuenc_float_bf16 : npuenc_float_f32;
    finish.y = s8 ? static_cast<void*>(queries.results) : out;
    finish.ldy = s8 ? ld_results_ : shape_.ldo;
    kernels_.finish.f32(queries.rows, shape_.head_dim, queries.results, ld_results_, &finish);
    for (size_t i = 0; s8 && i < queries.rows; ++i)
        kernels_.convert.f32_to_s8(shape_.head_dim, queries.results + i * ld_results_, 1.0f,
                                   reinterpret_cast<int8_t*>(out) + i * shape_.ldo);
}

} // namespace

void CpuDevice::attention(const Attention& shape, const void* q, const void* k, const void* v,
                          void* out, Stats&) {
    if (shape.type != NPUENC_F32 && shape.type != NPUENC_BF16 && shape.type != NPUENC_S8)
        fail(NPUENC_E_UNSUPPORTED, "attention of type %d", shape.type);
    const Call call(kernels_, shape, q, k, v, out);
    const size_t n_heads = call.n_heads(), n_tasks = call.n_tasks();
    if (n_heads == 0 || n_tasks == 0)
        return;
    const size_t head_bytes = call.head_bytes();
    const size_t heads_at_once =
        std::clamp<size_t>(packed_bytes / std::max<size_t>(1, head_bytes), 1, n_heads);
    const SharedMemory::Lease lease(shared_, size_product(heads_at_once, head_bytes));
    char* const packed = lease.data<char>();
    const Scratch::Sizes sizes = call.scratch_sizes();

    for (size_t first = 0; first < n_heads; first += heads_at_once) {
        const size_t heads = std::min(heads_at_once, n_heads - first);
        team_.for_each(2 * heads, sizes, [&](size_t task, const Scratch& scratch) {
            const size_t i = task / 2;
            if (task % 2 == 0)
                call.pack_keys(first + i, packed + i * head_bytes, scratch);
            else
                call.pack_values(first + i, packed + i * head_bytes, scratch);
        });
        team_.for_each(heads * n_tasks, sizes, [&](size_t task, const Scratch& scratch) {
            const size_t i = task / n_tasks;
            call.attend(first + i, task % n_tasks, packed + i * head_bytes, scratch);
        });
    }
}

} // namespace npuenc
