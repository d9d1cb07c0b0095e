// SPDX-License-Identifier: MIT
// The loops that turn stored weights into f32, in a form that the compiler vectorises for SSE2.
// The block layouts are those of ggml-common.h in ggml.
#include "model/storage.hpp"

#include <array>
#include <bit>
#include <cstring>

namespace npuenc {
namespace {

constexpr size_t block = 32;

template <typename T>
T load(const unsigned char* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

// By integers where the half is normal, infinite or NaN, whose payload is kept. A subnormal m is
// 2^-14 (1 + m / 1024) - 2^-14: exact, and neither operand is a subnormal float, so it does not
// matter whether the program flushes those to zero.
inline float half_to_float(uint16_t half) {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
    const uint32_t magnitude = static_cast<uint32_t>(half & 0x7fffu) << 13;
    constexpr uint32_t rebias = (127 - 15) << 23;
    constexpr uint32_t smallest_normal = 1 << 23;
    constexpr uint32_t infinity = 31 << 23;
    const float small = std::bit_cast<float>(magnitude + rebias + smallest_normal) -
                        std::bit_cast<float>(rebias + smallest_normal);
    const uint32_t large = magnitude + rebias + (magnitude >= infinity ? rebias : 0);
    // A mask instead of a choice, which gcc would turn into a branch around the subtraction.
    const uint32_t is_small = 0u - static_cast<uint32_t>(magnitude < smallest_normal);
    const uint32_t bits = (std::bit_cast<uint32_t>(small) & is_small) | (large & ~is_small);
    return std::bit_cast<float>(bits | sign);
}

void decode_f16(const unsigned char* __restrict from, size_t elements, float* __restrict out) {
    for (size_t i = 0; i < elements; ++i) {
        out[i] = half_to_float(load<uint16_t>(from + 2 * i));
    }
}

void decode_bf16(const unsigned char* __restrict from, size_t elements, float* __restrict out) {
    for (size_t i = 0; i < elements; ++i) {
        out[i] = std::bit_cast<float>(static_cast<uint32_t>(load<uint16_t>(from + 2 * i)) << 16);
    }
}

void decode_int8(const unsigned char* __restrict from, size_t elements, float* __restrict out) {
    for (size_t i = 0; i < elements; ++i) {
        out[i] = static_cast<int8_t>(from[i]);
    }
}

// f16 scale, 32 signed bytes.
void decode_q8_0(const unsigned char* __restrict from, size_t elements, float* __restrict out) {
    for (; elements > 0; elements -= block, from += 34, out += block) {
        const float scale = half_to_float(load<uint16_t>(from));
        for (size_t i = 0; i < block; ++i) {
            out[i] = static_cast<float>(static_cast<int8_t>(from[2 + i])) * scale;
        }
    }
}

// Masks instead of shifts by a variable, which SSE2 lacks.
constexpr auto fifth_bits = [] {
    std::array<uint32_t, block> bits{};
    for (size_t i = 0; i < block; ++i) {
        bits[i] = 1u << i;
    }
    return bits;
}();

// f16 scale, f16 minimum in _1; in the q5 types 32 bits, the fifth of each weight; 16 bytes with
// the weights' low four bits: byte i holds weight i in its lower half and weight 16 + i above.
template <bool has_fifth_bit, bool has_minimum>
void decode_nibbles(const unsigned char* __restrict from, size_t elements, float* __restrict out) {
    constexpr size_t high_at = has_minimum ? 4 : 2;
    constexpr size_t low_at = high_at + (has_fifth_bit ? 4 : 0);
    constexpr int middle = has_minimum ? 0 : has_fifth_bit ? 16 : 8;
    for (; elements > 0; elements -= block, from += low_at + 16, out += block) {
        const float scale = half_to_float(load<uint16_t>(from));
        const float minimum = has_minimum ? half_to_float(load<uint16_t>(from + 2)) : 0.0f;
        const uint32_t high = has_fifth_bit ? load<uint32_t>(from + high_at) : 0;
        const auto weight = [&](int nibble, uint32_t bit) {
            const int fifth = (high & bit) != 0 ? 16 : 0;
            const float q = static_cast<float>(nibble + fifth - middle);
            return has_minimum ? q * scale + minimum : q * scale;
        };
        for (size_t i = 0; i < 16; ++i) {
            out[i] = weight(from[low_at + i] & 15, fifth_bits[i]);
        }
        for (size_t i = 0; i < 16; ++i) {
            out[16 + i] = weight(from[low_at + i] >> 4, fifth_bits[16 + i]);
        }
    }
}

struct Layout {
    const char* name;
    uint32_t block_elements;
    uint32_t block_bytes;
};

constexpr Layout layouts[] = {
    {"f32", 1, 4},    {"f16", 1, 2},    {"bf16", 1, 2},   {"q4_0", 32, 18}, {"q4_1", 32, 20},
    {"q5_0", 32, 22}, {"q5_1", 32, 24}, {"q8_0", 32, 34}, {"int8", 1, 1},
};

const Layout& layout_of(Storage storage) {
    return layouts[static_cast<size_t>(storage)];
}

} // namespace

const char* name_of(Storage storage) {
    return layout_of(storage).name;
}
uint32_t block_elements(Storage storage) {
    return layout_of(storage).block_elements;
}
uint32_t block_bytes(Storage storage) {
    return layout_of(storage).block_bytes;
}

void decode(Storage storage, const void* blocks, size_t elements, float* out) {
    const unsigned char* from = static_cast<const unsigned char*>(blocks);
    switch (storage) {
    case Storage::f32:
        std::memcpy(out, from, elements * sizeof(float));
        return;
    case Storage::f16:
        return decode_f16(from, elements, out);
    case Storage::bf16:
        return decode_bf16(from, elements, out);
    case Storage::q4_0:
        return decode_nibbles<false, false>(from, elements, out);
    case Storage::q4_1:
        return decode_nibbles<false, true>(from, elements, out);
    case Storage::q5_0:
        return decode_nibbles<true, false>(from, elements, out);
    case Storage::q5_1:
        return decode_nibbles<true, true>(from, elements, out);
    case Storage::q8_0:
        return decode_q8_0(from, elements, out);
    case Storage::int8:
        return decode_int8(from, elements, out);
    }
}

} // namespace npuenc
