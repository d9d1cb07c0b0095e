// SPDX-License-Identifier: MIT
#include "plain_operators.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace npuenc::plain {

std::vector<Sum> matmul(const std::vector<double>& a, const std::vector<double>& b, size_t m,
                        size_t n, size_t k, bool b_transposed) {
    std::vector<Sum> c(m * n);
    for (size_t i = 0; i < m; ++i)
        for (size_t l = 0; l < k; ++l)
            for (size_t j = 0; j < n; ++j) {
                const double product = a[i * k + l] * b[b_transposed ? j * k + l : l * n + j];
                c[i * n + j].value += product;
                c[i * n + j].magnitude += std::abs(product);
            }
    return c;
}

std::vector<AttentionSum> attention(const AttentionShape& shape, const std::vector<double>& q,
                                    const std::vector<double>& k, const std::vector<double>& v) {
    std::vector<AttentionSum> out(q.size());
    std::vector<double> scores(shape.kv_len);
    for (size_t head = 0; head < shape.n_head; ++head)
        for (size_t i = 0; i < shape.q_len; ++i) {
            const auto index = [&](size_t position, size_t d) {
                return (position * shape.n_head + head) * shape.head_dim + d;
            };
            const size_t n_keys = shape.causal ? i + shape.kv_len - shape.q_len + 1 : shape.kv_len;
            double largest = -std::numeric_limits<double>::infinity(), score_magnitude = 0;
            for (size_t j = 0; j < n_keys; ++j) {
                Sum score;
                for (size_t d = 0; d < shape.head_dim; ++d) {
                    const double product = q[index(i, d)] * k[index(j, d)] * shape.scale;
                    score.value += product;
                    score.magnitude += std::abs(product);
                }
                scores[j] = score.value;
                largest = std::max(largest, score.value);
                score_magnitude = std::max(score_magnitude, score.magnitude);
            }
            double total = 0;
            for (size_t j = 0; j < n_keys; ++j)
                total += scores[j] = std::exp(scores[j] - largest);
            for (size_t d = 0; d < shape.head_dim; ++d) {
                AttentionSum& sum = out[index(i, d)];
                sum.score_magnitude = score_magnitude;
                for (size_t j = 0; j < n_keys; ++j) {
                    const double term = scores[j] / total * v[index(j, d)];
                    sum.value += term;
                    sum.magnitude += std::abs(term);
                }
            }
        }
    return out;
}

namespace {

constexpr size_t n_fft = 400, hop = 160, n_bins = n_fft / 2 + 1;

// Slaney's scale (librosa.mel_to_hz): linear to 1 kHz, then 27 steps for each factor of 6.4.
double mel_to_hz(double mel) {
    constexpr double linear_step = 200.0 / 3, first_log_mel = 15;
    return mel < first_log_mel ? linear_step * mel
                               : 1000 * std::pow(6.4, (mel - first_log_mel) / 27);
}

double hz_to_mel_above_1000(double hz) {
    return 15 + 27 * std::log(hz / 1000) / std::log(6.4);
}

// [n_mels][n_bins]: triangles of equal area between points that are even on the scale.
std::vector<double> mel_filters(size_t n_mels) {
    const double step = hz_to_mel_above_1000(8000) / static_cast<double>(n_mels + 1);
    std::vector<double> filters(n_mels * n_bins);
    for (size_t band = 0; band < n_mels; ++band) {
        const double low = mel_to_hz(step * static_cast<double>(band));
        const double peak = mel_to_hz(step * static_cast<double>(band + 1));
        const double high = mel_to_hz(step * static_cast<double>(band + 2));
        for (size_t bin = 0; bin < n_bins; ++bin) {
            const double hz = 40.0 * static_cast<double>(bin);
            const double height = std::min((hz - low) / (peak - low), (high - hz) / (high - peak));
            filters[band * n_bins + bin] = std::max(0.0, height) * 2 / (high - low);
        }
    }
    return filters;
}

// [n_frames][n_bins]: the power of Hann-windowed frames around each hop.
std::vector<double> spectrogram(const std::vector<float>& pcm, size_t n_frames) {
    std::vector<double> cosines(n_fft), frame(n_fft), power(n_frames * n_bins);
    for (size_t i = 0; i < n_fft; ++i)
        cosines[i] = std::cos(2 * std::numbers::pi * static_cast<double>(i) / n_fft);
    for (size_t t = 0; t < n_frames; ++t) {
        for (size_t i = 0; i < n_fft; ++i) {
            // Reflected about the first and the last sample.
            const auto last = static_cast<std::ptrdiff_t>(pcm.size()) - 1;
            std::ptrdiff_t at =
                static_cast<std::ptrdiff_t>(t * hop + i) - std::ptrdiff_t{n_fft / 2};
            at = last - std::abs(last - std::abs(at));
            frame[i] = double{pcm[static_cast<size_t>(at)]} * (0.5 - 0.5 * cosines[i]);
        }
        for (size_t bin = 0; bin < n_bins; ++bin) {
            double re = 0, im = 0;
            for (size_t i = 0; i < n_fft; ++i) {
                const size_t turn = bin * i % n_fft;
                re += frame[i] * cosines[turn];
                im += frame[i] * cosines[(turn + n_fft / 4) % n_fft];
            }
            power[t * n_bins + bin] = re * re + im * im;
        }
    }
    return power;
}

} // namespace

std::vector<double> mel(const std::vector<float>& pcm, size_t n_mels, size_t n_frames) {
    const std::vector<double> filters = mel_filters(n_mels), power = spectrogram(pcm, n_frames);
    std::vector<double> out(n_mels * n_frames);
    double largest = -std::numeric_limits<double>::infinity();
    for (size_t band = 0; band < n_mels; ++band)
        for (size_t t = 0; t < n_frames; ++t) {
            double sum = 0;
            for (size_t bin = 0; bin < n_bins; ++bin)
                sum += filters[band * n_bins + bin] * power[t * n_bins + bin];
            out[band * n_frames + t] = std::log10(std::max(sum, 1e-10));
            largest = std::max(largest, out[band * n_frames + t]);
        }
    for (double& value : out)
        value = (std::max(value, largest - 8) + 4) / 4;
    return out;
}

} // namespace npuenc::plain
