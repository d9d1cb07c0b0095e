// SPDX-License-Identifier: MIT
// The border between C callers and C++: exceptions become statuses, structs of other versions
// become ours, and buffers are checked against shapes before anything is touched.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <string_view>

#include <npuenc/npuenc.h>

#include "error.hpp"

namespace npuenc {

struct Failure {
    npuenc_status status;
    std::string detail;
};

// What the exception that is being handled means to a C caller.
Failure current_failure() noexcept;

// Keeps the detail for npuenc_last_error; returns the status.
int32_t remember_failure(npuenc_status status, const char* detail) noexcept;
const char* remembered_failure() noexcept; // of this thread; empty where nothing has failed

// Runs the body of a public function; nothing that it throws crosses the border.
template <typename Body>
int32_t guarded(Body&& body) noexcept {
    try {
        body();
        return NPUENC_OK;
    } catch (...) {
        const Failure failure = current_failure();
        return remember_failure(failure.status, failure.detail.c_str());
    }
}

inline void require(bool condition, const char* detail) {
    if (!condition)
        fail(NPUENC_E_INVALID, "%s", detail);
}

template <typename Pointer>
void require_not_null(Pointer* pointer, const char* name) {
    if (!pointer)
        fail(NPUENC_E_INVALID, "%s is NULL", name);
}

// ---- Structs of other versions ----

inline void check_struct_size(uint32_t size, size_t least, const char* name) {
    if (size < least)
        fail(NPUENC_E_INVALID, "%s.struct_size is %u, less than the %zu of version 1.0", name, size,
             least);
}

// A caller's input struct as this version's. Every struct of version 1.0 still has its first size.
template <typename Struct>
Struct read_struct(const Struct* in, const char* name) {
    require_not_null(in, name);
    uint32_t size;
    std::memcpy(&size, in, sizeof size);
    check_struct_size(size, sizeof(Struct), name);
    const auto* bytes = reinterpret_cast<const unsigned char*>(in);
    if (std::any_of(bytes + sizeof(Struct), bytes + size, [](unsigned char b) { return b != 0; }))
        fail(NPUENC_E_TOO_NEW, "%s sets fields that this version of npuenc does not know", name);
    Struct known;
    std::memcpy(&known, in, sizeof known);
    return known;
}

// Checks a caller's output struct before the work whose result goes there.
template <typename Struct>
void check_out_struct(const Struct* out, const char* name) {
    require_not_null(out, name);
    check_struct_size(out->struct_size, sizeof(Struct), name);
}

// Writes all of it, what this version does not know with zeros; the size stays as it was.
template <typename Struct>
void write_struct(Struct* out, Struct known) {
    known.struct_size = out->struct_size;
    auto* bytes = reinterpret_cast<unsigned char*>(out);
    std::memset(bytes + sizeof known, 0, known.struct_size - sizeof known);
    std::memcpy(bytes, &known, sizeof known);
}

// Copies text into a field, cut to it and ended by NUL; what is left is zeros.
template <size_t N>
void write_text(char (&field)[N], std::string_view text) {
    std::memset(field, 0, N);
    std::memcpy(field, text.data(), std::min(text.size(), N - 1));
}

// The protocol of functions that copy text into a buffer and return its whole length.
inline size_t copy_text(std::string_view text, char* buf, size_t cap) noexcept {
    if (buf && cap > 0) {
        const size_t n = std::min(text.size(), cap - 1);
        std::memcpy(buf, text.data(), n);
        buf[n] = '\0';
    }
    return text.size();
}

// ---- Sizes ----

inline uint64_t checked_add(uint64_t a, uint64_t b) {
    uint64_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        fail(NPUENC_E_INVALID, "the sizes overflow");
    return sum;
}

inline uint64_t checked_multiply(uint64_t a, uint64_t b) {
    uint64_t product;
    if (__builtin_mul_overflow(a, b, &product))
        fail(NPUENC_E_INVALID, "the sizes overflow");
    return product;
}

// At most 2^63 - 1, as a size.
inline size_t checked_size(uint64_t bytes) {
    if (bytes > static_cast<uint64_t>(PTRDIFF_MAX))
        fail(NPUENC_E_INVALID, "the sizes overflow");
    return static_cast<size_t>(bytes);
}

// The elements from the first to the last of `rows` rows of n, `ld` apart.
inline uint64_t span_of_rows(uint64_t rows, uint64_t n, uint64_t ld) {
    if (rows == 0 || n == 0)
        return 0;
    return checked_add(checked_multiply(rows - 1, ld), n);
}

// A leading dimension: 0 stands for the row's width. E_INVALID when it is less than that.
size_t settle_ld(const char* field, uint64_t ld, uint64_t width);

size_t element_size(int32_t dtype); // E_INVALID where it is no npuenc_dtype

// ---- Buffers ----

struct Buffer {
    const void* data;
    size_t bytes;
    const char* name;
    size_t used = 0; // by the shape, once checked

    // E_INVALID or E_BUFFER unless it holds so many elements of the size, aligned to it.
    void check(uint64_t elements, size_t element_bytes);
    void check_apart_from(const Buffer& other) const; // E_INVALID where what is used overlaps
};

} // namespace npuenc
