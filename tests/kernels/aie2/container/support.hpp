// SPDX-License-Identifier: MIT
// What the tests of the containers share: errors and the containers that hold the example CDO.
#pragma once

#include "kernels/aie2/container/bytes.hpp" // before cmocka, which has a macro fail()

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
extern "C" {
#include <cmocka.h>
}

namespace npuenc::aie2 {

// What is said of an attempt that must fail: one line.
inline std::string error_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const ContainerError& error) {
        assert_null(std::strchr(error.what(), '\n'));
        return error.what();
    }
    fail_msg("no error");
    return "";
}

inline void assert_error(const std::string& expected, const std::function<void()>& action) {
    assert_string_equal(error_of(action).c_str(), expected.c_str());
}

inline void assert_same_bytes(Bytes got, Bytes expected) {
    assert_int_equal(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); i++) {
        if (got[i] != expected[i]) {
            fail_msg("byte %zu is %02x, not %02x", i, got[i], expected[i]);
        }
    }
}

// A CDO by hand: header, NOP, the commands, before the DMA write a NOP with one word so that it
// begins at word 12.
inline const std::vector<uint32_t> cdo_words{
    4,          0x004f4443, 0x200,    0x10, 0xffb0b9a8,       // header
    0x00000111,                                               // NOP
    0x00030102, 0x00232000, 1,        0,                      // mask write
    0x00010111, 0,                                            // NOP
    0x00050105, 0,          0x21d000, 0x11, 0x22,       0x33, // DMA write
    0x00020103, 0x0021f000, 0x2a,                             // write
};

} // namespace npuenc::aie2
