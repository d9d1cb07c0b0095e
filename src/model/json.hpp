// SPDX-License-Identifier: MIT
// JSON from files that are not trusted, as events: nothing is built that the caller did not ask
// for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/byte_source.hpp"

namespace npuenc {

struct JsonStep {
    std::string key = {}; // of a member of an object; empty in an array
    bool in_array = false;
    uint64_t index = 0; // in the array or object
};
using JsonPath = std::vector<JsonStep>; // empty for the document itself

struct JsonScalar {
    enum class Kind { null, boolean, whole, other_number, string };

    Kind kind = Kind::null;
    uint64_t whole = 0;         // a number without sign, fraction and exponent
    std::string_view text = {}; // of a string
};

class JsonVisitor {
  public:
    virtual ~JsonVisitor() = default;
    virtual void begin(const JsonPath& path, bool is_array) = 0;
    virtual void end(const JsonPath& path) = 0;
    virtual void scalar(const JsonPath& path, const JsonScalar& value) = 0;
};

// Parses bytes [offset, offset + bytes) of the source, one JSON value of at most 16 levels.
// E_BAD_MODEL where it is malformed, deeper, or has a token of more than 64 KiB. `what` is its name
// in messages: "header".
void parse_json(const ByteSource& source, uint64_t offset, uint64_t bytes, const char* what,
                JsonVisitor& visitor);

} // namespace npuenc
