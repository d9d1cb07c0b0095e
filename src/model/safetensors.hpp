// SPDX-License-Identifier: MIT
// Hugging Face's model.safetensors.
#pragma once

#include <memory>
#include <string>

#include "model/byte_source.hpp"
#include "model/model_file.hpp"

namespace npuenc {

// True when the source begins as any safetensors file does.
bool looks_like_safetensors(const ByteSource& source);

// `config` is the config.json; without it (null) the dimensions are those of the tensors, and a
// head is 64 wide as in every published Whisper.
std::unique_ptr<ModelFile> open_safetensors(std::unique_ptr<ByteSource> source,
                                            std::unique_ptr<ByteSource> config);

// A model in shards: `index` is the model.safetensors.index.json of the directory.
std::unique_ptr<ModelFile> open_sharded_safetensors(const std::string& directory,
                                                    std::unique_ptr<ByteSource> index,
                                                    std::unique_ptr<ByteSource> config);

} // namespace npuenc
