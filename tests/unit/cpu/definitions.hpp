// SPDX-License-Identifier: MIT
// Sums of products by their definition, in float64: the inner loops of what tests expect.
#pragma once

#include <cstddef>

namespace npuenc {

// And the sum of the products' magnitudes.
struct Sum {
    double value, magnitude;
};

template <class T>
Sum sum_of_products(const T* a, const T* b, size_t n);

// Adds factor * row[i * step] to sums[i], its magnitude to magnitudes[i].
template <class T>
void add_products(double factor, const T* row, size_t step, size_t n, double* sums,
                  double* magnitudes);

} // namespace npuenc
