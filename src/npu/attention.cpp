// SPDX-License-Identifier: MIT
// Attention by products: scores of all heads on the array, their softmax on the host, eight queries
// at a time, and results on the array.
#include <algorithm>
#include <cstring>

#include "device/visible_keys.hpp"
#include "error.hpp"
#include "npu/attention_kernel.hpp"
#include "npu/npu_device.hpp"
#include "npu/product.hpp"
#include "npu/streaming.hpp"
#include "npu/timer.hpp"

namespace npuenc {
namespace {

// One call. Heads are counted over the whole batch.
class Call {
  public:
    Call(const npuenc_kernels& kernels, Array& array, Parallel& threads, SharedMemory& shared,
         const Attention& shape, const void* q, const void* k, const void* v, void* out)
        : kernels_(kernels), array_(array), threads_(threads), shape_(shape), visible_(shape),
          int8_scores_(shape.precision == NPUENC_PRECISION_INT8), q_(static_cast<const char*>(q)),
          k_(static_cast<const char*>(k)), v_(static_cast<const char*>(v)),
          out_(static_cast<char*>(out)), ld_scores_(round_up(shape.kv_len, output_group)),
          most_(most_at_once()), memory_(shared, memory_bytes()) {}

    void attend(Stats& stats);

  private:
    // Some queries of some heads: what the memory of the device is enough for.
    struct Extent {
        size_t heads, queries;
    };
    struct Portion {
        size_t head, heads, query;
        Product scores, results;
    };

    Portion portion(size_t head, size_t heads, size_t query, size_t queries) const {
        return {head, heads, query,
                Product(int8_scores_ ? gemm_s8_s32 : gemm_bf16_f32, queries, shape_.kv_len,
                        shape_.head_dim),
                Product(gemm_bf16_f32, queries, shape_.head_dim, shape_.kv_len)};
    }
    Extent most_at_once() const;

    bool quantises() const { return int8_scores_ && shape_.type == NPUENC_BF16; }
    // Whether keys or values are copied before they are packed: into another type, or with zeros in
    // the place of those that nobody may see.
    bool copies_keys() const { return quantises() || shape_.mask == NPUENC_MASK_KEY_LENGTHS; }
    bool copies_values() const {
        return shape_.type == NPUENC_S8 || shape_.mask == NPUENC_MASK_KEY_LENGTHS;
    }

    // Memory of the call: of each head keys and values, where they are copied, and the keys' scale;
    // of each query the scale of its scores and the sum of its probabilities; of each thread
    // scores, probabilities and queries of a band.
    size_t keys_bytes() const { return copies_keys() ? matrix_bytes(key_size()) : 0; }
    size_t values_bytes() const { return copies_values() ? matrix_bytes(sizeof(uint16_t)) : 0; }
    size_t matrix_bytes(size_t size) const {
        return round_up(size_product(size_product(shape_.kv_len, shape_.head_dim), size),
                        cache_line);
    }
    size_t head_bytes() const { return cache_line + keys_bytes() + values_bytes(); }
    size_t queries_bytes() const {
        return round_up(size_product(size_product(most_.heads, most_.queries), 2 * sizeof(float)),
                        cache_line);
    }
    size_t thread_bytes() const {
        return round_up(size_product(band_rows, ld_scores_ * (sizeof(float) + sizeof(uint16_t)) +
                                                    shape_.head_dim * sizeof(float)),
                        cache_line);
    }
    size_t memory_bytes() const {
        return size_product(most_.heads, head_bytes()) + queries_bytes() +
               size_product(threads_.n_threads(), thread_bytes());
    }
    char* of_head(size_t i) const { return memory_.data<char>() + i * head_bytes(); }
    float* key_scale(size_t i) const { return reinterpret_cast<float*>(of_head(i)); }
    char* keys(size_t i) const { return of_head(i) + cache_line; }
    char* values(size_t i) const { return keys(i) + keys_bytes(); }
    float* score_scales(size_t i) const {
        return reinterpret_cast<float*>(of_head(most_.heads)) + i * most_.queries;
    }
    float* totals(size_t i) const { return score_scales(most_.heads) + i * most_.queries; }
    char* of_thread(unsigned thread) const {
        return of_head(most_.heads) + queries_bytes() + thread * thread_bytes();
    }

    size_t key_size() const { return int8_scores_ ? sizeof(int8_t) : sizeof(uint16_t); }
    // Of one of q, k, v and out, in elements.
    size_t place(size_t head, size_t position, size_t stride, size_t ld) const {
        return head / shape_.n_head * stride + position * ld +
               head % shape_.n_head * shape_.head_dim;
    }
    const char* at(const char* base, size_t head, size_t position, size_t stride, size_t ld) const {
        return base + place(head, position, stride, ld) * element_size(shape_.type);
    }

