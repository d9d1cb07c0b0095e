// SPDX-License-Identifier: MIT
// A file that is there whole or not at all.
#pragma once

#include <string>

#include "descriptor.hpp"

namespace npuenc {

// A regular file is written under another name beside its place and renamed when it is whole.
// Standard output ("-"), pipes and devices get their bytes when there are all.
class OutputFile {
  public:
    explicit OutputFile(std::string path);
    ~OutputFile(); // without commit: leaves nothing behind
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;

    const std::string& path() const { return path_; }
    void write(const void* data, size_t bytes);
    void rewrite_begin(const void* data, size_t bytes);
    void commit();

  private:
    void make_temporary();
    void copy_to_target();
    const char* name() const { return path_ == "-" ? "standard output" : path_.c_str(); }

    std::string path_;
    std::string target_;    // what is to be replaced: the path with symbolic links followed
    std::string temporary_; // empty: it has no name, and the target gets a copy
    Descriptor descriptor_;
};

} // namespace npuenc
