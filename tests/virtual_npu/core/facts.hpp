// SPDX-License-Identifier: MIT
// Where the facts about the NPU lie, which are not part of the repository.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>

// NPUENC_NPU_FACTS, else the argument that Meson gives. Ends the test as skipped if it is absent.
inline std::filesystem::path facts_or_skip(int argc, char** argv) {
    const char* named = std::getenv("NPUENC_NPU_FACTS");
    std::filesystem::path directory = named ? named : argc > 1 ? argv[1] : "";
    if (directory.empty() || !std::filesystem::is_directory(directory)) {
        std::printf("skipped: no facts about the NPU in '%s'\n", directory.string().c_str());
        std::exit(77);
    }
    return directory;
}
