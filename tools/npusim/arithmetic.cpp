// SPDX-License-Identifier: MIT
// Arithmetic of the vector unit on plain arrays, apart from any pipeline.
#include "tools/npusim/arithmetic.hpp"

#include <bit>

// The simulator's time goes into these loops: built for the host's wider vectors too. Not for
// ThreadSanitizer, which is not there yet when a library's choice among the two is made.
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_THREAD__)
#define FAST_ON_HOST __attribute__((target_clones("avx2", "default")))
#else
#define FAST_ON_HOST
#endif

namespace npusim {

FAST_ON_HOST
void multiply_4x8x8(const int16_t a[32], const int16_t b[64], int32_t c[32]) {
    for (int i = 0; i < 4; i++) {
        int32_t sum[8] = {};
        for (int k = 0; k < 8; k++)
            for (int j = 0; j < 8; j++)
                sum[j] += int32_t{a[8 * i + k]} * b[8 * k + j];
        for (int j = 0; j < 8; j++)
            c[8 * i + j] = sum[j];
    }
}

namespace {

// value >> by, to the nearest, ties to even, on the two's complement value of at most 27 bits.
inline int32_t shift_to_even(int32_t value, int32_t by) {
    int32_t capped = by > 31 ? 31 : by;
    int32_t wide = value * 2; // with a guard bit
    int32_t quotient = wide >> capped;
    bool rest = (static_cast<uint32_t>(wide) & ((uint32_t{1} << capped) - 1)) != 0;
    int32_t up = quotient & ((quotient >> 1) | rest) & 1;
    return (quotient >> 1) + up;
}

struct Terms {
    int32_t mantissa[16], exponent[16];
};

inline void multiply_lanes(const uint16_t x[16], const uint16_t y[16], int32_t negate, Terms& term,
                           int32_t largest[16], int32_t& special) {
    for (int i = 0; i < 16; i++) {
        int32_t a = x[i], b = y[i];
        int32_t ea = a >> 7 & 255, eb = b >> 7 & 255;
        special |= (ea == 255) | (eb == 255);
        int32_t ma = (a & 127) | (ea ? 128 : 0), mb = (b & 127) | (eb ? 128 : 0);
        int32_t m = ma * mb;
        int32_t minus = -(((a ^ b) >> 15 & 1) ^ negate);
        int32_t e = m ? (ea ? ea : 1) + (eb ? eb : 1) + 1 : 0;
        // 14 fraction bits become 23.
        term.mantissa[i] = ((m ^ minus) - minus) * 512;
        term.exponent[i] = e;
        largest[i] = e > largest[i] ? e : largest[i];
    }
}

inline void split_lanes(const uint32_t acc[16], int32_t negate, Terms& term, int32_t largest[16],
                        int32_t& special) {
    for (int i = 0; i < 16; i++) {
        int32_t bits = static_cast<int32_t>(acc[i]);
        int32_t field = bits >> 23 & 255;
        special |= field == 255;
        int32_t m = (bits & 0x7fffff) | (field ? 1 << 23 : 0);
        int32_t minus = -((bits >> 31 & 1) ^ negate);
        int32_t e = m ? (field ? field : 1) + 128 : 0;
        term.mantissa[i] = (m ^ minus) - minus;
        term.exponent[i] = e;
        largest[i] = e > largest[i] ? e : largest[i];
    }
}

} // namespace

FAST_ON_HOST
bool multiply_bfloat(const BfloatLanes& lanes, unsigned products, bool negate_products,
                     const uint32_t* acc, bool negate_acc, uint32_t out[16]) {
    Terms terms[9];
    unsigned count = 0;
    int32_t largest[16] = {}, special = 0;
    for (unsigned k = 0; k < products; k++)
        multiply_lanes(lanes.x[k], lanes.y[k], negate_products, terms[count++], largest, special);
    if (acc)
        split_lanes(acc, negate_acc, terms[count++], largest, special);
    if (special)
        return false;

    // At most 8 products below 2^25 and an accumulator below 2^24: the sum is exact.
    int32_t sum[16] = {};
    for (unsigned k = 0; k < count; k++)
        for (int i = 0; i < 16; i++)
            sum[i] += shift_to_even(terms[k].mantissa[i], largest[i] - terms[k].exponent[i]);
    for (int i = 0; i < 16; i++) {
        // The conversion to float is the one rounding to 24 bits; only the scale is missing.
        int32_t bits = std::bit_cast<int32_t>(static_cast<float>(sum[i] < 0 ? -sum[i] : sum[i]));
        int32_t e = (bits >> 23) + largest[i] - 127 - 151;
        int32_t value = e << 23 | (bits & 0x7fffff);
        value = e >= 255 ? 0x7f800000 : value;
        value = ((e <= 0) | (sum[i] == 0)) ? 0 : value;
        out[i] = static_cast<uint32_t>(value) | (sum[i] < 0 ? 0x80000000 : 0);
    }
    return true;
}

bool is_rounding(uint32_t mode) {
    return mode <= 3 || (mode >= 8 && mode <= 13);
}

Wide shift_and_round(Wide value, unsigned shift, uint32_t mode) {
    if (shift == 0)
        return value;
    Wide floor = value >> shift;
    Wide rest = value - (floor << shift);
    if (rest == 0)
        return floor;
    Wide half = Wide{1} << (shift - 1);
    bool negative = value < 0, up;
    switch (mode) {
    case 0: // floor
        up = false;
        break;
    case 1: // ceiling
        up = true;
        break;
    case 2: // towards zero
        up = negative;
        break;
    case 3: // away from zero
        up = !negative;
        break;
    default: // to the nearest, ties by the mode
        if (rest != half) {
            up = rest > half;
            break;
        }
        up = mode == 9 || (mode == 10 && negative) || (mode == 11 && !negative) ||
             (mode == 12 && (floor & 1)) || (mode == 13 && !(floor & 1));
    }
    return floor + up;
}

int64_t saturate(Wide value, unsigned bits, bool is_signed, uint32_t saturation) {
    if (saturation != 0) {
        Wide largest = (Wide{1} << (is_signed ? bits - 1 : bits)) - 1;
        Wide least = !is_signed ? Wide{0} : saturation == 3 ? -largest : -largest - 1;
        value = value > largest ? largest : value < least ? least : value;
    }
    return static_cast<int64_t>(value);
}

uint16_t float_to_bfloat(uint32_t value, uint32_t mode) {
    uint32_t magnitude = value & 0x7fffffff;
    uint32_t sign = value >> 31;
    // A NaN is cut off, but stays one.
    if (magnitude > 0x7f800000)
        return static_cast<uint16_t>(value >> 16 | (value & 0x7f0000 ? 0 : 1));
    Wide image = sign ? -Wide{magnitude} : Wide{magnitude};
    Wide rounded = shift_and_round(image, 16, mode);
    return static_cast<uint16_t>((sign ? -rounded : rounded) | sign << 15);
}

} // namespace npusim
