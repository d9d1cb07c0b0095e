// SPDX-License-Identifier: MIT
#include "xrt/failure.hpp"

#include <cerrno>
#include <cstdlib>
#include <new>
#include <system_error>

namespace npuenc::module {
namespace {

// A message of several lines becomes one.
void copy_line(char* to, size_t capacity, const char* from) {
    size_t n = 0;
    for (; *from && n + 1 < capacity; ++from)
        to[n++] = static_cast<unsigned char>(*from) < ' ' ? ' ' : *from;
    to[n] = 0;
}

} // namespace

int error_number(const std::exception& failure) {
    const auto* with_code = dynamic_cast<const std::system_error*>(&failure);
    return with_code ? std::abs(with_code->code().value()) : 0;
}

bool is_short_of_memory(const std::exception& failure) {
    switch (error_number(failure)) {
    case ENOMEM:
    case EAGAIN:
    case ENOSPC:
        return true;
    default:
        return dynamic_cast<const std::bad_alloc*>(&failure) != nullptr;
    }
}

std::string words(const char* doing, const std::exception& failure) {
    return std::string(doing) + ": " + failure.what();
}

int32_t report(npuenc_module_failure* failure, npuenc_status status, const char* detail) noexcept {
    if (failure) {
        failure->status = status;
        copy_line(failure->detail, sizeof failure->detail, detail);
    }
    return status;
}

} // namespace npuenc::module
