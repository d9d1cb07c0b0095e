// SPDX-License-Identifier: MIT
// Products of matrices by their definition, in float64.
#pragma once

#include "tests/unit/cpu/definitions.hpp"
#include "tests/unit/cpu/support.hpp"

namespace npuenc {

struct MatmulCase {
    size_t batch, m, n, k;
    bool b_transposed = false, b_shared = false;
    size_t gap = 0; // behind rows and behind items of every operand
};

inline Matmul shape_of(const MatmulCase& c, npuenc_dtype operands, npuenc_dtype results) {
    Matmul shape{};
    shape.a_type = shape.b_type = operands;
    shape.c_type = results;
    shape.batch = c.batch;
    shape.m = c.m;
    shape.n = c.n;
    shape.k = c.k;
    shape.b_transposed = c.b_transposed;
    shape.lda = c.k + c.gap;
    shape.ldb = (c.b_transposed ? c.k : c.n) + c.gap;
    shape.ldc = c.n + c.gap;
    shape.stride_a = c.m * shape.lda + c.gap;
    shape.stride_b = c.b_shared ? 0 : (c.b_transposed ? c.n : c.k) * shape.ldb + c.gap;
    shape.stride_c = c.m * shape.ldc + c.gap;
    shape.scale = 1;
    return shape;
}

inline size_t size_a(const Matmul& s) {
    return s.batch * s.stride_a;
}
inline size_t size_b(const Matmul& s) {
    return s.stride_b ? s.batch * s.stride_b : (s.b_transposed ? s.n : s.k) * s.ldb;
}
inline size_t size_c(const Matmul& s) {
    return s.batch * s.stride_c;
}

// Puts `value` wherever a row of `a` has ended: no product may take it.
template <class T>
void fill_gaps_of_a(const Matmul& s, std::vector<T>& a, T value) {
    for (size_t i = 0; i < a.size(); ++i) {
        const size_t in_item = i % s.stride_a;
        if (in_item >= s.m * s.lda || in_item % s.lda >= s.k)
            a[i] = value;
    }
}

inline size_t place_in_b(const Matmul& s, size_t item, size_t k, size_t col) {
    return item * s.stride_b + (s.b_transposed ? col * s.ldb + k : k * s.ldb + col);
}

// The sum of products for each element, in float64, and the sum of their magnitudes.
struct Products {
    std::vector<double> sums, magnitudes; // as c lies in memory

    template <class T>
    Products(const Matmul& s, const std::vector<T>& a, const std::vector<T>& b)
        : sums(size_c(s)), magnitudes(size_c(s)) {
        for (size_t item = 0; item < s.batch; ++item)
            for (size_t row = 0; row < s.m; ++row)
                for (size_t k = 0; k < s.k; ++k) {
                    const size_t in_c = item * s.stride_c + row * s.ldc;
                    add_products(static_cast<double>(a[item * s.stride_a + row * s.lda + k]),
                                 b.data() + place_in_b(s, item, k, 0), s.b_transposed ? s.ldb : 1,
                                 s.n, sums.data() + in_c, magnitudes.data() + in_c);
                }
    }
};

// Calls check(row, col, index) for each element of c, and sees that nothing else changed.
template <class T, class Check>
void for_each_element(const Matmul& s, const std::vector<T>& c, T untouched, Check&& check) {
    for (size_t item = 0; item < s.batch; ++item)
        for (size_t i = 0; i < s.stride_c; ++i) {
            const size_t row = i / s.ldc, col = i % s.ldc, index = item * s.stride_c + i;
            if (row < s.m && col < s.n)
                check(row, col, index);
            else
                assert_true(c[index] == untouched);
        }
}

} // namespace npuenc
