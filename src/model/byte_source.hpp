// SPDX-License-Identifier: MIT
// Where the bytes of a model come from, a file or memory, and a cursor that walks through them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace npuenc {

// Bytes of a size that is known when it is opened. Reading copies: a file is never mapped, so one
// that is truncated in the meantime is an Error and not a signal. Threads may read at once.
class ByteSource {
  public:
    virtual ~ByteSource() = default;
    ByteSource(const ByteSource&) = delete;
    ByteSource& operator=(const ByteSource&) = delete;

    const std::string& name() const { return name_; } // for messages: the path as given
    uint64_t size() const { return size_; }

    // Reads exactly `bytes`, which the caller knows to lie inside. E_IO when they cannot be had.
    virtual void read(uint64_t offset, void* out, size_t bytes) const = 0;

    // True when [offset, offset + bytes) lies inside, whatever the two numbers.
    bool holds(uint64_t offset, uint64_t bytes) const {
        return offset <= size_ && bytes <= size_ - offset;
    }

    // Throw E_BAD_MODEL or E_TOO_NEW: "NAME: " and a detail formatted as by printf.
    [[noreturn, gnu::format(printf, 2, 3)]] void bad(const char* format, ...) const;
    [[noreturn, gnu::format(printf, 2, 3)]] void too_new(const char* format, ...) const;

  protected:
    explicit ByteSource(std::string name) : name_(std::move(name)) {}

    uint64_t size_ = 0;

  private:
    std::string name_;
};

// E_NOT_FOUND, E_IO, and E_BAD_MODEL for what is not a regular file; it does not wait for a FIFO.
std::unique_ptr<ByteSource> open_file(const std::string& path);

// The bytes must outlive the result.
std::unique_ptr<ByteSource> open_bytes(const void* data, size_t bytes);

// Reads little-endian numbers and strings one after another, through a small buffer of its own.
// What would pass the end is E_BAD_MODEL that names `what` and the offset.
class Cursor {
  public:
    explicit Cursor(const ByteSource& source) : source_(source) {}

    uint64_t offset() const { return offset_; }
    uint64_t remaining() const { return source_.size() - offset_; }

    uint8_t u8(const char* what) { return number<uint8_t>(what); }
    uint16_t u16(const char* what) { return number<uint16_t>(what); }
    uint32_t u32(const char* what) { return number<uint32_t>(what); }
    int32_t i32(const char* what) { return number<int32_t>(what); }
    std::string string(size_t bytes, const char* what);
    void skip(uint64_t bytes, const char* what);

  private:
    template <typename T>
    T number(const char* what) {
        T value;
        take(&value, sizeof value, what);
        return value;
    }
    void take(void* out, size_t bytes, const char* what);

    const ByteSource& source_;
    uint64_t offset_ = 0;
    uint64_t buffer_offset_ = 0;
    size_t buffer_bytes_ = 0;
    unsigned char buffer_[4096];
};

// Text of unknown origin for a message: in quotes, on one line, cut when it is long.
std::string quoted(std::string_view text);

} // namespace npuenc
