// SPDX-License-Identifier: MIT
#include "tests/virtual_npu/firmware/gemm_arithmetic.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "kernels/aie2/gelu_tile.hpp"
#include "tests/virtual_npu/products/bf16_model.hpp"

#define INLINE inline __attribute__((always_inline))

namespace virtual_npu {
namespace {

constexpr size_t micro_rows = 8, micro_k = 8, block_columns = 16;

// Where value k, column of a tile of B lies, `width` columns to a micro-tile.
template <size_t depth, size_t width>
constexpr size_t b_index(size_t k, size_t column) {
    return (column / block_columns * depth + k / micro_k * micro_k) * block_columns +
           column % block_columns / width * (micro_k * width) + k % micro_k * width +
           column % width;
}

template <size_t depth>
constexpr size_t a_index(size_t row, size_t k) {
    return row / micro_rows * (micro_rows * depth) + k / micro_k * (micro_rows * micro_k) +
           row % micro_rows * micro_k + k % micro_k;
}

// A vector of the host that holds `bytes`.
template <class T, size_t bytes>
struct VectorOf {
    typedef T Type __attribute__((vector_size(bytes)));
    typedef T Unaligned __attribute__((vector_size(bytes), aligned(alignof(T)), may_alias));
};

// Products of int8 are exact in f32, and so is the sum of 64 of them: at most 2^20.
template <size_t bytes, size_t rows>
INLINE void multiply_s8(const int8_t* a, const int8_t* b, uint32_t* sums) {
    constexpr size_t depth = 64, lanes = bytes / sizeof(float), vectors = 2;
    using Vector = typename VectorOf<float, bytes>::Type;
    using Integers = typename VectorOf<int32_t, bytes>::Type;
    using Words = typename VectorOf<uint32_t, bytes>::Type;
    using Stored = typename VectorOf<uint32_t, bytes>::Unaligned;

    // A by rows, B by rows of K.
    constexpr size_t n_values = core_tile * depth;
    alignas(64) int8_t a_bytes[n_values], b_bytes[n_values];
    for (size_t row = 0; row < core_tile; ++row)
        for (size_t k = 0; k < depth; k += micro_k)
            std::memcpy(&a_bytes[row * depth + k], a + a_index<depth>(row, k), micro_k);
    for (size_t k = 0; k < depth; ++k)
        for (size_t column = 0; column < core_tile; column += 8)
            std::memcpy(&b_bytes[k * core_tile + column], b + b_index<depth, 8>(k, column), 8);
    alignas(64) float a_values[n_values], b_values[n_values];
    for (size_t i = 0; i < n_values; ++i)
        a_values[i] = a_bytes[i];
    for (size_t i = 0; i < n_values; ++i)
        b_values[i] = b_bytes[i];

    for (size_t column = 0; column < core_tile; column += vectors * lanes)
        for (size_t row = 0; row < core_tile; row += rows) {
            Vector products[rows][vectors] = {};
            for (size_t k = 0; k < depth; ++k) {
                const auto* of_b =
                    reinterpret_cast<const Vector*>(&b_values[k * core_tile + column]);
                for (size_t i = 0; i < rows; ++i)
                    for (size_t v = 0; v < vectors; ++v)
                        products[i][v] += a_values[(row + i) * depth + k] * of_b[v];
            }
            for (size_t i = 0; i < rows; ++i)
                for (size_t v = 0; v < vectors; ++v)
                    *reinterpret_cast<Stored*>(&sums[(row + i) * core_tile + column + v * lanes]) +=
                        reinterpret_cast<Words>(__builtin_convertvector(products[i][v], Integers));
        }
}

// What fast arithmetic is exact for: exponents in this range, of values, products and sums, or
// zero. Then no result of 4 steps is too small or too large for f32.
constexpr int least_exponent = -100, largest_exponent = 120;
constexpr int zero_exponent = -1000; // of a factor: no product with it counts

INLINE bool are_finite(const uint16_t* bf16, size_t n) {
    uint16_t largest = 0;
    for (size_t i = 0; i < n; ++i)
        largest = std::max<uint16_t>(largest, bf16[i] & 0x7fff);
    return largest < 0x7f80;
}

// Values, and the exponents of their binades.
INLINE void split(const uint16_t* bf16, size_t n, double* values, int16_t* exponents) {
    for (size_t i = 0; i < n; ++i)
        values[i] = std::bit_cast<float>(static_cast<uint32_t>(bf16[i]) << 16);
    for (size_t i = 0; i < n; ++i) {
        const auto magnitude = static_cast<int16_t>(bf16[i] & 0x7fff);
        const auto exponent = static_cast<int16_t>(std::max<int16_t>(magnitude >> 7, 1) - 127);
        exponents[i] = magnitude == 0 ? int16_t{zero_exponent} : exponent;
    }
}

INLINE bool are_ordinary(const uint32_t* f32, size_t n) {
    uint32_t others = 0;
    for (size_t i = 0; i < n; ++i) {
        const uint32_t magnitude = f32[i] & 0x7fffffff;
        constexpr uint32_t least = (127 + least_exponent) << 23;
        constexpr uint32_t range = (largest_exponent - least_exponent + 1) << 23;
        others |= (magnitude != 0) & (magnitude - least >= range);
    }
    return others == 0;
}

constexpr size_t bf16_depth = 32;

// A row of sums by the model itself. False: a sum is infinite and used again.
bool multiply_bf16_row(const uint16_t* a, const uint16_t* b, size_t row, uint32_t* sums) {
    for (size_t column = 0; column < core_tile; ++column)
        for (size_t step = 0; step < bf16_depth; step += micro_k) {
            uint16_t b_values[micro_k];
            for (size_t k = 0; k < micro_k; ++k)
                b_values[k] = b[b_index<bf16_depth, 4>(step + k, column)];
            if ((sums[column] & 0x7f800000) == 0x7f800000)
                return false;
            sums[column] =
                npuenc::bf16_mac(sums[column], a + a_index<bf16_depth>(row, step), b_values);
        }
    return true;
}

// A step adds 8 products to a sum: each of the nine terms is rounded to a grid of 2^-23 of the
// largest exponent among them, where a product's exponent is the sum of its factors'; the terms are
// added without error and the result is rounded to 24 bits.
//
// In double precision a term t becomes t on the grid when M = 1.5 * 2^52 grid steps are added, and
// the integer that the bits of t + M are more than those of M is t in grid steps: so terms are
// added as integers. Products are exact in double, fused with the addition or not. Rounding to 24
// bits is the same, with the result's own exponent.
template <size_t bytes>
INLINE bool multiply_bf16(const uint16_t* a, const uint16_t* b, uint32_t* sums) {
    constexpr size_t depth = bf16_depth, lanes = bytes / sizeof(double), steps = depth / micro_k;
    using Doubles = typename VectorOf<double, bytes>::Type;
    using Bits = typename VectorOf<uint64_t, bytes>::Type;
    using Signed = typename VectorOf<int64_t, bytes>::Type;
    using Exponents = typename VectorOf<int16_t, bytes>::Type;
    using Naturals = typename VectorOf<uint16_t, bytes>::Type;

    // A by rows, B by rows of K.
    constexpr size_t n_values = core_tile * depth;
    alignas(64) uint16_t a_bits[n_values], b_bits[n_values];
    for (size_t row = 0; row < core_tile; ++row)
        for (size_t k = 0; k < depth; k += micro_k)
            std::memcpy(&a_bits[row * depth + k], a + a_index<depth>(row, k), micro_k * 2);
    for (size_t k = 0; k < depth; ++k)
        for (size_t column = 0; column < core_tile; column += 4)
            std::memcpy(&b_bits[k * core_tile + column], b + b_index<depth, 4>(k, column), 4 * 2);
    if (!are_finite(a_bits, n_values) || !are_finite(b_bits, n_values))
        return false;
    alignas(64) double a_values[n_values], b_values[n_values];
    alignas(64) int16_t a_exponents[n_values], b_exponents[n_values];
    split(a_bits, n_values, a_values, a_exponents);
    split(b_bits, n_values, b_values, b_exponents);

    constexpr uint64_t exponent_field = uint64_t{0x7ff} << 52;
    // Exponent e of a double's binade: that of M is more, by so much.
    constexpr int m_above = 52 - 23;
    constexpr uint64_t to_m = (uint64_t{m_above} << 52) + (uint64_t{1} << 51);

    for (size_t row = 0; row < core_tile; ++row) {
        uint32_t* sums_of_row = sums + row * core_tile;
        bool ordinary = are_ordinary(sums_of_row, core_tile);
        alignas(64) double now[core_tile];
        for (size_t column = 0; column < core_tile; ++column)
            now[column] = std::bit_cast<float>(sums_of_row[column]);

        // The largest exponents of products, and their M.
        alignas(64) uint64_t m_of_products[steps][core_tile];
        Exponents highest = {};
        Naturals farthest = {};
        const Exponents least = Exponents{} + least_exponent;
        for (size_t step = 0; step < steps; ++step) {
            const int16_t* of_a = &a_exponents[row * depth + step * micro_k];
            const int16_t* of_b = &b_exponents[step * micro_k * core_tile];
            alignas(64) int16_t upper[core_tile];
            for (size_t column = 0; column < core_tile; column += bytes / sizeof(int16_t)) {
                Exponents found = Exponents{} + 2 * zero_exponent;
                for (size_t k = 0; k < micro_k; ++k) {
                    const Exponents of_product =
                        *reinterpret_cast<const Exponents*>(&of_b[k * core_tile + column]) +
                        of_a[k];
                    found = of_product > found ? of_product : found;
                }
                highest = found > highest ? found : highest;
                const auto above_least = reinterpret_cast<Naturals>(found - least_exponent);
                farthest = above_least > farthest ? above_least : farthest;
                found = found > least ? found : least;
                *reinterpret_cast<Exponents*>(&upper[column]) =
                    (found + (1023 + m_above)) * 2 + 1; // M's bits from 51 on
            }
            for (size_t column = 0; column < core_tile; ++column)
                m_of_products[step][column] = static_cast<uint64_t>(int64_t{upper[column]}) << 51;
        }
        // As a natural number, an exponent below the least is above all others, but for those of
        // products that are zero.
        constexpr auto all_zero =
            static_cast<uint16_t>(zero_exponent + largest_exponent + 8 - least_exponent);
        int16_t highest_of_all = 0;
        uint16_t farthest_of_all = 0;
        for (size_t i = 0; i < bytes / sizeof(int16_t); ++i) {
            highest_of_all = std::max<int16_t>(highest_of_all, highest[i]);
            farthest_of_all = std::max<uint16_t>(farthest_of_all, farthest[i]);
        }
        ordinary = ordinary && highest_of_all <= largest_exponent && farthest_of_all <= all_zero;
        if (!ordinary) {
            if (!multiply_bf16_row(a, b, row, sums_of_row))
                return false;
            continue;
        }

        for (size_t step = 0; step < steps; ++step) {
            const double* of_a = &a_values[row * depth + step * micro_k];
            const double* of_b = &b_values[step * micro_k * core_tile];
            for (size_t column = 0; column < core_tile; column += lanes) {
                auto& sum = *reinterpret_cast<Doubles*>(&now[column]);
                const Bits of_sum = (reinterpret_cast<Bits>(sum) & exponent_field) + to_m;
                const Bits of_products =
                    *reinterpret_cast<const Bits*>(&m_of_products[step][column]);
                const Bits m_bits =
                    reinterpret_cast<Signed>(of_products) > reinterpret_cast<Signed>(of_sum)
                        ? of_products
                        : of_sum;
                const auto m = reinterpret_cast<Doubles>(m_bits);

                Bits total = reinterpret_cast<Bits>(sum + m) - (m_bits << 3);
                for (size_t k = 0; k < micro_k; ++k)
                    total += reinterpret_cast<Bits>(
                        of_a[k] * *reinterpret_cast<const Doubles*>(&of_b[k * core_tile + column]) +
                        m);
                const Doubles exact = reinterpret_cast<Doubles>(total) - m;
                const auto rounding = reinterpret_cast<Doubles>(
                    (reinterpret_cast<Bits>(exact) & exponent_field) + to_m);
                sum = (exact + rounding) - rounding;
            }
        }
        for (size_t column = 0; column < core_tile; ++column)
            sums_of_row[column] = std::bit_cast<uint32_t>(static_cast<float>(now[column]));
    }
    return true;
}

// The operands of GELU that all elements share.
class Operands {
  public:
    explicit Operands(const uint8_t* bytes) : bytes_(bytes) {}

