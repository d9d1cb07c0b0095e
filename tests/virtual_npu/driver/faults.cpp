// SPDX-License-Identifier: MIT
#include "faults.hpp"

#include <charconv>
#include <optional>

namespace virtual_npu {
namespace {

constexpr std::string_view names[] = {
    "open",       "memlock",      "heap",      "memory",       "context", "config",
    "submit",     "sync",         "error",     "timeout",      "reset",   "removed",
    "wrong-data", "firmware-old", "no-driver", "node-missing",
};

std::optional<FaultPoint> point_of(std::string_view name) {
    for (uint32_t i = 0; i < std::size(names); ++i)
        if (names[i] == name)
            return static_cast<FaultPoint>(i);
    return {};
}

} // namespace

bool FaultList::read(std::string_view text) {
    FaultList list;
    while (!text.empty()) {
        std::string_view word = text.substr(0, text.find(','));
        text.remove_prefix(std::min(text.size(), word.size() + 1));
        uint32_t at = 0;
        if (const size_t colon = word.find(':'); colon != word.npos) {
            const char* end = word.data() + word.size();
            const auto [p, error] = std::from_chars(word.data() + colon + 1, end, at);
            if (error != std::errc() || p != end || at == 0)
                return false;
            word = word.substr(0, colon);
        }
        const std::optional<FaultPoint> point = point_of(word);
        if (!point || list.size_ == list.entries_.size())
            return false;
        list.entries_[list.size_++] = {*point, at, 0};
    }
    *this = list;
    return true;
}

bool FaultList::occurs(FaultPoint point) {
    bool fails = false;
    for (uint32_t i = 0; i < size_; ++i)
        if (entries_[i].point == point)
            fails |= entries_[i].at == 0 || ++entries_[i].seen == entries_[i].at;
    return fails;
}

bool FaultList::always(FaultPoint point) const {
    for (uint32_t i = 0; i < size_; ++i)
        if (entries_[i].point == point && entries_[i].at == 0)
            return true;
    return false;
}

} // namespace virtual_npu
