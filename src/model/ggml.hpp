// SPDX-License-Identifier: MIT
// whisper.cpp's ggml-*.bin.
#pragma once

#include <memory>

#include "model/byte_source.hpp"
#include "model/model_file.hpp"

namespace npuenc {

constexpr uint32_t ggml_magic = 0x67676d6c;

std::unique_ptr<ModelFile> open_ggml(std::unique_ptr<ByteSource> source);

} // namespace npuenc
