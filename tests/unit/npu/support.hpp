// SPDX-License-Identifier: MIT
// What the tests of the NPU's room share: cmocka, random operands, errors as values.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "error.hpp"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
extern "C" {
#include <cmocka.h>
}
#undef fail // a macro of cmocka; here it is npuenc's

namespace npuenc {

// A small generator of numbers (Marsaglia 2003, xorshift32), the same on every run.
class Random {
  public:
    explicit Random(uint32_t seed) : state_(seed * 2654435761u + 1) {}
    uint32_t next() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 17;
        state_ ^= state_ << 5;
        return state_;
    }
    // Any bits.
    template <class T>
    std::vector<T> values(size_t n) {
        std::vector<T> values(n);
        for (T& value : values)
            value = static_cast<T>(next() >> 8);
        return values;
    }

  private:
    uint32_t state_;
};

// That `call` throws this status with a detail that says `part`.
template <class Call>
void assert_error_at(Call&& call, npuenc_status status, const char* part, const char* file,
                     int line) {
    npuenc_status found = NPUENC_OK;
    std::string detail;
    try {
        call();
    } catch (const Error& error) {
        found = error.status();
        detail = error.what();
    }
    if (found != status || !std::strstr(detail.c_str(), part)) {
        print_error("status %d, \"%s\"; expected %d and \"%s\"\n", found, detail.c_str(), status,
                    part);
        _fail(file, line);
    }
}
#define assert_error(call, status, part)                                                           \
    assert_error_at([&] { call; }, status, part, __FILE__, __LINE__)

} // namespace npuenc
