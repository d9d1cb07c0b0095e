// SPDX-License-Identifier: MIT
// Attention: the scores of a few queries and keys at a time, which never leave the L1 cache.
//
// The keys and values of a head are packed once, then its queries are taken a few at a time, and
// for these the keys in blocks: scores by one product, their softmax within the block, results by a
// second product, merged into those of the blocks before (Milakov and Gimelshein 2018; Dao et al.
// 2022). A group of heads is packed at a time, bounded in memory.
#include <limits>

#include "cpu/cpu_device.hpp"
#include "device/visible_keys.hpp"
#include "error.hpp"

namespace npuenc {

namespace {

// Keys of a block: its scores, keys and values share the L1 cache.
constexpr size_t block_keys = 256;
// Queries that meet a block of keys together: at least so many, whole tiles, and never more than
// there is room for.
constexpr size_t least_together = 12, most_together = 32;
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
          score_gemm_(rounds_values() ? kernels.gemm_f32 : gemm_for(kernels, shape.precision)),
          v_parts_(splits() ? 2 : 1),
          int8_results_(shape.precision == NPUENC_PRECISION_INT8 && shape.type == NPUENC_BF16 &&
                        kernels.gemm_u8.tile),
          result_gemm_(int8_results_                             ? kernels.gemm_u8
                       : shape.precision == NPUENC_PRECISION_F32 ? kernels.gemm_f32
                                                                 : kernels.gemm_bf16),
          together_(std::max<size_t>(least_together, score_gemm_.mr)), of_task_(4 * together_),
          lda_(row_stride(score_gemm_, shape_.head_dim)),
          ld_results_(round_up(shape.head_dim, cache_line / sizeof(float))),
          part_at_(round_up(block_keys * result_gemm_.a_size, cache_line)),
          ld_block_(std::max(block_keys * sizeof(float), part_at_ + ld_results_ * sizeof(float)) |
                    cache_line),
          visible_(shape), q_(static_cast<const char*>(q)), k_(static_cast<const char*>(k)),
          v_(static_cast<const char*>(v)), out_(static_cast<char*>(out)),
          k_stride_(panel_stride(score_gemm_, shape_.head_dim)),
          v_stride_(round_up(groups_bytes(result_gemm_, shape.kv_len), cache_line)),
          keys_bytes_(size_product(ceil_div(shape.kv_len, score_gemm_.nr), k_stride_)),
          values_bytes_(size_product(ceil_div(shape.head_dim, result_gemm_.nr),
                                     size_product(v_parts_, v_stride_))),
          value_scales_bytes_(
              int8_results_ ? round_up(size_product(size_product(ceil_div(shape.kv_len, block_keys),
                                                                 shape.head_dim),
                                                    sizeof(float)),
                                       cache_line)
                            : 0) {}

    size_t n_heads() const { return size_product(shape_.batch, shape_.n_head); }
    // Of what is packed of a head: keys, values, the scale of the keys, those of the values.
    size_t head_bytes() const {
        return keys_bytes_ + values_bytes_ + cache_line + value_scales_bytes_;
    }
    size_t n_tasks() const { return ceil_div(shape_.q_len, of_task_); }

    // Of what follows.
    Scratch::Sizes scratch_sizes() const;
    void pack_keys(size_t head, char* packed, const Scratch& scratch) const;
    void pack_values(size_t head, char* packed, const Scratch& scratch) const;
    void attend(size_t head, size_t task, const char* packed, const Scratch& scratch) const;

  private:
    // Some queries of a head, at most together_, and what has been found of them so far.
    struct Queries {
        size_t item, head, first, rows;
        size_t n_keys;              // seen by any of them
        size_t seen[most_together]; // by each
        float row_scale[most_together];
        float greatest[most_together], total[most_together];
        char* packed;
        char* block;
        float* results;
        // Of the block of keys that they are at.
        float block_greatest[most_together], block_total[most_together];
    };

    struct Keys {
        size_t first, count;
        const char* packed; // of the head
    };

