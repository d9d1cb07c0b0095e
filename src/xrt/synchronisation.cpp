// SPDX-License-Identifier: MIT
#include "xrt/synchronisation.hpp"

#include <algorithm>
#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace npuenc::module {
namespace {

#if defined(__x86_64__)
constexpr size_t cache_line = 64;

// What a thread flushes at a time: long enough, at 10 us, to be worth waking it.
constexpr size_t slice_bytes = size_t{128} << 10;

bool has_clflushopt() {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_CLFLUSHOPT);
}

// Whatever the host has of these lines goes to memory, and the next read comes from there. The
// fences are those of the kernel (arch/x86/mm/pat/set_memory.c, clflush_cache_range): no line goes
// before the host has seen that the device is done, and all have gone before the device is told or
// the host reads.
[[gnu::target("clflushopt")]] void flush(const char* first, size_t bytes) {
    const char* end = first + bytes;
    const auto misaligned = reinterpret_cast<uintptr_t>(first) % cache_line;
    _mm_mfence();
    for (const char* line = first - misaligned; line < end; line += cache_line)
        _mm_clflushopt(const_cast<char*>(line));
    _mm_mfence();
}

// A line is flushed from the caches of all cores, whichever of them does it.
void flush(const char* first, size_t bytes, const npuenc_module_threads* threads) {
    if (!threads || bytes <= slice_bytes) {
        flush(first, bytes);
        return;
    }
    struct Range {
        const char* first;
        size_t bytes;
    } range{first, bytes};
    threads->for_each(
        threads->context, (bytes + slice_bytes - 1) / slice_bytes,
        [](void* of_body, size_t i) {
            const auto& all = *static_cast<const Range*>(of_body);
            const size_t begin = i * slice_bytes;
            flush(all.first + begin, std::min(slice_bytes, all.bytes - begin));
        },
        &range);
}
#endif

} // namespace

// What was streamed is in memory already. A line that a cache holds by itself, because it guessed
// that it would be read, is the same and stays clean.
//
// XRT's sync of such a bo is a loop over its lines with CLFLUSH, which waits for each before the
// next (amd/xdna-driver, src/shim/buffer.cpp, buffer::sync): a millisecond for half a megabyte.
// CLFLUSHOPT does the same to lines in any order, in a twentieth of the time.
void synchronise(::xrt::bo& bo, void* memory, npuenc_module_direction direction, size_t offset,
                 size_t bytes, [[maybe_unused]] const npuenc_module_threads* threads) {
#if defined(__x86_64__)
    static const bool in_any_order = has_clflushopt();
    if (in_any_order) {
        if (direction == npuenc_module_streamed_to_device)
            return;
        flush(static_cast<const char*>(memory) + offset, bytes, threads);
        return;
    }
#endif
    bo.sync(direction == npuenc_module_from_device ? XCL_BO_SYNC_BO_FROM_DEVICE
                                                   : XCL_BO_SYNC_BO_TO_DEVICE,
            bytes, offset);
}

} // namespace npuenc::module
