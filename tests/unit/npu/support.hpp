// SPDX-License-Identifier: MIT
// What the tests of the NPU's room share: cmocka, random operands, errors as values.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "error.hpp"
#include "tests/unit/random.hpp"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
extern "C" {
#include <cmocka.h>
}
#undef fail // a macro of cmocka; here it is npuenc's

namespace npuenc {

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
