// SPDX-License-Identifier: MIT
#include "bf16_model.hpp"

#include <algorithm>
#include <bit>

namespace npuenc {
namespace {

// value = mantissa * 2^exponent, exact.
struct Term {
    int64_t mantissa;
    int exponent;
    int top; // exponent of its binade; meaningless for 0
};

// A product's binade is that of its factors' powers of two, though 1.x * 1.y may reach 2.
Term product_of(uint16_t a, uint16_t b) {
    const int ea = a >> 7 & 0xff, eb = b >> 7 & 0xff;
    const int64_t ma = ea ? (a & 0x7f) | 0x80 : a & 0x7f, mb = eb ? (b & 0x7f) | 0x80 : b & 0x7f;
    const int exponent = std::max(ea, 1) + std::max(eb, 1) - 2 * (127 + 7);
    const bool negative = (a ^ b) >> 15;
    return {negative ? -(ma * mb) : ma * mb, exponent, exponent + 14};
}

Term sum_of(uint32_t bits) {
    const int e = bits >> 23 & 0xff;
    const int64_t m = e ? (bits & 0x7fffff) | 0x800000 : bits & 0x7fffff;
    const int exponent = std::max(e, 1) - (127 + 23);
    return {bits >> 31 ? -m : m, exponent, exponent + 23};
}

// mantissa * 2^-shift to nearest, ties to even.
int64_t rounded(int64_t mantissa, int shift) {
    if (shift <= 0)
        return mantissa * (int64_t{1} << -shift);
    if (shift > 60)
        return 0;
    const int64_t quotient = mantissa >> shift; // towards minus infinity
    const int64_t rest = mantissa - (quotient << shift), half = int64_t{1} << (shift - 1);
    return quotient + (rest > half || (rest == half && (quotient & 1)));
}

} // namespace

uint32_t bf16_mac(uint32_t acc, const uint16_t a[8], const uint16_t b[8]) {
    Term terms[9];
    for (int i = 0; i < 8; ++i)
        terms[i] = product_of(a[i], b[i]);
    terms[8] = sum_of(acc);
    int top = -1000;
    for (const Term& term : terms)
        if (term.mantissa)
            top = std::max(top, term.top);
    if (top == -1000)
        return 0;

    const int grid = top - 23; // exponent of the grid's last place
    int64_t sum = 0;
    for (const Term& term : terms)
        if (term.mantissa) // the exponent of a zero may be any
            sum += rounded(term.mantissa, grid - term.exponent);
    if (sum == 0)
        return 0;

    const uint32_t sign = sum < 0 ? 0x80000000u : 0;
    const uint64_t magnitude = sum < 0 ? -static_cast<uint64_t>(sum) : static_cast<uint64_t>(sum);
    const int excess = std::bit_width(magnitude) - 24;
    int exponent = grid + excess;
    int64_t mantissa = rounded(static_cast<int64_t>(magnitude), excess);
    if (mantissa >> 24) {
        mantissa >>= 1;
        ++exponent;
    }
    const int biased = exponent + 127 + 23;
    if (biased >= 255)
        return sign | 0x7f800000u;
    if (biased <= 0)
        return sign;
    return sign | static_cast<uint32_t>(biased) << 23 |
           (static_cast<uint32_t>(mantissa) & 0x7fffff);
}

} // namespace npuenc
