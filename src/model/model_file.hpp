// SPDX-License-Identifier: MIT
// A model file, opened and checked, from which tensors are read row by row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "model/hyper_parameters.hpp"
#include "model/tensor.hpp"

namespace npuenc {

// Opening reads the index alone and checks all of it: every tensor of the encoder is there, with
// the shape that the hyper-parameters ask for and its bytes inside the file. So a caller may
// allocate by the hyper-parameters before it reads.
//
// Everything here throws Error: E_NOT_FOUND and E_IO for the file itself, E_BAD_MODEL with one line
// that says what is wrong where, E_TOO_NEW for a format version from the future.
// read_rows may be called from several threads at once.
class ModelFile {
  public:
    virtual ~ModelFile() = default;

    const HyperParameters& hyper_parameters() const { return hyper_parameters_; }
    const char* format() const { return format_; } // "ggml", "safetensors", "ctranslate2"
    const std::string& weight_type() const { return weight_type_; } // of the large matrices: "q5_0"
    uint32_t n_vocab() const { return n_vocab_; } // 0 where the file does not say; 51864 is English
    uint64_t file_bytes() const { return file_bytes_; } // of all its files

    // Writes rows [first, first + count) of a tensor as f32, `count` times the row's elements.
    virtual void read_rows(TensorId id, uint32_t first, uint32_t count, float* out) const = 0;

  protected:
    HyperParameters hyper_parameters_;
    const char* format_ = "";
    std::string weight_type_;
    uint32_t n_vocab_ = 0;
    uint64_t file_bytes_ = 0;
};

// Finds out the format by content: a GGML file, a safetensors file or directory, a CTranslate2 file
// or directory.
std::unique_ptr<ModelFile> open_model_file(const std::string& path);

// The same from memory, for the formats that fit in one file. The bytes must outlive the result.
std::unique_ptr<ModelFile> open_model_memory(const void* data, size_t bytes);

} // namespace npuenc