    template <class T>
    T at(size_t offset, size_t lanes) {
        T value, other;
        std::memcpy(&value, bytes_ + offset, sizeof value);
        for (size_t i = 1; i < lanes; ++i) {
            std::memcpy(&other, bytes_ + offset + i * sizeof other, sizeof other);
            are_shared_ = are_shared_ && other == value;
        }
        return value;
    }
    uint16_t lower_half(size_t offset) { return at<uint16_t>(offset, 16); }
    uint16_t upper_half(size_t offset) { return at<uint16_t>(offset + 32, 16); }
    bool are_shared() const { return are_shared_; }

  private:
    const uint8_t* bytes_;
    bool are_shared_ = true;
};

// A finite term of a multiply-accumulate, without error, and the exponent of its binade as the
// hardware takes it.
struct Term {
    double value;
    int exponent;
};
constexpr int no_exponent = -900; // of a zero: below that of all products

INLINE Term term_of(uint32_t f32) {
    const int field = static_cast<int>(f32 >> 23 & 0xff);
    const int if_zero = -static_cast<int>((f32 & 0x7fffffff) == 0) & no_exponent;
    return {std::bit_cast<float>(f32), std::max(field, 1) - 127 + if_zero};
}

INLINE uint32_t f32_of(uint16_t bf16) {
    return static_cast<uint32_t>(bf16) << 16;
}

INLINE Term product_of(uint16_t a, uint16_t b) {
    const Term of_a = term_of(f32_of(a)), of_b = term_of(f32_of(b));
    return {of_a.value * of_b.value, std::max(of_a.exponent + of_b.exponent, no_exponent)};
}

// sum + both products, as multiply_bf16 adds them: M puts a term on the grid, and takes itself off
// again without error. Three terms on it are below 2^27 places, so their sum is exact, and its
// conversion to f32 is the rounding to 24 bits. Below the normal range that has fewer bits, but the
// hardware has zeros there: of all that does not become 2^-126 with 24.
INLINE uint32_t add_two(uint32_t sum, Term a, Term b) {
    const Term of_sum = term_of(sum);
    const int top = std::max(of_sum.exponent, std::max(a.exponent, b.exponent));
    const auto m = std::bit_cast<double>(
        (static_cast<uint64_t>(static_cast<uint32_t>(top + 52 - 23 + 1023)) << 52) +
        (uint64_t{1} << 51));
    const double exact = ((of_sum.value + m) - m) + (((a.value + m) - m) + ((b.value + m) - m));
    constexpr auto least = std::bit_cast<int64_t>(0x1p-126 - 0x1p-151);
    const bool is_zero = (std::bit_cast<int64_t>(exact) & INT64_MAX) < least;
    return std::bit_cast<uint32_t>(static_cast<float>(exact)) & (0x80000000 | (is_zero - 1u));
}

INLINE uint16_t to_bf16(uint32_t f32) { // to nearest even
    return static_cast<uint16_t>((f32 + 0x7fff + (f32 >> 16 & 1)) >> 16);
}

// Numbers are in the order of these integers.
INLINE int16_t order_of(uint16_t bf16) {
    const auto bits = static_cast<int16_t>(bf16);
    return static_cast<int16_t>(bits ^ (bits >> 15 & 0x7fff));
}
INLINE uint16_t smaller(uint16_t a, uint16_t b) {
    return order_of(a) < order_of(b) ? a : b;
}
INLINE uint16_t larger(uint16_t a, uint16_t b) {
    return order_of(a) < order_of(b) ? b : a;
}

// The low 16 bits of value / 2^bits, rounded to nearest even. A carry out of 32 bits is above them.
template <unsigned bits>
INLINE int16_t shifted_low(uint32_t value) {
    constexpr uint32_t below_half = (1u << (bits - 1)) - 1;
    return static_cast<int16_t>((value + below_half + (value >> bits & 1)) >> bits);
}

// a b modulo 2^32.
INLINE uint32_t product_of_integers(int16_t a, int16_t b) {
    return static_cast<uint32_t>(int32_t{a} * b);
}

// 1 or 0.
INLINE uint32_t is_not_finite(uint32_t f32) {
    return (f32 & 0x7f800000) == 0x7f800000;
}

// A row at a time, as loops that the compiler makes vectors of: so nothing in them branches.
INLINE bool gelu(const uint32_t* sums, const uint8_t* operands, uint8_t* result) {
    namespace tile = npuenc::gelu_tile;
    Operands shared(operands);
    const auto magnitude = shared.at<uint16_t>(tile::magnitude, 32);
    const auto largest = shared.at<uint16_t>(tile::largest, 32);
    const uint16_t least = shared.lower_half(tile::least);
    const uint16_t offset = shared.upper_half(tile::least);
    const uint16_t scale = shared.lower_half(tile::scale), none = shared.upper_half(tile::scale);
    const uint16_t plus = shared.lower_half(tile::signs), minus = shared.upper_half(tile::signs);
    const auto c3 = shared.at<int16_t>(tile::c3, 32), units = shared.at<int16_t>(tile::units, 32);
    const auto c2 = shared.at<uint32_t>(tile::c2, 32), c1 = shared.at<uint32_t>(tile::c1, 32);
    const auto c0 = shared.at<uint32_t>(tile::c0, 32);
    const auto integers = shared.at<uint32_t>(tile::integers, 16);
    const auto results = shared.at<uint32_t>(tile::results, 32);
    const uint16_t factors[] = {largest, least, offset, scale, none, plus, minus};
    uint32_t others = is_not_finite(integers);
    for (const uint16_t factor : factors)
        others |= is_not_finite(f32_of(factor));
    // Zeros hide what they multiply.
    if (!shared.are_shared() || (none & 0x7fff) != 0 || others)
        return false;
    const Term zero = product_of(none, none), minus_offset = product_of(offset, minus);

    // Biases, of four rows: all others are like them.
    constexpr size_t rows = 4;
    Term upper[rows][core_tile], lower[rows][core_tile];
    for (size_t row = 0; row < rows; ++row)
        for (size_t column = 0; column < core_tile; ++column) {
            const size_t at = tile::biases + column / tile::columns * 64 +
                              (row * tile::columns + column % tile::columns) * sizeof(uint16_t);
            uint16_t high, minus_low;
            std::memcpy(&high, operands + at, sizeof high);
            std::memcpy(&minus_low, operands + at + 32, sizeof minus_low);
            others |= is_not_finite(f32_of(high)) | is_not_finite(f32_of(minus_low));
            upper[row][column] = product_of(high, plus);
            lower[row][column] = product_of(minus_low, minus);
        }

    for (size_t row = 0; row < core_tile; ++row) {
        const uint32_t* of_row = sums + row * core_tile;
        uint16_t h[core_tile], relu[core_tile];
        int16_t z[core_tile];
        uint32_t less[core_tile];
        for (size_t column = 0; column < core_tile; ++column) {
            others |= is_not_finite(of_row[column]);
            h[column] = to_bf16(
                add_two(of_row[column], upper[row % rows][column], lower[row % rows][column]));
        }
        for (size_t column = 0; column < core_tile; ++column) {
            const uint16_t t = smaller(h[column] & magnitude, largest);
            others |= is_not_finite(f32_of(t));
            z[column] = static_cast<int16_t>(add_two(integers, product_of(t, scale), zero));
        }
        for (size_t column = 0; column < core_tile; ++column) {
            const int16_t of = z[column];
            const int16_t b2 = shifted_low<15>(c2 + product_of_integers(of, c3));
            const int16_t b1 = shifted_low<15>(c1 + product_of_integers(of, b2));
            const int16_t q1 = shifted_low<15>(c0 + product_of_integers(of, b1));
            const int16_t q2 = shifted_low<15>(product_of_integers(q1, q1));
            const int16_t q4 = shifted_low<15>(product_of_integers(q2, q2));
            const int16_t q8 = shifted_low<15>(product_of_integers(q4, q4));
            const int16_t v = shifted_low<12>(product_of_integers(of, q8));
            less[column] = results - product_of_integers(v, units);
            relu[column] = larger(h[column], least);
            others |= is_not_finite(less[column]) | is_not_finite(f32_of(relu[column]));
        }
        uint16_t y[core_tile];
        for (size_t column = 0; column < core_tile; ++column)
            y[column] =
                to_bf16(add_two(less[column], product_of(relu[column], plus), minus_offset));
        for (size_t column = 0; column < core_tile; column += micro_k) {
            constexpr size_t depth = bf16_depth;
            const size_t at =
                column / depth * (core_tile * depth) + a_index<depth>(row, column % depth);
            std::memcpy(result + at * sizeof *y, &y[column], micro_k * sizeof *y);
        }
    }
    return others == 0;
}

void s8_baseline(const int8_t* a, const int8_t* b, uint32_t* sums) {
    multiply_s8<16, 4>(a, b, sums);
}
bool bf16_baseline(const uint16_t* a, const uint16_t* b, uint32_t* sums) {
    return multiply_bf16<16>(a, b, sums);
}
bool gelu_baseline(const uint32_t* sums, const uint8_t* operands, uint8_t* result) {
    return gelu(sums, operands, result);
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")))

AVX2 void s8_avx2(const int8_t* a, const int8_t* b, uint32_t* sums) {
    multiply_s8<32, 4>(a, b, sums);
}
AVX2 bool bf16_avx2(const uint16_t* a, const uint16_t* b, uint32_t* sums) {
    return multiply_bf16<32>(a, b, sums);
}
AVX2 bool gelu_avx2(const uint32_t* sums, const uint8_t* operands, uint8_t* result) {
    return gelu(sums, operands, result);
}
AVX512 void s8_avx512(const int8_t* a, const int8_t* b, uint32_t* sums) {
    multiply_s8<64, 8>(a, b, sums);
}
AVX512 bool bf16_avx512(const uint16_t* a, const uint16_t* b, uint32_t* sums) {
    return multiply_bf16<64>(a, b, sums);
}
AVX512 bool gelu_avx512(const uint32_t* sums, const uint8_t* operands, uint8_t* result) {
    return gelu(sums, operands, result);
}

bool has_avx2() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

// All of a tile in the order of the result, `width` columns to a micro-tile.
template <size_t width, class Convert>
void write(const uint32_t* sums, uint8_t* result, const Convert& convert) {
    for (size_t rows = 0; rows < core_tile; rows += micro_rows)
        for (size_t columns = 0; columns < core_tile; columns += width)
            for (size_t row = rows; row < rows + micro_rows; ++row)
                for (size_t column = columns; column < columns + width; ++column) {
                    const auto value = convert(sums[row * core_tile + column]);
                    std::memcpy(result, &value, sizeof value);
                    result += sizeof value;
                }
}

template <class Integer>
Integer shifted(uint32_t bits, unsigned shift) {
    const int64_t sum = static_cast<int32_t>(bits);
    // A tie goes up from an odd number only.
    const int64_t rounded =
        shift == 0 ? sum : (sum + (int64_t{1} << (shift - 1)) - 1 + (sum >> shift & 1)) >> shift;
    using Limits = std::numeric_limits<Integer>;
    return static_cast<Integer>(std::clamp<int64_t>(rounded, Limits::min(), Limits::max()));
}

} // namespace

std::span<const GemmArithmetic> gemm_arithmetic() {
    static constexpr GemmArithmetic all[] = {
        {"baseline", s8_baseline, bf16_baseline, gelu_baseline},
#if defined(__x86_64__)
        {"avx2", s8_avx2, bf16_avx2, gelu_avx2},
        {"avx512", s8_avx512, bf16_avx512, gelu_avx512},
#endif
    };
    size_t n = 1;
#if defined(__x86_64__)
    n += has_avx512() ? 2 : has_avx2();
#endif
    return std::span(all).first(n);
}

void write_s32(const uint32_t* sums, uint8_t* result) {
    write<8>(sums, result, [](uint32_t sum) { return sum; });
}

void write_f32(const uint32_t* sums, uint8_t* result) {
    write<4>(sums, result, [](uint32_t sum) { return sum; });
}

void write_low_bits_of_f32(const uint32_t* sums, uint8_t* result) {
    write<4>(sums, result, [](uint32_t sum) { return static_cast<uint16_t>(sum); });
}

void write_s8(const uint32_t* sums, unsigned shift, uint8_t* result) {
    write<8>(sums, result, [shift](uint32_t sum) { return shifted<int8_t>(sum, shift); });
}

void write_s16(const uint32_t* sums, unsigned shift, uint8_t* result) {
    write<8>(sums, result, [shift](uint32_t sum) { return shifted<int16_t>(sum, shift); });
}

} // namespace virtual_npu
