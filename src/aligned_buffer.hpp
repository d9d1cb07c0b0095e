// SPDX-License-Identifier: MIT
// Uninitialised memory that begins on a multiple of 64 bytes, and sizes that do not overflow.
//
// What is large is asked for in huge pages, where Linux gives them to who asks: rows that are far
// apart would miss the TLB in every one.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>
#include <utility>

namespace npuenc {

constexpr size_t cache_line = 64;
constexpr size_t huge_page = size_t{2} << 20;

constexpr size_t ceil_div(size_t n, size_t step) {
    return n / step + (n % step != 0);
}

// a * b for a size in memory: what overflows cannot be allocated either.
inline size_t size_product(size_t a, size_t b) {
    size_t product;
    if (__builtin_mul_overflow(a, b, &product))
        throw std::bad_alloc();
    return product;
}

inline size_t round_up(size_t n, size_t step) {
    return size_product(ceil_div(n, step), step);
}

class AlignedBuffer {
  public:
    AlignedBuffer() = default;
    explicit AlignedBuffer(size_t bytes)
        : data_(bytes ? ::operator new(bytes, alignment_of(bytes)) : nullptr), bytes_(bytes) {
        if (bytes >= huge_page)
            madvise(data_, bytes / huge_page * huge_page, MADV_HUGEPAGE); // or ordinary ones
    }
    ~AlignedBuffer() {
        if (data_)
            ::operator delete(data_, alignment_of(bytes_));
    }
    AlignedBuffer(AlignedBuffer&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }

    // At least this many bytes; what it held is lost where it grows.
    void reserve(size_t bytes) {
        if (bytes <= bytes_)
            return;
        *this = AlignedBuffer(); // first, so that old and new do not add up
        *this = AlignedBuffer(bytes);
    }

    void* data() const { return data_; }
    template <class T>
    T* as() const {
        return static_cast<T*>(data_);
    }
    size_t bytes() const { return bytes_; }

  private:
    static std::align_val_t alignment_of(size_t bytes) {
        return std::align_val_t(bytes < huge_page ? cache_line : huge_page);
    }

    void* data_ = nullptr;
    size_t bytes_ = 0;
};

} // namespace npuenc
