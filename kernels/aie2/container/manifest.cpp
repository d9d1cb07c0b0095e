// SPDX-License-Identifier: MIT
// The manifest beside an overlay: what a host program must know to use it, as JSON.
#include "kernels/aie2/container/manifest.hpp"

#include "kernels/aie2/container/sha256.hpp"
#include "kernels/aie2/container/xclbin.hpp"

namespace npuenc::aie2 {

namespace {

std::string json_of(std::string_view text) {
    std::string json = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\') {
            json += '\\';
        } else if (static_cast<unsigned char>(c) < ' ') {
            throw ContainerError("manifest: control characters in " + quoted(text));
        }
        json += c;
    }
    return json + "\"";
}

std::string json_of(int64_t number) {
    return std::to_string(number);
}

std::string json_of(const std::vector<uint16_t>& numbers) {
    std::string json = "[";
    for (uint16_t number : numbers) {
        json += (json.size() > 1 ? ", " : "") + std::to_string(number);
    }
    return json + "]";
}

// An object, a member a line; a map has its keys in order.
std::string object_of(const std::map<std::string, std::string>& members,
                      const std::string& indent) {
    if (members.empty()) {
        return "{}";
    }
    std::string json = "{";
    for (const auto& [key, value] : members) {
        json += (json.size() > 1 ? ",\n" : "\n") + indent + "  " + json_of(key) + ": " + value;
    }
    return json + "\n" + indent + "}";
}

template <class Value>
std::string json_of(const std::map<std::string, Value>& values) {
    std::map<std::string, std::string> members;
    for (const auto& [key, value] : values) {
        members[key] = json_of(value);
    }
    return object_of(members, "  ");
}

} // namespace

std::string write_manifest(const Manifest& manifest, Bytes xclbin, std::string_view version) {
    const Xclbin overlay = parse_xclbin(xclbin);
    return object_of({{"columns", json_of(overlay.columns)},
                      {"kernel", json_of(manifest.kernel)},
                      {"layout", json_of(manifest.layout)},
                      {"name", json_of(manifest.name)},
                      {"sha256", json_of(text_of_bytes(sha256(xclbin)))},
                      {"start_columns", json_of(overlay.start_columns)},
                      {"tile", json_of(manifest.tile)},
                      {"types", json_of(manifest.types)},
                      {"uuid", json_of(text_of(overlay.uuid))},
                      {"version", json_of(version)}},
                     "") +
           "\n";
}

} // namespace npuenc::aie2
