// SPDX-License-Identifier: MIT
#include "failure.hpp"

#include "text.hpp"

namespace npuenc {

void fail(int exit_status, const char* format, ...) {
    std::va_list arguments;
    va_start(arguments, format);
    std::string message = vformat(format, arguments);
    va_end(arguments);
    throw Failure(exit_status, std::move(message));
}

} // namespace npuenc
