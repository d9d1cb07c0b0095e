// SPDX-License-Identifier: MIT
// Power spectra of Hann-windowed frames of 400 real samples, eight frames side by side.
#include "audio/power_spectrum.hpp"

#include <cmath>
#include <cstring>
#include <numbers>

namespace npuenc {

namespace {

// Frames lie side by side in the lanes of a vector: 16 bytes, which every baseline has.
typedef double Lanes __attribute__((vector_size(16)));
constexpr size_t n_lanes = sizeof(Lanes) / sizeof(double);

struct Pair {
    Lanes re, im;
};

// k1 of each row; of 3 and 7 the conjugates, 13 and 9, are what comes out.
constexpr size_t row_k1[] = {0, 1, 2, 4, 5, 6, 9, 13};

// The transform of 16 real values, as 4 x 4, to one column of the rows above.
inline void transform_16(const Lanes (&x)[16], Pair* out, size_t stride) {
    constexpr double cos_1 = 0.92387953251128675613; // cos(pi / 8)
    constexpr double sin_1 = 0.38268343236508977173; // sin(pi / 8)
    constexpr double half = std::numbers::sqrt2 / 2;

    Lanes even[4], middle[4];
    Pair odd[4]; // odd[b] of harmonic 1
    for (size_t b = 0; b < 4; ++b) {
        const Lanes sum = x[b] + x[b + 8], other = x[b + 4] + x[b + 12];
        even[b] = sum + other;
        middle[b] = sum - other;
        odd[b] = {x[b] - x[b + 8], x[b + 12] - x[b + 4]};
    }

    // k1 = 0, 4, 8
    const Lanes even_02 = even[0] + even[2], even_13 = even[1] + even[3];
    out[0 * stride] = {even_02 + even_13, even_02 - even_13};
    out[3 * stride] = {even[0] - even[2], even[3] - even[1]};

    // k1 = 2, 6
    const Lanes difference = half * (middle[1] - middle[3]), sum = half * (middle[1] + middle[3]);
    out[2 * stride] = {middle[0] + difference, -middle[2] - sum};
    out[5 * stride] = {middle[0] - difference, middle[2] - sum};

    // k1 = 1, 5, 9, 13: turned by exp(-2 pi i b / 16), then a transform of four
    const Pair t1 = {cos_1 * odd[1].re + sin_1 * odd[1].im, cos_1 * odd[1].im - sin_1 * odd[1].re};
    const Pair t2 = {half * (odd[2].re + odd[2].im), half * (odd[2].im - odd[2].re)};
    const Pair t3 = {sin_1 * odd[3].re + cos_1 * odd[3].im, sin_1 * odd[3].im - cos_1 * odd[3].re};
    const Pair a = {odd[0].re + t2.re, odd[0].im + t2.im};
    const Pair b = {odd[0].re - t2.re, odd[0].im - t2.im};
    const Pair c = {t1.re + t3.re, t1.im + t3.im};
    const Pair d = {t1.re - t3.re, t1.im - t3.im};
    out[1 * stride] = {a.re + c.re, a.im + c.im};
    out[4 * stride] = {b.re + d.im, b.im - d.re};
    out[6 * stride] = {a.re - c.re, a.im - c.im};
    out[7 * stride] = {b.re - d.im, b.im + d.re};
}

inline void transform_5(const Pair (&x)[5], Pair (&y)[5]) {
    constexpr double root = 0.55901699437494742410;  // sqrt(5) / 4
    constexpr double sin_1 = 0.95105651629515357212; // sin(2 pi / 5)
    constexpr double sin_2 = 0.58778525229247312917; // sin(4 pi / 5)

    const Pair sum_1 = {x[1].re + x[4].re, x[1].im + x[4].im};
    const Pair sum_2 = {x[2].re + x[3].re, x[2].im + x[3].im};
    const Pair difference_1 = {x[1].re - x[4].re, x[1].im - x[4].im};
    const Pair difference_2 = {x[2].re - x[3].re, x[2].im - x[3].im};
    const Pair sum = {sum_1.re + sum_2.re, sum_1.im + sum_2.im};
    const Pair mean = {x[0].re - 0.25 * sum.re, x[0].im - 0.25 * sum.im};
    const Pair spread = {root * (sum_1.re - sum_2.re), root * (sum_1.im - sum_2.im)};
    const Pair a = {mean.re + spread.re, mean.im + spread.im};
    const Pair b = {mean.re - spread.re, mean.im - spread.im};
    const Pair c = {sin_1 * difference_1.re + sin_2 * difference_2.re,
                    sin_1 * difference_1.im + sin_2 * difference_2.im};
    const Pair d = {sin_2 * difference_1.re - sin_1 * difference_2.re,
                    sin_2 * difference_1.im - sin_1 * difference_2.im};
    y[0] = {x[0].re + sum.re, x[0].im + sum.im};
    y[1] = {a.re + c.im, a.im - c.re};
    y[2] = {b.re + d.im, b.im - d.re};
    y[3] = {b.re - d.im, b.im + d.re};
    y[4] = {a.re - c.im, a.im + c.re};
}

// The transform of 25 complex values, as 5 x 5. Calls out(k, y) for every result y[k].
template <typename Complex, typename Out>
inline void transform_25(const Pair* x, const Complex* turn, Out&& out) {
    Pair column[5][5]; // [k mod 5][n mod 5]
    for (size_t b = 0; b < 5; ++b) {
        const Pair in[5] = {x[b], x[b + 5], x[b + 10], x[b + 15], x[b + 20]};
        Pair y[5];
        transform_5(in, y);
        column[0][b] = y[0];
        for (size_t c = 1; c < 5; ++c) {
            const Complex& w = turn[5 * b + c];
            column[c][b] = {w.re * y[c].re - w.im * y[c].im, w.re * y[c].im + w.im * y[c].re};
        }
    }
    for (size_t c = 0; c < 5; ++c) {
        Pair y[5];
        transform_5(column[c], y);
        for (size_t d = 0; d < 5; ++d)
            out(c + 5 * d, y[d]);
    }
}

} // namespace

PowerSpectrum::PowerSpectrum() {
    constexpr double turn = 2 * std::numbers::pi;

    for (size_t b = 0; b < n2; ++b) {
        for (size_t a = 0; a < n1; ++a) {
            const size_t n = (n2 * a + n1 * b) % n_fft;
            sample_[b * n1 + a] = static_cast<uint16_t>(n);
            window_[b * n1 + a] = 0.5 - 0.5 * std::cos(turn * static_cast<double>(n) / n_fft);
        }
    }
    for (size_t a = 0; a < 5; ++a) {
        for (size_t b = 0; b < 5; ++b) {
            const double angle = turn * static_cast<double>(a * b) / n2;
            turn_[5 * a + b] = {std::cos(angle), -std::sin(angle)};
        }
    }
    for (size_t k = 0; k < n_fft; ++k) {
        const auto bin = static_cast<uint8_t>(k < n_bins ? k : n_fft - k);
        for (size_t row = 0; row < n_rows; ++row) {
            if (k % n1 == row_k1[row])
                bin_[row * n2 + k % n2] = bin;
        }
        if (k % n1 == 8)
            bin8_[k % n2] = bin;
    }
}

void PowerSpectrum::compute(const float* samples, double* power) const {
    static_assert(n_lanes == 2 && n_frames % n_lanes == 0);
    Pair rows[n_rows][n2];

    for (size_t frame = 0; frame < n_frames; frame += n_lanes) {
        const float* first = samples + frame * hop_length;
        const float* second = first + hop_length;
        for (size_t b = 0; b < n2; ++b) {
            Lanes x[n1];
            for (size_t a = 0; a < n1; ++a) {
                const size_t n = sample_[b * n1 + a];
                x[a] = Lanes{first[n], second[n]} * window_[b * n1 + a];
            }
            transform_16(x, &rows[0][b], n2);
        }

        const auto put = [&](size_t bin, Lanes value) {
            std::memcpy(power + bin * n_frames + frame, &value, sizeof value);
        };
        for (size_t row = 1; row < n_rows; ++row) {
            const uint8_t* bin = &bin_[row * n2];
            transform_25(rows[row], turn_.data(),
                         [&](size_t k, const Pair& y) { put(bin[k], y.re * y.re + y.im * y.im); });
        }

        // Row 0 is u + i v with u and v real: their transforms are the conjugate symmetric and the
        // antisymmetric part of its own.
        Pair z[n2 + 1];
        transform_25(rows[0], turn_.data(), [&](size_t k, const Pair& y) { z[k] = y; });
        z[n2] = z[0];
        for (size_t k = 0; k <= n2 / 2; ++k) {
            const Pair &p = z[k], &q = z[n2 - k];
            const Pair u = {p.re + q.re, p.im - q.im};
            const Pair v = {p.im + q.im, q.re - p.re};
            put(bin_[k], 0.25 * (u.re * u.re + u.im * u.im));
            put(bin8_[k], 0.25 * (v.re * v.re + v.im * v.im));
        }
    }
}

} // namespace npuenc
