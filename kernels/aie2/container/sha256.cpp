// SPDX-License-Identifier: MIT
// SHA-256 (FIPS 180-4), for names that depend on content alone.
#include "kernels/aie2/container/sha256.hpp"

#include <algorithm>
#include <bit>

namespace npuenc::aie2 {

namespace {

// Fractional parts of the cube roots of the first 64 primes.
constexpr std::array<uint32_t, 64> constants{
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

using State = std::array<uint32_t, 8>;

void add_block(State& state, Bytes block) {
    std::array<uint32_t, 64> schedule;
    for (size_t i = 0; i < 16; i++) {
        schedule[i] = static_cast<uint32_t>(block[4 * i]) << 24 |
                      static_cast<uint32_t>(block[4 * i + 1]) << 16 |
                      static_cast<uint32_t>(block[4 * i + 2]) << 8 | block[4 * i + 3];
    }
    for (size_t i = 16; i < 64; i++) {
        const uint32_t a = schedule[i - 15], b = schedule[i - 2];
        schedule[i] = schedule[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) +
                      schedule[i - 7] + (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
    }
    State s = state;
    for (size_t i = 0; i < 64; i++) {
        const uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
        const uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        const uint32_t t1 = s[7] +
                            (std::rotr(s[4], 6) ^ std::rotr(s[4], 11) ^ std::rotr(s[4], 25)) +
                            choice + constants[i] + schedule[i];
        const uint32_t t2 =
            (std::rotr(s[0], 2) ^ std::rotr(s[0], 13) ^ std::rotr(s[0], 22)) + majority;
        std::rotate(s.begin(), s.end() - 1, s.end());
        s[0] = t1 + t2;
        s[4] += t1;
    }
    for (size_t i = 0; i < state.size(); i++) {
        state[i] += s[i];
    }
}

} // namespace

std::array<uint8_t, 32> sha256(Bytes message) {
    State state{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    size_t done = 0;
    for (; message.size() - done >= 64; done += 64) {
        add_block(state, message.subspan(done, 64));
    }

    // The rest, a one bit, zeros, and the number of bits at the end of the last block.
    std::vector<uint8_t> tail(message.begin() + static_cast<ptrdiff_t>(done), message.end());
    tail.push_back(0x80);
    while (tail.size() % 64 != 56) {
        tail.push_back(0);
    }
    for (int shift = 56; shift >= 0; shift -= 8) {
        tail.push_back(static_cast<uint8_t>(static_cast<uint64_t>(message.size()) * 8 >> shift));
    }
    for (size_t i = 0; i < tail.size(); i += 64) {
        add_block(state, Bytes(tail).subspan(i, 64));
    }

    std::array<uint8_t, 32> digest;
    for (size_t i = 0; i < digest.size(); i++) {
        digest[i] = static_cast<uint8_t>(state[i / 4] >> (24 - i % 4 * 8));
    }
    return digest;
}

} // namespace npuenc::aie2
