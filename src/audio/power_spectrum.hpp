// SPDX-License-Identifier: MIT
// Power spectra of Hann-windowed frames of 400 real samples, eight frames side by side.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace npuenc {

constexpr uint32_t n_fft = 400;
constexpr uint32_t hop_length = 160;
constexpr uint32_t n_bins = n_fft / 2 + 1;

// The constants of the transform. Immutable after construction.
//
// All arithmetic is in double, because float is not enough. Whisper keeps 80 dB below the loudest
// band of the window, and bands weigh differently: of a tone of amplitude A at the Nyquist
// frequency the bands see 4.5 A^2, through the last bin of the topmost filter, so the floor is
// 4.5e-8 A^2; and in the lowest band, whose only bin weighs 0.025, a component of 1.3e-3 A still
// reaches it. A float transform errs by about 2^-24 log2(400) / 2 times the norm of the windowed
// frame, which is 12 A: by 3e-6 A, which is 0.5 % of that component's power, and 5e-4 after log10
// and (x + 4) / 4. In double the same is 1e-12.
class PowerSpectrum {
  public:
    static constexpr size_t n_frames = 8;

    PowerSpectrum();

    // Frame i is samples[i * hop_length, i * hop_length + n_fft). power is [n_bins][n_frames].
    // A frame's result does not depend on its neighbours.
    void compute(const float* samples, double* power) const;

  private:
    struct Complex {
        double re, im;
    };

    // 400 = 16 * 25 has coprime factors: with n = 25 n1 + 16 n2 (mod 400), k1 = k mod 16 and
    // k2 = k mod 25, exp(-2 pi i n k / 400) is exp(-2 pi i n1 k1 / 16) exp(-2 pi i n2 k2 / 25), and
    // no factors stand between the two passes (Good 1958, Thomas 1963).
    static constexpr size_t n1 = 16, n2 = 25;
    // The sixteen-point transforms of real samples are conjugate symmetric: seven complex results,
    // one k1 of each pair, tell all but the two real ones, k1 = 0 and 8, which pass as one complex
    // number.
    static constexpr size_t n_rows = n1 / 2;

    std::array<uint16_t, n_fft> sample_;   // [n2][n1]: which sample of the frame
    std::array<double, n_fft> window_;     // [n2][n1]: the window at that sample
    std::array<Complex, n2> turn_;         // [5][5]: exp(-2 pi i a b / 25)
    std::array<uint8_t, n_rows * n2> bin_; // [row][k2]: where the power goes; row 0 that of k1 = 0
    std::array<uint8_t, n2> bin8_;         // [k2]: the same for k1 = 8
};

} // namespace npuenc
