// SPDX-License-Identifier: MIT
// What the tests of how NPUs are found share: made-up files, findings as text.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/npu/support.hpp"

namespace npuenc {

using std::filesystem::path;

// A directory of this test alone, which goes with it.
class Directory {
  public:
    Directory() {
        std::string pattern = std::filesystem::temp_directory_path() / "npuenc-XXXXXX";
        if (!mkdtemp(pattern.data()))
            throw std::filesystem::filesystem_error("mkdtemp", {});
        path_ = pattern;
    }
    ~Directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;

    operator const path&() const { return path_; }
    std::string string() const { return path_; }
    path operator/(const path& name) const { return path_ / name; }

  private:
    path path_;
};

inline std::vector<uint8_t> read_bytes(const path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_bytes(const path& file, const std::vector<uint8_t>& bytes) {
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
}

inline void write_text(const path& file, std::string_view text) {
    write_bytes(file, {text.begin(), text.end()});
}

// Set for as long as this lives.
class Variable {
  public:
    Variable(const char* name, const std::string& value) : name_(name) {
        setenv(name, value.c_str(), 1);
    }
    ~Variable() { unsetenv(name_); }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;

  private:
    const char* name_;
};

inline path modules; // directory of those that bad_module.c makes

// One of them, where npuenc looks for its own.
class Installed {
  public:
    explicit Installed(const char* name) : variable_("NPUENC_MODULE_PATH", directory_.string()) {
        std::filesystem::copy(modules / (std::string(name) + ".so"), file());
    }
    path file() const { return directory_ / "npuenc-xrt.so"; }

  private:
    Directory directory_;
    Variable variable_;
};

} // namespace npuenc