    void attend(const Portion& portion, Stats& stats);
    void copy_keys(const Portion& portion, size_t i) const;
    void copy_values(const Portion& portion, size_t i) const;
    void pack_queries(const Portion& portion, size_t i, size_t band, char* a,
                      unsigned thread) const;
    void pack_keys(const Portion& portion, size_t i, size_t strip, char* b) const;
    void pack_values(const Portion& portion, size_t i, size_t strip, char* b) const;
    void soften(const Portion& portion, size_t i, size_t band, const char* scores, char* a,
                unsigned thread) const;
    void write(const Portion& portion, size_t i, size_t band, const char* results) const;

    const npuenc_kernels& kernels_;
    Array& array_;
    Parallel& threads_;
    const Attention& shape_;
    const VisibleKeys visible_;
    const bool int8_scores_;
    const char *const q_, *const k_, *const v_;
    char* const out_;
    const size_t ld_scores_;
    const Extent most_;
    const SharedMemory::Lease memory_;
};

Call::Extent Call::most_at_once() const {
    size_t queries = shape_.q_len;
    const auto bytes = [&] {
        const Portion one = portion(0, 1, 0, queries);
        return one.scores.bytes() + one.results.bytes();
    };
    while (bytes() > array_.most_bytes() && queries > output_group)
        queries = round_up(ceil_div(queries, 2), output_group);
    return {std::clamp<size_t>(array_.most_bytes() / bytes(), 1, shape_.batch * shape_.n_head),
            queries};
}

// Keys of a head have one scale, which becomes a part of those of its scores.
void Call::copy_keys(const Portion& portion, size_t i) const {
    const size_t head = portion.head + i, head_dim = shape_.head_dim;
    const size_t seen = visible_.of_item(head / shape_.n_head);
    char* to = keys(i);
    const char* from = at(k_, head, 0, shape_.stride_k, shape_.ldk);
    if (quantises())
        *key_scale(i) =
            kernels_.rows.quantise_bf16(seen, head_dim, reinterpret_cast<const uint16_t*>(from),
                                        shape_.ldk, reinterpret_cast<int8_t*>(to));
    const size_t row = head_dim * key_size();
    for (size_t key = 0; !quantises() && key < seen; ++key)
        std::memcpy(to + key * row, from + key * shape_.ldk * key_size(), row);
    std::memset(to + seen * row, 0, (shape_.kv_len - seen) * row);
}

// An int8 is a bf16, exactly.
void Call::copy_values(const Portion& portion, size_t i) const {
    const size_t head = portion.head + i, head_dim = shape_.head_dim;
    const size_t seen = visible_.of_item(head / shape_.n_head);
    auto* to = reinterpret_cast<uint16_t*>(values(i));
    for (size_t key = 0; key < seen; ++key, to += head_dim) {
        const char* from = at(v_, head, key, shape_.stride_v, shape_.ldv);
        if (shape_.type != NPUENC_S8) {
            std::memcpy(to, from, head_dim * sizeof *to);
            continue;
        }
        for (size_t first = 0; first < head_dim; first += output_group) {
            const size_t count = std::min(output_group, head_dim - first);
            float wide[output_group];
            kernels_.convert.s8_to_f32(count, reinterpret_cast<const int8_t*>(from) + first, 1.0f,
                                       wide);
            kernels_.convert.f32_to_bf16(count, wide, to + first);
        }
    }
    std::fill_n(to, (shape_.kv_len - seen) * head_dim, uint16_t{0});
}

void Call::pack_queries(const Portion& portion, size_t i, size_t band, char* a,
                        unsigned thread) const {
    const Product& product = portion.scores;
    const size_t first = std::min(band * band_rows, product.m());
    const char* rows = at(q_, portion.head + i, portion.query + first, shape_.stride_q, shape_.ldq);
    float* scales = score_scales(i) + first;
    const size_t count = std::min(band_rows, product.m() - first);
    std::fill_n(scales, count,
                shape_.type == NPUENC_S8 ? shape_.scale * (shape_.q_scale * shape_.k_scale)
                                         : shape_.scale);
    if (!quantises())
        return product.pack_a_band(band, rows, shape_.ldq, a);
    auto* narrow = reinterpret_cast<int8_t*>(of_thread(thread));
    for (size_t row = 0; row < count; ++row)
        scales[row] *=
            *key_scale(i) *
            kernels_.rows.quantise_bf16(1, shape_.head_dim,
                                        reinterpret_cast<const uint16_t*>(rows) + row * shape_.ldq,
                                        0, narrow + row * shape_.head_dim);
    product.pack_a_band(band, narrow, shape_.head_dim, a);
}

void Call::pack_keys(const Portion& portion, size_t i, size_t strip, char* b) const {
    const size_t first = std::min(strip * core_tile, shape_.kv_len);
    if (copies_keys())
        portion.scores.pack_b_strip(strip, keys(i) + first * shape_.head_dim * key_size(),
                                    shape_.head_dim, BLayout::n_by_k, 0, b);
    else
        portion.scores.pack_b_strip(strip,
                                    at(k_, portion.head + i, first, shape_.stride_k, shape_.ldk),
                                    shape_.ldk, BLayout::n_by_k, 0, b);
}

void Call::pack_values(const Portion& portion, size_t i, size_t strip, char* b) const {
    const size_t first = std::min(strip * core_tile, shape_.head_dim) * sizeof(uint16_t);
    if (copies_values())
        portion.results.pack_b_strip(strip, values(i) + first, shape_.head_dim, BLayout::k_by_n, 0,
                                     b);
    else
        portion.results.pack_b_strip(
            strip, at(v_, portion.head + i, 0, shape_.stride_v, shape_.ldv) + first, shape_.ldv,
            BLayout::k_by_n, 0, b);
}

// Scores of a band out of the array, their probabilities into it.
void Call::soften(const Portion& portion, size_t i, size_t band, const char* scores, char* a,
                  unsigned thread) const {
    const size_t first = band * band_rows, head = portion.head + i;
    if (first >= portion.scores.m())
        return portion.results.pack_a_band(band, of_thread(thread), 0, a);
    const size_t rows = std::min(band_rows, portion.scores.m() - first);
    auto* of_band = reinterpret_cast<float*>(of_thread(thread));
    auto* p = reinterpret_cast<uint16_t*>(of_band + band_rows * ld_scores_);
    const size_t n_groups = portion.scores.n_groups();
    for (size_t group = 0; group < n_groups; ++group)
        portion.scores.add_up_c_band(kernels_.unpack, portion.scores.c_band_offset({band, group}),
                                     scores, of_band + group * output_group, ld_scores_);

    const size_t item = head / shape_.n_head, query = portion.query + first;
    uint32_t n_keys[band_rows];
    for (size_t row = 0; row < rows; ++row)
        n_keys[row] = static_cast<uint32_t>(visible_.of_query(item, query + row));
    float greatest[band_rows];
    npuenc_scores block{};
    block.rows = rows;
    block.keys = shape_.kv_len;
    block.scores = of_band;
    block.integers = int8_scores_;
    block.ld = ld_scores_;
    block.n_keys = n_keys;
    block.row_scale = score_scales(i) + first;
    if (shape_.mask == NPUENC_MASK_ADD_F32) {
        block.mask = shape_.added + item * shape_.added_stride_batch +
                     head % shape_.n_head * shape_.added_stride_head + query * shape_.kv_len;
        block.ld_mask = shape_.kv_len;
    }
    block.p = p;
    block.ldp = ld_scores_;
    block.greatest = greatest;
    block.total = totals(i) + first;
    kernels_.softmax.block_bf16(&block);
    portion.results.pack_a_band(band, p, ld_scores_, a);
}

// results / total, in the type of the result. A query that sees no key gives zeros.
void Call::write(const Portion& portion, size_t i, size_t band, const char* results) const {
    const Product& product = portion.results;
    const size_t first = band * band_rows, rows = std::min(band_rows, product.m() - first);
    const bool int8 = shape_.type == NPUENC_S8;
    float scale[band_rows];
    for (size_t row = 0; row < rows; ++row) {
        const float total = totals(i)[first + row];
        scale[row] = total == 0 ? 0 : 1.0f / total;
        if (int8)
            scale[row] *= shape_.v_scale / shape_.out_scale;
    }
    for (size_t group = 0; group < product.n_groups(); ++group) {
        alignas(cache_line) char sums[band_rows * output_group * sizeof(float)];
        auto* of_band = reinterpret_cast<float*>(sums);
        product.add_up_c_band(kernels_.unpack, product.c_band_offset({band, group}), results,
                              of_band, output_group);
        const size_t column = group * output_group;
        const size_t columns = std::min(output_group, product.n() - column);
        char* out =
            out_ +
            (place(portion.head + i, portion.query + first, shape_.stride_o, shape_.ldo) + column) *
                element_size(shape_.type);
        npuenc_finish finish{};
        finish.row_scale = scale;
        finish.type = int8 ? npuenc_float_f32 : npuenc_float_bf16;
        finish.y = int8 ? sums : out;
        finish.ldy = int8 ? output_group : shape_.ldo;
        kernels_.finish.f32(rows, columns, of_band, output_group, &finish);
        for (size_t row = 0; int8 && row < rows; ++row)
            kernels_.convert.f32_to_s8(columns, of_band + row * output_group, 1.0f,
                                       reinterpret_cast<int8_t*>(out) + row * shape_.ldo);
    }
}

void Call::attend(const Portion& portion, Stats& stats) {
    const Product &scores = portion.scores, &results = portion.results;
    // Products of the heads, one after another in the buffers of a submission: all A, then all B.
    const auto a_at = [](const Product& product, size_t i) { return i * product.a_bytes(); };
    const auto b_at = [&](const Product& product, size_t i) {
        return portion.heads * product.a_bytes() + i * product.b_bytes();
    };
    const auto prepare = [&](Submission& submission, const Product& product) {
        for (size_t i = 0; i < portion.heads; ++i)
            product.add_to(submission, array_,
                           submission.input(a_at(product, i), product.a_bytes()),
                           submission.input(b_at(product, i), product.b_bytes()),
                           submission.output(i * product.c_bytes(), product.c_bytes()));
    };
    // body(head, index below `count`, thread)
    const auto for_each = [&](size_t count, const auto& body) {
        threads_.for_each(portion.heads * count, [&](size_t task, unsigned thread) {
            body(task / count, task % count, thread);
            end_streaming();
        });
    };

    Submission first(array_, b_at(scores, portion.heads), portion.heads * scores.c_bytes());
    Submission second(array_, b_at(results, portion.heads), portion.heads * results.c_bytes());
    prepare(first, scores);
    prepare(second, results);
    {
        const Timer timer(stats.pack_ns);
        if (copies_keys())
            for_each(1, [&](size_t i, size_t, unsigned) { copy_keys(portion, i); });
        for_each(scores.strips() + scores.bands(), [&](size_t i, size_t task, unsigned thread) {
            if (task < scores.strips())
                pack_keys(portion, i, task, first.inputs() + b_at(scores, i));
            else
                pack_queries(portion, i, task - scores.strips(), first.inputs() + a_at(scores, i),
                             thread);
        });
    }
    first.run(Written::through_caches, threads_, stats);
    {
        const Timer timer(stats.pack_ns);
        if (copies_values())
            for_each(1, [&](size_t i, size_t, unsigned) { copy_values(portion, i); });
        for_each(results.strips() + results.bands(), [&](size_t i, size_t task, unsigned thread) {
            if (task < results.strips())
                pack_values(portion, i, task, second.inputs() + b_at(results, i));
            else
                soften(portion, i, task - results.strips(), first.outputs() + i * scores.c_bytes(),
                       second.inputs() + a_at(results, i), thread);
        });
    }
    second.run(Written::through_caches, threads_, stats);
    const Timer timer(stats.unpack_ns);
    for_each(ceil_div(results.m(), band_rows), [&](size_t i, size_t band, unsigned) {
        write(portion, i, band, second.outputs() + i * results.c_bytes());
    });
}

void Call::attend(Stats& stats) {
    const size_t n_heads = shape_.batch * shape_.n_head;
    for (size_t head = 0; head < n_heads; head += most_.heads)
        for (size_t query = 0; query < shape_.q_len; query += most_.queries)
            attend(portion(head, std::min(most_.heads, n_heads - head), query,
                           std::min(most_.queries, shape_.q_len - query)),
                   stats);
}

// Without keys there is nothing to see.
void fill_with_zeros(const Attention& shape, void* out) {
    const size_t size = element_size(shape.type);
    for (size_t item = 0; item < shape.batch; ++item)
        for (size_t query = 0; query < shape.q_len; ++query)
            std::memset(static_cast<char*>(out) +
                            (item * shape.stride_o + query * shape.ldo) * size,
                        0, shape.n_head * shape.head_dim * size);
}

} // namespace

void NpuDevice::attention(const Attention& shape, const void* q, const void* k, const void* v,
                          void* out, Stats& stats) {
    if ((shape.type != NPUENC_BF16 && shape.type != NPUENC_S8) ||
        shape.precision == NPUENC_PRECISION_F32)
        fail(NPUENC_E_UNSUPPORTED, "the NPU has no attention of type %d in precision %d",
             shape.type, shape.precision);
    array_.check();
    if (shape.batch == 0 || shape.n_head == 0 || shape.q_len == 0)
        return;
    if (shape.kv_len == 0)
        return fill_with_zeros(shape, out);
    if (const auto parameters = attention_kernel_parameters(shape))
        return attend_by_kernel(array_, parallel(), shape, *parameters, q, k, v, out, stats);
    Call(kernels_, array_, parallel(), shared_, shape, q, k, v, out).attend(stats);
}

} // namespace npuenc
