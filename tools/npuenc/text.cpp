// SPDX-License-Identifier: MIT
#include "text.hpp"

namespace npuenc {

std::string vformat(const char* format, std::va_list arguments) {
    std::va_list again;
    va_copy(again, arguments);
    const int length = std::vsnprintf(nullptr, 0, format, again);
    va_end(again);
    if (length < 0)
        return format;
    std::string text(static_cast<size_t>(length), '\0');
    std::vsnprintf(text.data(), text.size() + 1, format, arguments);
    return text;
}

std::string format(const char* format, ...) {
    std::va_list arguments;
    va_start(arguments, format);
    std::string text = vformat(format, arguments);
    va_end(arguments);
    return text;
}

std::string bytes_text(uint64_t bytes) {
    const double value = static_cast<double>(bytes);
    if (value >= 1024.0 * 1024 * 1024)
        return format("%.1f GiB", value / (1024.0 * 1024 * 1024));
    return format("%.1f MiB", value / (1024.0 * 1024));
}

std::string count_text(uint64_t count, const char* noun) {
    return format("%llu %s%s", static_cast<unsigned long long>(count), noun, count == 1 ? "" : "s");
}

void print_line(std::FILE* stream, const char* label, const std::string& text) {
    for (size_t begin = 0; begin <= text.size();) {
        size_t end = text.find('\n', begin);
        if (end == text.npos)
            end = text.size();
        std::fprintf(stream, "%-10s %.*s\n", begin == 0 ? label : "", static_cast<int>(end - begin),
                     text.data() + begin);
        begin = end + 1;
    }
}

} // namespace npuenc
