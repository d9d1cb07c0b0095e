// SPDX-License-Identifier: MIT
// An instruction stream explained word by word, for people.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace npuenc {

// Of streams longer than this the rest is left out.
constexpr size_t stream_text_words = size_t{1} << 18;

// Any stream of encoding 0.1, whoever made it: a line for each word with its place, its value and
// what it means, and a line that begins with "error:" for whatever is wrong. Words are never read
// beyond the end.
std::string stream_text(std::span<const uint32_t> words);

} // namespace npuenc
