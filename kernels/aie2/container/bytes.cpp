// SPDX-License-Identifier: MIT
// Little-endian numbers in files of bytes that nobody has checked yet.
#include "kernels/aie2/container/bytes.hpp"

#include <cinttypes>
#include <cstdio>

namespace npuenc::aie2 {

std::string hexadecimal(uint64_t number) {
    char text[19];
    std::snprintf(text, sizeof text, "0x%" PRIx64, number);
    return text;
}

std::string text_of_bytes(Bytes bytes) {
    std::string text;
    for (uint8_t byte : bytes) {
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
    }
    return text;
}

std::string quoted(std::string_view text) {
    std::string shown = "\"";
    for (char c : text.substr(0, 40)) {
        shown += c >= ' ' && c <= '~' ? c : '?';
    }
    return shown + (text.size() > 40 ? "…\"" : "\"");
}

} // namespace npuenc::aie2
