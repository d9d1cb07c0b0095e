// SPDX-License-Identifier: MIT
#include "json.hpp"

#include <charconv>
#include <cmath>

#include "text.hpp"

namespace npuenc {
namespace {

// The length of the UTF-8 sequence that `text` begins with (RFC 3629); 0 when it is none.
size_t sequence_length(std::string_view text) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    if (first < 0x80)
        return 1;
    const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < length)
        return 0;
    for (size_t i = 1; i < length; ++i)
        if (byte(i) < 0x80 || byte(i) > 0xbf)
            return 0;
    const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
    const bool surrogate = first == 0xed && byte(1) > 0x9f;
    const bool too_large = first == 0xf4 && byte(1) > 0x8f;
    return overlong || surrogate || too_large ? 0 : length;
}

} // namespace

Json& Json::key(std::string_view name) {
    separate();
    append_string(name);
    text_ += ": ";
    first_ = true;
    return *this;
}

Json& Json::value(std::string_view text) {
    separate();
    append_string(text);
    return *this;
}

Json& Json::value(bool truth) {
    return literal(truth ? "true" : "false");
}

Json& Json::value(double number) {
    if (!std::isfinite(number))
        return literal("null");
    char text[32];
    const auto result = std::to_chars(text, text + sizeof text, number);
    return literal(std::string_view(text, result.ptr));
}

void Json::print(std::FILE* stream) const {
    std::fprintf(stream, "%s\n", text_.c_str());
}

Json& Json::begin(char bracket) {
    separate();
    text_ += bracket;
    first_ = true;
    return *this;
}

Json& Json::end(char bracket) {
    text_ += bracket;
    first_ = false;
    return *this;
}

Json& Json::literal(std::string_view text) {
    separate();
    text_ += text;
    return *this;
}

void Json::separate() {
    if (!first_)
        text_ += ", ";
    first_ = false;
}

void Json::append_string(std::string_view text) {
    text_ += '"';
    while (!text.empty()) {
        const size_t length = sequence_length(text);
        const unsigned char first = static_cast<unsigned char>(text.front());
        if (length == 0)
            text_ += format("\\udc%02x", first);
        else if (first < 0x20 || first == 0x7f)
            text_ += format("\\u%04x", first);
        else if (first == '"' || first == '\\')
            (text_ += '\\') += text.front();
        else
            text_ += text.substr(0, length);
        text.remove_prefix(length ? length : 1);
    }
    text_ += '"';
}

} // namespace npuenc
