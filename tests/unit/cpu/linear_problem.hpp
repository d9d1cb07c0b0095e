// SPDX-License-Identifier: MIT
// Linear layers by their definition, in float64, and how far a device may be from it.
#pragma once

#include "device/split_row.hpp"
#include "tests/unit/cpu/definitions.hpp"
#include "tests/unit/cpu/support.hpp"

namespace npuenc {

struct LinearCase {
    size_t rows, n_in, n_out;
    bool bias, gelu, addend;
    ptrdiff_t ldx_gap = 0; // negative: rows overlap
    size_t ldy_gap = 0, ld_addend_gap = 0;
    bool norm = false;
};

inline double exact_gelu(double y) {
    return y / 2 * (1 + std::erf(y / std::sqrt(2.0)));
}

// Rows as the kernels quantise them: each symmetrically, by its greatest magnitude.
struct Quantised {
    std::vector<int8_t> values;
    std::vector<float> scales;

    Quantised(const std::vector<float>& rows, size_t n_rows, size_t n, size_t ld)
        : values(n_rows * n), scales(n_rows) {
        for (size_t row = 0; row < n_rows; ++row) {
            float absmax = 0;
            for (size_t i = 0; i < n; ++i)
                absmax = std::fmax(absmax, std::fabs(rows[row * ld + i]));
            scales[row] = absmax / 127.0f;
            const float multiplier = absmax > 0 ? 127.0f / absmax : 0;
            for (size_t i = 0; i < n; ++i)
                values[row * n + i] =
                    static_cast<int8_t>(std::nearbyint(rows[row * ld + i] * multiplier));
        }
    }
};

// What results should be, [row][column], and how far from that they may be.
struct LinearResults {
    size_t n_out;
    std::vector<double> values, bounds;

    void check(const std::vector<float>& y, size_t ldy, const char* what) const {
        for (size_t i = 0; i < values.size(); ++i) {
            const size_t row = i / n_out, col = i % n_out;
            assert_near(values[i], static_cast<double>(y[row * ldy + col]), bounds[i], what, row,
                        col);
        }
    }
};

struct LinearProblem {
    LinearCase shape;
    size_t ldx, ldy, ld_addend;
    std::vector<float> x, w, bias, addend, norm_weight, norm_bias;

    explicit LinearProblem(const LinearCase& c)
        : shape(c), ldx(static_cast<size_t>(static_cast<ptrdiff_t>(c.n_in) + c.ldx_gap)),
          ldy(c.n_out + c.ldy_gap), ld_addend(c.n_out + c.ld_addend_gap) {
        Random random(static_cast<uint32_t>(c.rows * 31 + c.n_in * 7 + c.n_out));
        x = random.reals((c.rows - 1) * ldx + c.n_in);
        w = random.reals(c.n_out * c.n_in);
        bias = random.reals(c.n_out);
        addend = random.reals(c.rows * ld_addend);
        norm_weight = random.reals(c.n_in);
        norm_bias = random.reals(c.n_in);
    }

    Linear linear(npuenc_dtype x_type = NPUENC_F32, npuenc_dtype y_type = NPUENC_F32) const {
        Linear linear{};
        linear.x_type = x_type;
        linear.y_type = y_type;
        linear.rows = shape.rows;
        linear.ldx = ldx;
        linear.ldy = ldy;
        if (shape.norm)
            linear.norm = {norm_weight.data(), norm_bias.data()};
        linear.gelu = shape.gelu;
        linear.addend = shape.addend ? addend.data() : nullptr;
        linear.ld_addend = ld_addend;
        return linear;
    }

    std::unique_ptr<Weight> pack(Device& device, npuenc_precision precision,
                                 Sums sums = Sums::in_32_bits) const {
        return device.pack(shape.n_out, shape.n_in, precision, reader_of(w, shape.n_in),
                           shape.bias ? bias.data() : nullptr, sums);
    }

    // The results without a norm. f32 arithmetic may be as far from them as n_in products and sums
    // and the bias, each rounded (Higham's gamma), and what finish() says.
    LinearResults expected(const std::vector<float>& x_values,
                           const std::vector<float>& w_values) const {
        return expected(x_values, w_values, gamma_f32(shape.n_in + 1));
    }

    // In bf16x2 these are three times as many products, each of whose factors is within 2^-16 of
    // itself, and the product of the low parts, as much again, is left out.
    LinearResults expected_of_bf16x2() const {
        return expected(x, w, 1.01 * gamma_f32(split_parts * shape.n_in + 1) + 3.01 * 0x1p-16);
    }

    // relative: to the sum of the magnitudes of what is added.
    LinearResults expected(const std::vector<float>& x_values, const std::vector<float>& w_values,
                           double relative) const {
        return results([&](size_t row, size_t col, double& bound) {
            Sum sum = sum_of_products(x_values.data() + row * ldx,
                                      w_values.data() + col * shape.n_in, shape.n_in);
            if (shape.bias) {
                sum.value += static_cast<double>(bias[col]);
                sum.magnitude += std::fabs(static_cast<double>(bias[col]));
            }
            bound = relative * sum.magnitude;
            return sum.value;
        });
    }

    // The integers are exact; three roundings make a real of a sum, a fourth adds the bias.
    LinearResults expected(const Quantised& x_values, const Quantised& w_values) const {
        return results([&](size_t row, size_t col, double& bound) {
            int64_t sum = 0;
            for (size_t k = 0; k < shape.n_in; ++k)
                sum +=
                    x_values.values[row * shape.n_in + k] * w_values.values[col * shape.n_in + k];
            double value = static_cast<double>(sum) * static_cast<double>(x_values.scales[row]) *
                           static_cast<double>(w_values.scales[col]);
            bound = gamma_f32(4) * std::fabs(value);
            if (shape.bias) {
                value += static_cast<double>(bias[col]);
                bound += gamma_f32(1) * std::fabs(static_cast<double>(bias[col]));
            }
            return value;
        });
    }

    // What follows the bias: GELU, whose slope is below 1.13, within 1e-6 max(1, |y|); the addend,
    // rounded.
    double finish(double y, size_t row, size_t col, double& bound) const {
        if (shape.gelu) {
            y = exact_gelu(y);
            bound = 1.13 * bound + 1e-6 * std::fmax(1, std::fabs(y));
        }
        if (shape.addend) {
            y += static_cast<double>(addend[row * ld_addend + col]);
            bound += unit_f32 * (std::fabs(y) + bound);
        }
        return y;
    }

  private:
    // Of what is there with the bias: before_finish(row, col, bound).
    template <class BeforeFinish>
    LinearResults results(const BeforeFinish& before_finish) const {
        LinearResults all{shape.n_out, {}, {}};
        for (size_t row = 0; row < shape.rows; ++row)
            for (size_t col = 0; col < shape.n_out; ++col) {
                double bound;
                const double value = before_finish(row, col, bound);
                all.values.push_back(finish(value, row, col, bound));
                all.bounds.push_back(bound);
            }
        return all;
    }
};

} // namespace npuenc
