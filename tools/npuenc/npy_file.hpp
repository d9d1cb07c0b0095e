// SPDX-License-Identifier: MIT
// A .npy file of floats (NumPy's format, version 1.0: numpy/lib/format.py), item by item.
#pragma once

#include <cstdint>

#include "output_file.hpp"

namespace npuenc {

// The array is [items][rows][columns], little-endian float32 in C order.
class NpyFile {
  public:
    NpyFile(std::string path, size_t rows, size_t columns);

    void append(const float* item);
    void commit(); // the file is there from here on only

    uint64_t n_items() const { return n_items_; }
    size_t rows() const { return rows_; }
    size_t columns() const { return columns_; }
    const std::string& path() const { return file_.path(); }

  private:
    std::string header() const;

    OutputFile file_;
    size_t rows_, columns_;
    uint64_t n_items_ = 0;
};

} // namespace npuenc
