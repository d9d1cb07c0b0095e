// SPDX-License-Identifier: MIT
// Products of two matrices given at the call.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "error.hpp"
#include "npu/npu_device.hpp"
#include "npu/product.hpp"
#include "npu/streaming.hpp"
#include "npu/timer.hpp"

namespace npuenc {
namespace {

// The s for which the array itself makes int8 results by sum / 2^s, to nearest even, and none where
// it cannot, or not as defined: the definition rounds a sum to f32 first. Only a sum of 2^24 or
// more is not an f32 by itself, and up to s = 17 what becomes of such a sum is out of int8's range.
int right_shift(const Matmul& shape) {
    int exponent;
    const float fraction = std::frexp(shape.scale, &exponent);
    const int shift = 1 - exponent;
    const bool exact = shift <= 17 || shape.k <= 1024; // 1024 * 2^14
    return fraction == 0.5f && shape.zero_point == 0 && shift >= 0 && shift <= 31 && exact ? shift
                                                                                           : -1;
}

const GemmOverlay& overlay_for(const Matmul& shape) {
    const auto is = [&](npuenc_dtype operands, npuenc_dtype results) {
        return shape.a_type == operands && shape.b_type == operands && shape.c_type == results;
    };
    if (is(NPUENC_BF16, NPUENC_F32) || is(NPUENC_BF16, NPUENC_BF16))
        return gemm_bf16_f32;
    if (is(NPUENC_S8, NPUENC_S32))
        return gemm_s8_s32;
    if (!is(NPUENC_S8, NPUENC_S8))
        fail(NPUENC_E_UNSUPPORTED, "the NPU has no matmul of types %d and %d into %d", shape.a_type,
             shape.b_type, shape.c_type);
    const bool cut = shape.k > GemmTiling::max_k_tiles * gemm_s8_s8.k_tile;
    return right_shift(shape) >= 0 && !cut ? gemm_s8_s8 : gemm_s8_s32;
}

// Items that share B and follow each other in A and C are one item.
Matmul with_merged_items(Matmul shape) {
    if (shape.batch > 1 && shape.stride_b == 0 && shape.stride_a == shape.m * shape.lda &&
        shape.stride_c == shape.m * shape.ldc) {
        shape.m *= shape.batch;
        shape.batch = 1;
    }
    return shape;
}

// One call.
class Call {
  public:
    Call(const npuenc_kernels& kernels, Array& array, Parallel& threads, SharedMemory& shared,
         const Matmul& shape, const void* a, const void* b, void* c)
        : kernels_(kernels), array_(array), threads_(threads), shape_(shape),
          overlay_(overlay_for(shape)), right_shift_(shifts(overlay_) ? right_shift(shape) : 0),
          a_(static_cast<const char*>(a)), b_(static_cast<const char*>(b)),
          c_(static_cast<char*>(c)), most_(most_at_once()), kept_(shared, kept_bytes()) {}

    void multiply(Stats& stats);

  private:
    // How much of the product a submission has at most: so many items, rows and columns, and all of
    // K or one part of it.
    struct Extent {
        size_t items, rows, columns, depth;
    };

    // A submission's part of the product, from here on.
    struct Portion {
        size_t item, items, row, column, k;
        Product product;
        bool shared_b;

        size_t packed_b() const { return shared_b ? 1 : items; }
        size_t a_at(size_t i) const { return i * product.a_bytes(); }
        size_t b_at(size_t i) const {
            return items * product.a_bytes() + (shared_b ? 0 : i) * product.b_bytes();
        }
        size_t c_at(size_t i) const { return i * product.c_bytes(); }
        size_t input_bytes() const { return b_at(0) + packed_b() * product.b_bytes(); }
        size_t output_bytes() const { return items * product.c_bytes(); }
    };

    Extent most_at_once() const;
    size_t kept_bytes() const;
    void multiply(const Portion& portion, Stats& stats);
    void pack(const Portion& portion, char* inputs) const;
    void unpack(const Portion& portion, size_t part, const char* outputs) const;
    bool is_first(const Portion& portion, size_t part) const { return portion.k == 0 && part == 0; }
    bool is_last(const Portion& portion, size_t part) const {
        return portion.k + portion.product.k() == shape_.k &&
               part + 1 == portion.product.parts_of_depth();
    }
    void take(size_t n, const char* part, bool first, bool last, char* kept, char* c) const;
    void add_up(size_t n, const char* part, bool first, char* sums) const;
    void convert(size_t n, const char* sums, char* c) const;

