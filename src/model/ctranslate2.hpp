// SPDX-License-Identifier: MIT
// CTranslate2's model.bin, the format of faster-whisper.
#pragma once

#include <memory>

#include "model/byte_source.hpp"
#include "model/model_file.hpp"

namespace npuenc {

// True when the source begins as any CTranslate2 model does.
bool looks_like_ctranslate2(const ByteSource& source);

std::unique_ptr<ModelFile> open_ctranslate2(std::unique_ptr<ByteSource> source);

} // namespace npuenc
