// SPDX-License-Identifier: MIT
// A product from host matrices to host matrices through an overlay's own bytes on the simulated
// array, and what it must be.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "npu/gemm_tiling.hpp"
#include "tools/npusim/array.hpp"

namespace npuenc {

std::vector<uint8_t> read_file(const std::string& path);

// The overlay of this name in the directory NPUENC_OVERLAYS.
npusim::Overlay read_overlay(const std::string& name);

// Its name, and which of its forms of results where it has two.
std::string title_of(const GemmOverlay& overlay);

struct Operands {
    size_t m, n, k;
    std::vector<uint8_t> a, b; // A [m][k], B [k][n]; int8 or bf16
};

enum class Values {
    any,     // every bit pattern of int8; bf16 of about normal distribution
    largest, // -128 and 127, or the same large value
};
Operands make_operands(const GemmOverlay& overlay, size_t m, size_t n, size_t k, Values values,
                       uint32_t seed);

// C as bytes, [m][n]. The array has the overlay loaded.
std::vector<uint8_t> run_product(npusim::Array& array, const GemmOverlay& overlay,
                                 const Operands& operands, unsigned shift,
                                 npusim::RunReport* report = nullptr);

// The same, from the definition: exact for int8; for bf16 by the model of the core's arithmetic,
// eight products a step, and int16 the low bits of its f32. Results of int16 as int32, as they are
// unpacked.
std::vector<uint8_t> plain_product(const GemmOverlay& overlay, const Operands& operands,
                                   unsigned shift);

// Of a bf16 product: how far C may be from exact arithmetic, for row i and column j. In each of
// K / 8 steps nine terms are put on a grid of 2^-23 of the largest one's binade, of at most twice
// its magnitude (half a place each), and the sum is rounded to 24 bits; no term is larger than
// sum |a| |b|, so a step adds at most (9 * 0.5 * 2 + 1) * 2^-23 of that.
struct Exact {
    double value, bound;
};
Exact exact_element(const Operands& bf16_operands, size_t i, size_t j);

// A product of gemm_bf16_gelu, and a bias for each column of C.
struct GeluOperands {
    Operands product;
    std::vector<float> bias;
};
// Sums and biases of about normal distribution.
GeluOperands make_gelu_operands(size_t m, size_t n, size_t k, uint32_t seed);

// A and B as the array takes them.
struct Packed {
    std::vector<uint8_t> a, b;
};
Packed packed(const GemmTiling& tiling, const GeluOperands& operands);

// C with all of its padding, from where the array leaves it: bf16 [m][n], whole groups of both.
std::vector<uint16_t> unpacked_gelu(const GemmTiling& tiling, const std::vector<uint8_t>& c);

// The array's, as plain_gelu has it from the models of the core's arithmetic, to the bit.
std::vector<uint16_t> run_gelu(npusim::Array& array, const GeluOperands& operands,
                               npusim::RunReport* report = nullptr);
std::vector<uint16_t> plain_gelu(const GeluOperands& operands);

double exact_gelu(double x);

// exact_gelu of the exact sum and the bias, and how far a result may be from it:
//   - the sum, as exact_element says;
//   - the bias as two values of bf16: each is off by 2^-8 of what it stands for, so both by 2^-16;
//   - adding them: three terms, each no larger than |sum| + |bias|, are put on a grid and what
//     comes out is rounded, (3 * 0.5 * 2 + 1) * 2^-23 of that;
//   - that h is rounded to bf16: 2^-8 of it. GELU has a slope of at most 1.13, so all these count
//     so often;
//   - GELU as gelu_tile.hpp computes it, 2.2e-4, and adding relu (h) and minus 0.75 to 0.75 less
//     t Phi(-t) as the biases were added: of |h| + 1.5;
//   - the result is rounded to bf16: 2^-8 of it.
Exact exact_gelu_element(const GeluOperands& operands, size_t i, size_t j);

} // namespace npuenc
