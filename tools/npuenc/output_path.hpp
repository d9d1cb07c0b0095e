// SPDX-License-Identifier: MIT
// Where the result for a recording goes.
#pragma once

#include <string>

namespace npuenc {

// The path given with --output; without one, the recording's name with another suffix in the
// current directory. Failure when there is no such name, or when it is the recording itself.
std::string output_path(const std::string& audio, const std::string& given, const char* suffix);

} // namespace npuenc
