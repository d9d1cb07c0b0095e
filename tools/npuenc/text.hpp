// SPDX-License-Identifier: MIT
// Text for people: printf into a string, sizes, and the lines of a report.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <string>

namespace npuenc {

[[gnu::format(printf, 1, 0)]] std::string vformat(const char* format, std::va_list arguments);
[[gnu::format(printf, 1, 2)]] std::string format(const char* format, ...);

// "72.0 MiB".
std::string bytes_text(uint64_t bytes);

// "1 window", "4 windows".
std::string count_text(uint64_t count, const char* noun);

// A line of a report; further lines of the text are put below the first.
void print_line(std::FILE* stream, const char* label, const std::string& text);

} // namespace npuenc
