// SPDX-License-Identifier: MIT
#include "npy_file.hpp"

#include "text.hpp"

namespace npuenc {
namespace {

// Magic, version, length and text: a multiple of 64 with room for three numbers of 20 digits.
constexpr size_t header_bytes = 192;
constexpr size_t preamble_bytes = 10;

} // namespace

NpyFile::NpyFile(std::string path, size_t rows, size_t columns)
    : file_(std::move(path)), rows_(rows), columns_(columns) {
    file_.write(header().data(), header_bytes);
}

void NpyFile::append(const float* item) {
    file_.write(item, rows_ * columns_ * sizeof *item);
    ++n_items_;
}

void NpyFile::commit() {
    file_.rewrite_begin(header().data(), header_bytes);
    file_.commit();
}

std::string NpyFile::header() const {
    constexpr size_t text_bytes = header_bytes - preamble_bytes;
    std::string header("\x93NUMPY\x01\x00", 8);
    header += static_cast<char>(text_bytes & 0xff);
    header += static_cast<char>(text_bytes >> 8);
    header += format("{'descr': '<f4', 'fortran_order': False, 'shape': (%llu, %zu, %zu), }",
                     static_cast<unsigned long long>(n_items_), rows_, columns_);
    header.resize(header_bytes - 1, ' ');
    header += '\n';
    return header;
}

} // namespace npuenc
