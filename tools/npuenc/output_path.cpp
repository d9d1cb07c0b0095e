// SPDX-License-Identifier: MIT
#include "output_path.hpp"

#include <filesystem>

#include "failure.hpp"

namespace npuenc {

std::string output_path(const std::string& audio, const std::string& given, const char* suffix) {
    std::string path = given;
    if (path.empty()) {
        if (audio == "-")
            fail(exit_usage, "the recording is standard input: name the result with --output");
        path = std::filesystem::path(audio).stem().string() + suffix;
    }
    std::error_code error;
    if (path != "-" && audio != "-" && std::filesystem::equivalent(path, audio, error))
        fail(exit_usage, "the result would replace the recording %s: name another with --output",
             audio.c_str());
    return path;
}

} // namespace npuenc
