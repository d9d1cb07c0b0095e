// SPDX-License-Identifier: MIT
// JSON (RFC 8259) as text, value by value.
#pragma once

#include <concepts>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace npuenc {

// Bytes of a string that are not UTF-8, as file names may have, become lone surrogates
// \udc80 to \udcff, from which Python's os.fsencode gets them back.
class Json {
  public:
    Json& begin_object() { return begin('{'); }
    Json& end_object() { return end('}'); }
    Json& begin_array() { return begin('['); }
    Json& end_array() { return end(']'); }
    Json& key(std::string_view name);

    Json& value(std::string_view text);
    Json& value(const char* text) { return value(std::string_view(text)); }
    Json& value(const std::string& text) { return value(std::string_view(text)); }
    Json& value(bool truth);
    Json& value(double number); // the shortest text that reads back the same; null if not finite
    Json& value(std::integral auto number) { return literal(std::to_string(number)); }

    Json& member(std::string_view name, const auto& content) { return key(name).value(content); }

    const std::string& text() const { return text_; }
    void print(std::FILE* stream) const;

  private:
    Json& begin(char bracket);
    Json& end(char bracket);
    Json& literal(std::string_view text);
    void separate();
    void append_string(std::string_view text);

    std::string text_;
    bool first_ = true; // of its object or array, or the value of a key
};

} // namespace npuenc
