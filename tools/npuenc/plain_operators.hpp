// SPDX-License-Identifier: MIT
// The operators from their definition in npuenc.h, in plain loops and double precision: what
// `npuenc selftest` holds the library's results against.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace npuenc::plain {

// A value, and the sum of the magnitudes of its terms, to which rounding errors are in proportion.
struct Sum {
    double value = 0, magnitude = 0;
};

// a [m][k], b [k][n], or [n][k] when transposed; the result is [m][n].
std::vector<Sum> matmul(const std::vector<double>& a, const std::vector<double>& b, size_t m,
                        size_t n, size_t k, bool b_transposed);

struct AttentionShape {
    size_t n_head, head_dim, q_len, kv_len;
    double scale;
    bool causal;
};

struct AttentionSum : Sum {
    double score_magnitude = 0; // the largest sum of |q k| * scale of this query
};

// q is [q_len][n_head][head_dim], k and v [kv_len][n_head][head_dim]; the result is as q.
std::vector<AttentionSum> attention(const AttentionShape& shape, const std::vector<double>& q,
                                    const std::vector<double>& k, const std::vector<double>& v);

// Whisper's log-mel (openai/whisper, whisper/audio.py): [n_mels][n_frames] of 160 * n_frames
// samples, by a direct Fourier transform.
std::vector<double> mel(const std::vector<float>& pcm, size_t n_mels, size_t n_frames);

} // namespace npuenc::plain
