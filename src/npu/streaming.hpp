// SPDX-License-Identifier: MIT
// Stores that go past the caches: for what the device reads next, and nobody else.
//
// Where they exist they go to memory as stores to write-combining memory do, and what a cache had
// of the line is gone (Intel's manual, volume 1, "Caching of Temporal vs. Non-Temporal Data"): as
// with Linux' memcpy_flushcache, nothing is left to be flushed once the thread has fenced. Nor is
// the line read first, which costs more than writing it.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace npuenc {

// Two values of 64 bits beside each other: what every x86-64 and AArch64 has a register for.
using Pair = uint64_t __attribute__((vector_size(16)));

// `to` on a multiple of 16.
inline void stream(void* to, const Pair& value) {
#if defined(__SSE2__)
    _mm_stream_si128(static_cast<__m128i*>(to), reinterpret_cast<__m128i>(value));
#else
    std::memcpy(to, &value, sizeof value);
#endif
}

// Of the thread that has streamed, before another thread or the device may read it.
inline void end_streaming() {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

} // namespace npuenc
