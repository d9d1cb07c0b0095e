// SPDX-License-Identifier: MIT
// The one exception of npuenc: a status of the public ABI and a line of detail.
// src/abi catches it at the border; nothing else needs to.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>

#include <npuenc/npuenc.h>

namespace npuenc {

class Error : public std::exception {
  public:
    Error(npuenc_status status, std::string detail) : status_(status), detail_(std::move(detail)) {}

    npuenc_status status() const noexcept { return status_; }
    const char* what() const noexcept override { return detail_.c_str(); }

  private:
    npuenc_status status_;
    std::string detail_;
};

// Throws Error with a detail formatted as by printf, cut at 511 characters.
[[noreturn, gnu::format(printf, 2, 3)]] inline void fail(npuenc_status status, const char* format,
                                                         ...) {
    char detail[512];
    std::va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    throw Error(status, detail);
}

} // namespace npuenc
