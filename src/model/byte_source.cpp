// SPDX-License-Identifier: MIT
// Files by pread and memory by memcpy behind one interface.
#include "model/byte_source.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.hpp"

namespace npuenc {
namespace {

// A detail has room for 511 characters, and what is wrong matters more than the start of a path.
std::string short_name(const std::string& name) {
    constexpr size_t longest = 200;
    return name.size() <= longest ? name : "..." + name.substr(name.size() - longest);
}

[[gnu::format(printf, 1, 0)]] std::string formatted(const char* format, std::va_list arguments) {
    char text[512];
    std::vsnprintf(text, sizeof text, format, arguments);
    return text;
}

class FileSource final : public ByteSource {
  public:
    explicit FileSource(const std::string& path) : ByteSource(path) {
        // Without O_NONBLOCK, opening a FIFO would wait for its writer.
        file_ = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        if (file_ < 0) {
            const int error = errno;
            const bool absent = error == ENOENT || error == ENOTDIR;
            io_error(absent ? NPUENC_E_NOT_FOUND : NPUENC_E_IO, error);
        }
        try {
            check_kind();
        } catch (...) {
            ::close(file_);
            throw;
        }
    }

    ~FileSource() override { ::close(file_); }

    void read(uint64_t offset, void* out, size_t bytes) const override {
        char* to = static_cast<char*>(out);
        while (bytes > 0) {
            const ssize_t got = ::pread(file_, to, bytes, static_cast<off_t>(offset));
            if (got < 0 && errno == EINTR) {
                continue;
            }
            if (got < 0) {
                io_error(NPUENC_E_IO, errno);
            }
            if (got == 0) {
                fail(NPUENC_E_IO,
                     "%s: ends at or before offset %llu, but had %llu bytes when it was opened",
                     short_name(name()).c_str(), static_cast<unsigned long long>(offset),
                     static_cast<unsigned long long>(size()));
            }
            to += got;
            offset += static_cast<uint64_t>(got);
            bytes -= static_cast<size_t>(got);
        }
    }

  private:
    void check_kind() {
        struct stat status;
        if (::fstat(file_, &status) != 0) {
            io_error(NPUENC_E_IO, errno);
        }
        if (S_ISDIR(status.st_mode)) {
            bad("is a directory where a file is expected");
        }
        if (!S_ISREG(status.st_mode)) {
            bad("is not a regular file");
        }
        size_ = static_cast<uint64_t>(status.st_size);
    }

    [[noreturn]] void io_error(npuenc_status status, int error) const {
        fail(status, "%s: %s", short_name(name()).c_str(),
             std::generic_category().message(error).c_str());
    }

    int file_ = -1;
};

class MemorySource final : public ByteSource {
  public:
    MemorySource(const void* data, size_t bytes)
        : ByteSource("model in memory"), data_(static_cast<const char*>(data)) {
        size_ = bytes;
    }

    void read(uint64_t offset, void* out, size_t bytes) const override {
        if (bytes > 0) {
            std::memcpy(out, data_ + offset, bytes);
        }
    }

  private:
    const char* data_;
};

} // namespace

void ByteSource::bad(const char* format, ...) const {
    std::va_list arguments;
    va_start(arguments, format);
    const std::string detail = formatted(format, arguments);
    va_end(arguments);
    fail(NPUENC_E_BAD_MODEL, "%s: %s", short_name(name_).c_str(), detail.c_str());
}

void ByteSource::too_new(const char* format, ...) const {
    std::va_list arguments;
    va_start(arguments, format);
    const std::string detail = formatted(format, arguments);
    va_end(arguments);
    fail(NPUENC_E_TOO_NEW, "%s: %s", short_name(name_).c_str(), detail.c_str());
}

std::unique_ptr<ByteSource> open_file(const std::string& path) {
    return std::make_unique<FileSource>(path);
}

std::unique_ptr<ByteSource> open_bytes(const void* data, size_t bytes) {
    return std::make_unique<MemorySource>(data, bytes);
}

void Cursor::skip(uint64_t bytes, const char* what) {
    if (bytes > remaining()) {
        source_.bad("%s at offset %llu takes %llu bytes, but only %llu are left", what,
                    static_cast<unsigned long long>(offset_),
                    static_cast<unsigned long long>(bytes),
                    static_cast<unsigned long long>(remaining()));
    }
    offset_ += bytes;
}

void Cursor::take(void* out, size_t bytes, const char* what) {
    const uint64_t begin = offset_;
    skip(bytes, what);
    if (begin < buffer_offset_ || begin + bytes > buffer_offset_ + buffer_bytes_) {
        if (bytes > sizeof buffer_) {
            source_.read(begin, out, bytes);
            return;
        }
        buffer_bytes_ = 0; // nothing, should the read throw
        const uint64_t left = source_.size() - begin;
        const size_t filled = static_cast<size_t>(std::min<uint64_t>(left, sizeof buffer_));
        source_.read(begin, buffer_, filled);
        buffer_offset_ = begin;
        buffer_bytes_ = filled;
    }
    std::memcpy(out, buffer_ + (begin - buffer_offset_), bytes);
}

std::string Cursor::string(size_t bytes, const char* what) {
    if (bytes > remaining()) {
        skip(bytes, what); // throws, before anything is allocated
    }
    std::string text(bytes, '\0');
    take(text.data(), bytes, what);
    return text;
}

std::string quoted(std::string_view text) {
    constexpr size_t longest = 80;
    std::string result = "'";
    for (const char c : text.substr(0, longest)) {
        result += c >= ' ' && c <= '~' ? c : '?';
    }
    result += text.size() > longest ? "...'" : "'";
    return result;
}

} // namespace npuenc