    size_t part_size() const { return result_bytes(overlay_); }
    // C is the array's result itself.
    bool is_direct() const { return element_size(shape_.c_type) == part_size(); }

    const npuenc_kernels& kernels_;
    Array& array_;
    Parallel& threads_;
    const Matmul& shape_;
    const GemmOverlay& overlay_;
    const int right_shift_;
    const char *const a_, *const b_;
    char* const c_;
    const Extent most_;
    // Sums of some parts of K, where C itself is too narrow for them.
    const SharedMemory::Lease kept_;
};

Call::Extent Call::most_at_once() const {
    size_t m_groups = ceil_div(shape_.m, output_group), n_groups = ceil_div(shape_.n, output_group);
    size_t depth = shape_.k;
    const auto product = [&] {
        return Product(overlay_, std::min(shape_.m, m_groups * output_group),
                       std::min(shape_.n, n_groups * output_group), depth);
    };
    while (product().bytes() > array_.most_bytes()) {
        if (product().parts_of_depth() > 1)
            depth = product().depth_of_part();
        else if (m_groups == 1 && n_groups == 1)
            break;
        else if (m_groups >= n_groups)
            m_groups = ceil_div(m_groups, 2);
        else
            n_groups = ceil_div(n_groups, 2);
    }
    const Product one = product();
    const size_t shared = shape_.stride_b == 0 ? one.b_bytes() : 0;
    const size_t left = array_.most_bytes() - std::min(shared, array_.most_bytes());
    return {std::clamp<size_t>(left / (one.bytes() - shared), 1, shape_.batch), one.m(), one.n(),
            depth};
}

size_t Call::kept_bytes() const {
    if (is_direct() || Product(overlay_, 1, 1, shape_.k).parts_of_depth() == 1)
        return 0;
    return size_product(size_product(most_.items, most_.rows), most_.columns * part_size());
}

void Call::multiply(Stats& stats) {
    for (size_t item = 0; item < shape_.batch; item += most_.items)
        for (size_t row = 0; row < shape_.m; row += most_.rows)
            for (size_t column = 0; column < shape_.n; column += most_.columns)
                for (size_t k = 0; k < shape_.k; k += most_.depth)
                    multiply(Portion{item, std::min(most_.items, shape_.batch - item), row, column,
                                     k,
                                     Product(overlay_, std::min(most_.rows, shape_.m - row),
                                             std::min(most_.columns, shape_.n - column),
                                             std::min(most_.depth, shape_.k - k)),
                                     shape_.stride_b == 0},
                             stats);
}

void Call::multiply(const Portion& portion, Stats& stats) {
    const Product& product = portion.product;
    Submission submission(array_, portion.input_bytes(), portion.output_bytes());
    for (size_t i = 0; i < portion.items; ++i)
        product.add_to(submission, array_, submission.input(portion.a_at(i), product.a_bytes()),
                       submission.input(portion.b_at(i), product.b_bytes()),
                       submission.output(portion.c_at(i), product.c_bytes()));
    {
        const Timer timer(stats.pack_ns);
        pack(portion, submission.inputs());
    }
    submission.run(Written::through_caches, threads_, stats);
    for (size_t part = 0; part < product.parts_of_depth(); ++part) {
        const Timer timer(is_first(portion, part) ? stats.unpack_ns : stats.accumulate_ns);
        unpack(portion, part, submission.outputs());
    }
}

void Call::pack(const Portion& portion, char* inputs) const {
    const Product& product = portion.product;
    const size_t size = element_size(shape_.a_type);
    const auto pack_band = [&](size_t i, size_t band) {
        const size_t row = portion.row + std::min(band * band_rows, product.m());
        const size_t first = (portion.item + i) * shape_.stride_a + row * shape_.lda + portion.k;
        product.pack_a_band(band, a_ + first * size, shape_.lda, inputs + portion.a_at(i));
        end_streaming();
    };
    const auto pack_strip = [&](size_t i, size_t strip) {
        const size_t column = portion.column + std::min(strip * core_tile, product.n());
        const size_t place =
            shape_.b_transposed ? column * shape_.ldb + portion.k : portion.k * shape_.ldb + column;
        const size_t first = (portion.item + i) * shape_.stride_b + place;
        product.pack_b_strip(strip, b_ + first * size, shape_.ldb,
                             shape_.b_transposed ? BLayout::n_by_k : BLayout::k_by_n,
                             static_cast<unsigned>(right_shift_), inputs + portion.b_at(i));
    };
    const size_t n_bands = portion.items * product.bands();
    const size_t n_strips = portion.packed_b() * product.strips();
    threads_.for_each(n_bands + n_strips, [&](size_t task, unsigned) {
        if (task < n_strips)
            pack_strip(task / product.strips(), task % product.strips());
        else
            pack_band((task - n_strips) / product.bands(), (task - n_strips) % product.bands());
    });
}

void Call::unpack(const Portion& portion, size_t part, const char* outputs) const {
    const Product& product = portion.product;
    const bool first = is_first(portion, part), last = is_last(portion, part);
    const size_t bands = ceil_div(product.m(), band_rows);
    threads_.for_each(portion.items * bands, [&](size_t task, unsigned) {
        const size_t i = task / bands, band = task % bands, top = band * band_rows;
        for (size_t group = 0; group < product.n_groups(); ++group) {
            alignas(cache_line) char sums[band_rows * output_group * sizeof(int32_t)];
            unpack_c_band(kernels_.unpack, overlay_,
                          outputs + portion.c_at(i) + product.c_band_offset({band, group}, part),
                          sums, output_group);
            const size_t left = group * output_group;
            for (size_t j = 0; j < std::min(band_rows, product.m() - top); ++j) {
                const size_t in_portion = (i * product.m() + top + j) * product.n() + left;
                const size_t in_c = (portion.item + i) * shape_.stride_c +
                                    (portion.row + top + j) * shape_.ldc + portion.column + left;
                take(std::min(output_group, product.n() - left),
                     sums + j * output_group * part_size(), first, last,
                     kept_.data<char>() + in_portion * part_size(),
                     c_ + in_c * element_size(shape_.c_type));
            }
        }
    });
}

// n sums of one part of K, which may be the first and the last one.
void Call::take(size_t n, const char* part, bool first, bool last, char* kept, char* c) const {
    if (is_direct())
        return add_up(n, part, first, c);
    if (first && last)
        return convert(n, part, c);
    add_up(n, part, first, kept);
    if (last)
        convert(n, kept, c);
}

template <class T>
void add(size_t n, const char* part, char* sums) {
    const T* from = reinterpret_cast<const T*>(part);
    T* to = reinterpret_cast<T*>(sums);
    for (size_t i = 0; i < n; ++i)
        to[i] += from[i];
}

void Call::add_up(size_t n, const char* part, bool first, char* sums) const {
    if (first)
        std::memcpy(sums, part, n * part_size());
    else if (overlay_.result == GemmResult::f32)
        add<float>(n, part, sums);
    else
        add<uint32_t>(n, part, sums);
}

void Call::convert(size_t n, const char* sums, char* c) const {
    if (shape_.c_type == NPUENC_BF16)
        kernels_.convert.f32_to_bf16(n, reinterpret_cast<const float*>(sums),
                                     reinterpret_cast<uint16_t*>(c));
    else
        kernels_.convert.s32_to_s8(n, reinterpret_cast<const int32_t*>(sums), shape_.scale,
                                   shape_.zero_point, reinterpret_cast<int8_t*>(c));
}

// The results of K = 0.
void fill(const Matmul& shape, void* c) {
    const size_t size = element_size(shape.c_type);
    const int value = shape.c_type == NPUENC_S8 ? std::clamp(shape.zero_point, -128, 127) : 0;
    for (size_t item = 0; item < shape.batch; ++item)
        for (size_t row = 0; row < shape.m; ++row)
            std::memset(static_cast<char*>(c) + (item * shape.stride_c + row * shape.ldc) * size,
                        value, shape.n * size);
}

} // namespace

void NpuDevice::matmul(const Matmul& shape, const void* a, const void* b, void* c, Stats& stats) {
    overlay_for(shape); // or E_UNSUPPORTED
    array_.check();
    if (shape.batch == 0 || shape.m == 0 || shape.n == 0)
        return;
    if (shape.k == 0)
        return fill(shape, c);
    const Matmul merged = with_merged_items(shape);
    Call(kernels_, array_, parallel(), shared_, merged, a, b, c).multiply(stats);
}

} // namespace npuenc
