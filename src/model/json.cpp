// SPDX-License-Identifier: MIT
// JSON events by nlohmann's parser, which does not recurse and so cannot be made to overflow the
// stack.
#include "model/json.hpp"

#include <cstddef>
#include <string_view>

#include <nlohmann/json.hpp>

namespace npuenc {
namespace {

constexpr size_t max_depth = 16;
constexpr size_t max_token_bytes = 1 << 16;

// The parser collects a string or number as a whole, in several copies; this bounds them.
bool has_long_token(std::string_view text) {
    bool in_string = false;
    size_t begin = 0;
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string && c == '\\') {
            ++i;
        } else if (c == '"') {
            in_string = !in_string;
            begin = i;
        } else if (!in_string && std::string_view(",:[]{} \t\r\n").find(c) != text.npos) {
            begin = i;
        }
        if (i - begin > max_token_bytes) {
            return true;
        }
    }
    return false;
}

// Follows where in the document the parser is. The parser calls with its own names and types.
class Events final : public nlohmann::json_sax<nlohmann::json> {
  public:
    Events(const ByteSource& source, const char* what, JsonVisitor& visitor)
        : source_(source), what_(what), visitor_(visitor) {}

    bool null() override { return scalar({}); }
    bool boolean(bool) override { return scalar({.kind = JsonScalar::Kind::boolean}); }
    bool number_integer(number_integer_t) override {
        return scalar({.kind = JsonScalar::Kind::other_number});
    }
    bool number_unsigned(number_unsigned_t value) override {
        return scalar({.kind = JsonScalar::Kind::whole, .whole = value});
    }
    bool number_float(number_float_t, const string_t&) override {
        return scalar({.kind = JsonScalar::Kind::other_number});
    }
    bool string(string_t& value) override {
        return scalar({.kind = JsonScalar::Kind::string, .text = value});
    }
    bool binary(binary_t&) override { return false; } // is not JSON

    bool start_object(size_t) override { return start(false); }
    bool start_array(size_t) override { return start(true); }
    bool end_object() override { return end(); }
    bool end_array() override { return end(); }
    bool key(string_t& value) override {
        path_.back().key = value;
        return true;
    }

    bool parse_error(size_t position, const std::string&,
                     const nlohmann::detail::exception&) override {
        source_.bad("the JSON of the %s is malformed at its byte %zu", what_, position);
    }

  private:
    bool start(bool is_array) {
        if (path_.size() == max_depth) {
            source_.bad("the JSON of the %s is nested more than %zu deep", what_, max_depth);
        }
        visitor_.begin(path_, is_array);
        path_.push_back({.in_array = is_array});
        return true;
    }

    bool end() {
        path_.pop_back();
        visitor_.end(path_);
        return next();
    }

    bool scalar(const JsonScalar& value) {
        visitor_.scalar(path_, value);
        return next();
    }

    bool next() {
        if (!path_.empty()) {
            ++path_.back().index;
        }
        return true;
    }

    const ByteSource& source_;
    const char* what_;
    JsonVisitor& visitor_;
    JsonPath path_;
};

} // namespace

void parse_json(const ByteSource& source, uint64_t offset, uint64_t bytes, const char* what,
                JsonVisitor& visitor) {
    std::string text(static_cast<size_t>(bytes), '\0');
    source.read(offset, text.data(), text.size());
    // nlohmann's parser would take a NUL for the end.
    if (const size_t nul = text.find('\0'); nul != text.npos) {
        source.bad("the JSON of the %s is malformed at its byte %zu", what, nul + 1);
    }
    if (has_long_token(text)) {
        source.bad("the JSON of the %s has a string or number of more than %zu bytes", what,
                   max_token_bytes);
    }
    Events events(source, what, visitor);
    nlohmann::json::sax_parse(text, &events);
}

} // namespace npuenc