    bool splits() const { return shape_.precision == NPUENC_PRECISION_BF16X2; }
    bool rounds_values() const {
        return shape_.type == NPUENC_F32 && shape_.precision == NPUENC_PRECISION_BF16;
    }
    // Values are brought into bf16 a few at a time.
    bool stages_values() const { return splits() || rounds_values() || shape_.type == NPUENC_S8; }
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
    // Of a panel of values, in one of their parts.
    size_t values_at(size_t part, size_t col, size_t position) const {
        return keys_bytes_ + part * (values_bytes_ / v_parts_) + col / result_gemm_.nr * v_stride_ +
               position * result_gemm_.nr * result_gemm_.b_size;
    }
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
    const size_t v_parts_;    // of values: the low one, if any, and the high one
    const bool int8_results_; // probabilities and values in int8 too
    const npuenc_gemm& result_gemm_;
    const size_t together_, of_task_; // queries
    const size_t lda_;                // bytes from one packed query to the next
    const size_t ld_results_;         // elements
    // Of a block, a row for each query: its scores, then in their place its probabilities, rows of
    // the second product's A, and at part_at_ that product. So a block takes little of the L1
    // cache. Bytes from row to row are an odd number of cache lines, so that those of a tile do not
    // fall on the same few sets of it.
    const size_t part_at_, ld_block_;
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
        sizes.need<int8_t>(Scratch::narrow,
                           size_product(std::max(shape_.kv_len, together_), head_dim));
    if (int8_results_)
        sizes.need<int8_t>(Scratch::narrow, size_product(block_keys, head_dim));
    if (stages_values()) {
        sizes.need<uint16_t>(Scratch::narrow, size_product(v_parts_ * staged_positions, head_dim));
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
    for (size_t first = 0; first < n; first += block_keys, scales += head_dim) {
        const size_t count = std::min(block_keys, n - first);
        const char* values =
            row(v_, shape_.stride_v, shape_.ldv, item, head % shape_.n_head, first);
        kernels_.rows.quantise_cols_bf16(count, head_dim, reinterpret_cast<const uint16_t*>(values),
                                         shape_.ldv, narrow, scales);
        for (size_t col = 0; col < head_dim; col += nr)
            result_gemm_.pack_b_cols(std::min(nr, head_dim - col), count, narrow + col, head_dim,
                                     packed + values_at(0, col, first));
    }
}

void Call::pack_values(size_t head, char* packed, const Scratch& scratch) const {
    if (int8_results_)
        return quantise_values(head, packed, scratch);
    const size_t item = head / shape_.n_head, head_dim = shape_.head_dim, nr = result_gemm_.nr;
    const size_t n = visible_.of_item(item);
    const auto pack = [&](size_t part, size_t position, size_t count, const char* rows, size_t ld,
                          size_t size) {
        for (size_t col = 0; col < head_dim; col += nr)
            result_gemm_.pack_b_cols(std::min(nr, head_dim - col), count, rows + col * size, ld,
                                     packed + values_at(part, col, position));
    };
    const auto at = [&](size_t i) {
        return row(v_, shape_.stride_v, shape_.ldv, item, head % shape_.n_head, i);
    };
    if (!stages_values()) {
        pack(0, 0, n, at(0), shape_.ldv, element_size(shape_.type));
        return;
    }
    // An int8 is a bf16, exactly.
    float* wide = scratch.get<float>(Scratch::staging);
    auto* narrow = scratch.get<uint16_t>(Scratch::narrow);
    for (size_t position = 0; position < n; position += staged_positions) {
        const size_t count = std::min(staged_positions, n - position);
        for (size_t i = 0; i < count; ++i) {
            uint16_t* const low = narrow + i * head_dim;
            uint16_t* const high = low + (v_parts_ - 1) * staged_positions * head_dim;
            const auto* values = reinterpret_cast<const float*>(at(position + i));
            if (splits()) {
                kernels_.convert.f32_to_bf16x2(head_dim, values, high, low);
            } else if (rounds_values()) {
                kernels_.convert.f32_to_bf16(head_dim, values, high);
            } else {
                kernels_.convert.s8_to_f32(
                    head_dim, reinterpret_cast<const int8_t*>(at(position + i)), 1.0f, wide);
                kernels_.convert.f32_to_bf16(head_dim, wide, high);
            }
        }
        for (size_t part = 0; part < v_parts_; ++part)
            pack(part, position, count,
                 reinterpret_cast<const char*>(narrow + part * staged_positions * head_dim),
                 head_dim, sizeof *narrow);
    }
}

void Call::attend(size_t head, size_t task, const char* packed, const Scratch& scratch) const {
    const size_t first = task * of_task_;
    const size_t end = std::min(shape_.q_len, first + of_task_);
    const TileScope scores(score_gemm_), results(result_gemm_);
    for (size_t query = first; query < end; query += together_) {
        Queries queries;
        begin(queries, head, query, std::min(together_, end - query), packed, scratch);
        for (size_t key = 0; key < queries.n_keys; key += block_keys) {
            const Keys keys = {key, std::min(block_keys, queries.n_keys - key), packed};
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
    return size_product(together_, lda_ + ld_block_ + size_product(ld_results_, sizeof(float)));
}

// All in one piece, so that nothing competes for the same sets of the L1 cache.
void Call::place(Queries& queries, char* at) const {
    queries.packed = at;
    queries.block = at += together_ * lda_;
    queries.results = reinterpret_cast<float*>(at + together_ * ld_block_);
}

void Call::pack_queries(Queries& queries, const char* head, const Scratch& scratch) const {
    const float scale =
        shape_.type == NPUENC_S8 ? shape_.scale * (shape_.q_scale * shape_.k_scale) : shape_.scale;
    std::fill_n(queries.row_scale, queries.rows, scale);
    const char* q = row(q_, shape_.stride_q, shape_.ldq, queries.item, queries.head, queries.first);
    size_t ldq = shape_.ldq * element_size(shape_.type);
    if (quantises()) {
        // All before the first is packed: what was written so lately by smaller stores is waited
        // for.
        auto* narrow = scratch.get<int8_t>(Scratch::narrow);
        const float key_scale = *reinterpret_cast<const float*>(head + key_scale_at());
        for (size_t i = 0; i < queries.rows; ++i)
            queries.row_scale[i] *=
                key_scale * quantise(1, q + i * ldq, 0, narrow + i * shape_.head_dim);
        q = reinterpret_cast<const char*>(narrow);
        ldq = shape_.head_dim;
    }
    for (size_t i = 0; i < queries.rows; ++i)
        score_gemm_.pack_a(shape_.head_dim, q + i * ldq, queries.packed + i * lda_);
}

// The scores of a block of keys: queries times keys.
void Call::score(Queries& queries, const Keys& keys) const {
    npuenc_tile tile{};
    tile.k = shape_.head_dim;
    tile.lda = lda_;
    tile.ldc = ld_block_ / sizeof(float);
    const size_t start = groups_bytes(score_gemm_, shape_.head_dim);
    for (size_t key = 0; key < keys.count; key += score_gemm_.nr) {
        const char* panel = keys.packed + (keys.first + key) / score_gemm_.nr * k_stride_;
        tile.cols = std::min<size_t>(score_gemm_.nr, keys.count - key);
        tile.b = panel;
        tile.start = reinterpret_cast<const int32_t*>(panel + start);
        for (size_t row = 0; row < queries.rows; row += score_gemm_.mr) {
            tile.rows = std::min<size_t>(score_gemm_.mr, queries.rows - row);
            tile.a = queries.packed + row * lda_;
            tile.c = queries.block + row * ld_block_ + key * sizeof(float);
            score_gemm_.tile(&tile);
        }
    }
}

// Their probabilities within the block.
void Call::soften(Queries& queries, const Keys& keys) const {
    const auto soften = int8_results_                          ? kernels_.softmax.block_u8
                        : result_gemm_.a_size == sizeof(float) ? kernels_.softmax.block_f32
                                                               : kernels_.softmax.block_bf16;
    for (size_t row = 0; row < queries.rows; row += npuenc_most_queries) {
        uint32_t n_keys[npuenc_most_queries];
        npuenc_scores block{};
        block.rows = std::min<size_t>(npuenc_most_queries, queries.rows - row);
        for (size_t i = 0; i < block.rows; ++i) {
            const size_t seen = std::max(queries.seen[row + i], keys.first) - keys.first;
            n_keys[i] = static_cast<uint32_t>(std::min(seen, keys.count));
        }
        block.keys = round_up(keys.count, result_gemm_.k_group);
        block.scores = queries.block + row * ld_block_;
        block.integers = shape_.precision == NPUENC_PRECISION_INT8;
        block.ld = ld_block_ / sizeof(float);
        block.n_keys = n_keys;
        block.row_scale = queries.row_scale + row;
        if (shape_.mask == NPUENC_MASK_ADD_F32) {
            block.mask = shape_.added + queries.item * shape_.added_stride_batch +
                         queries.head * shape_.added_stride_head +
                         (queries.first + row) * shape_.kv_len + keys.first;
            block.ld_mask = shape_.kv_len;
        }
        block.p = block.scores;
        block.ldp = ld_block_ / result_gemm_.a_size;
        block.greatest = queries.block_greatest + row;
        block.total = queries.block_total + row;
        soften(&block);
    }
}

// Probabilities times values.
void Call::weigh(Queries& queries, const Keys& keys) const {
    npuenc_tile tile{};
    tile.k = keys.count;
    tile.lda = ld_block_;
    tile.ldc = ld_block_ / sizeof(float);
    for (size_t col = 0; col < shape_.head_dim; col += result_gemm_.nr) {
        tile.cols = std::min<size_t>(result_gemm_.nr, shape_.head_dim - col);
        for (size_t row = 0; row < queries.rows; row += result_gemm_.mr) {
            tile.rows = std::min<size_t>(result_gemm_.mr, queries.rows - row);
            tile.a = queries.block + row * ld_block_;
            tile.c = queries.block + row * ld_block_ + part_at_ + col * sizeof(float);
            for (size_t part = 0; part < v_parts_; ++part) {
                tile.b = keys.packed + values_at(part, col, keys.first);
                tile.accumulate = part > 0;
                result_gemm_.tile(&tile);
            }
        }
    }
}

// Into what was found in the blocks before.
void Call::merge(Queries& queries, const Keys& keys) const {
    for (size_t row = 0; row < queries.rows; row += npuenc_most_queries) {
        npuenc_part part{};
        part.rows = std::min<size_t>(npuenc_most_queries, queries.rows - row);
        part.n = shape_.head_dim;
        part.part = queries.block + row * ld_block_ + part_at_;
        part.ld = ld_block_ / sizeof(float);
        if (int8_results_)
            part.col_scale = reinterpret_cast<const float*>(keys.packed + value_scales_at()) +
                             keys.first / block_keys * shape_.head_dim;
        part.greatest = queries.block_greatest + row;
        part.total = queries.block_total + row;
        kernels_.softmax.merge(&part, queries.results + row * ld_results_, ld_results_,
                               queries.greatest + row, queries.total + row);
    }
}

// results / total, in the type of the result. A query that sees no key gives zeros.
void Call::write(const Queries& queries) const {
    float scale[most_together];
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
