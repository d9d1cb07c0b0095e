// SPDX-License-Identifier: MIT
#include "tests/unit/cpu/definitions.hpp"

#include <cmath>
#include <cstdint>

namespace npuenc {

template <class T>
Sum sum_of_products(const T* a, const T* b, size_t n) {
    Sum sum{0, 0};
    for (size_t i = 0; i < n; ++i) {
        const double product = static_cast<double>(a[i]) * static_cast<double>(b[i]);
        sum.value += product;
        sum.magnitude += std::fabs(product);
    }
    return sum;
}

template <class T>
void add_products(double factor, const T* row, size_t step, size_t n, double* sums,
                  double* magnitudes) {
    for (size_t i = 0; i < n; ++i) {
        const double product = factor * static_cast<double>(row[i * step]);
        sums[i] += product;
        magnitudes[i] += std::fabs(product);
    }
}

template Sum sum_of_products(const double*, const double*, size_t);
template Sum sum_of_products(const float*, const float*, size_t);
template void add_products(double, const double*, size_t, size_t, double*, double*);
template void add_products(double, const float*, size_t, size_t, double*, double*);
template void add_products(double, const int8_t*, size_t, size_t, double*, double*);

} // namespace npuenc
