// SPDX-License-Identifier: MIT
// Finds out what a path or a piece of memory is, and says so when it is none of the three formats.
#include "model/model_file.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

#include <sys/stat.h>

#include "error.hpp"
#include "model/byte_source.hpp"
#include "model/ctranslate2.hpp"
#include "model/ggml.hpp"
#include "model/safetensors.hpp"

namespace npuenc {
namespace {

constexpr const char* accepted = "a whisper.cpp ggml-*.bin, a Hugging Face model.safetensors or a "
                                 "CTranslate2 model.bin is expected";

// What people mistake for a model file, by its first bytes.
const char* guess(std::string_view head) {
    struct Known {
        std::string_view magic;
        const char* name;
        size_t offset = 0;
    };
    static constexpr Known known[] = {
        {"GGUF", "a GGUF file, which whisper.cpp does not use"},
        {"tjgg", "a GGJT file of llama.cpp"},
        {"PK\x03\x04", "a ZIP archive, such as PyTorch's .pt and pytorch_model.bin"},
        {"\x80\x02", "a Python pickle, such as PyTorch's older .pt and pytorch_model.bin"},
        {"version https://git-lfs", "a Git LFS pointer instead of the file itself"},
        {"\x89HDF", "an HDF5 file, such as Keras's"},
        {"\x1f\x8b", "gzip-compressed"},
        {"TFL3", "a TensorFlow Lite file", 4},
        {"RIFF", "a RIFF file, such as a WAV recording"},
        {"{", "JSON; give the model's directory"},
        {"<", "HTML or XML, such as an error page of a server"},
    };
    for (const Known& candidate : known) {
        if (candidate.offset <= head.size() &&
            head.substr(candidate.offset).starts_with(candidate.magic)) {
            return candidate.name;
        }
    }
    return nullptr;
}

bool is_directory(const std::string& path) {
    struct stat status;
    return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

bool exists(const std::string& path) {
    struct stat status;
    return ::stat(path.c_str(), &status) == 0;
}

// `config` is looked for where there is a path.
std::unique_ptr<ModelFile> open_source(std::unique_ptr<ByteSource> source,
                                       std::unique_ptr<ByteSource> config) {
    char head[64] = {};
    const size_t bytes = static_cast<size_t>(std::min<uint64_t>(source->size(), sizeof head));
    if (bytes == 0) {
        source->bad("is empty; %s", accepted);
    }
    source->read(0, head, bytes);
    uint32_t magic;
    std::memcpy(&magic, head, sizeof magic); // zeros follow what is shorter
    if (magic == ggml_magic) {
        return open_ggml(std::move(source));
    }
    if (looks_like_safetensors(*source)) {
        return open_safetensors(std::move(source), std::move(config));
    }
    if (looks_like_ctranslate2(*source)) {
        return open_ctranslate2(std::move(source));
    }
    std::string_view text(head, bytes);
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
    const char* what = guess(text);
    source->bad("is %s; %s", what != nullptr ? what : "of no format that is known here", accepted);
}

std::unique_ptr<ByteSource> open_if_there(const std::string& path) {
    return exists(path) ? open_file(path) : nullptr;
}

std::unique_ptr<ModelFile> open_directory(const std::string& path) {
    const std::string directory = path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
    const std::string config = directory + "/config.json";
    const std::string whole = directory + "/model.safetensors";
    const std::string index = whole + ".index.json";
    const std::string binary = directory + "/model.bin";
    if (exists(whole)) {
        return open_safetensors(open_file(whole), open_file(config));
    }
    if (exists(index)) {
        return open_sharded_safetensors(directory, open_file(index), open_file(config));
    }
    if (exists(binary)) {
        return open_source(open_file(binary), nullptr);
    }
    const bool is_pytorch = exists(directory + "/pytorch_model.bin");
    fail(NPUENC_E_BAD_MODEL,
         "%s: a directory with %s, but without model.safetensors, model.safetensors.index.json or "
         "model.bin",
         quoted(path).c_str(), is_pytorch ? "PyTorch's pytorch_model.bin" : "other things");
}

} // namespace

std::unique_ptr<ModelFile> open_model_file(const std::string& path) {
    if (is_directory(path)) {
        return open_directory(path);
    }
    std::unique_ptr<ByteSource> source = open_file(path);
    const size_t slash = path.rfind('/');
    const std::string beside = slash == path.npos ? "" : path.substr(0, slash + 1);
    const bool wants_config = looks_like_safetensors(*source);
    return open_source(std::move(source),
                       wants_config ? open_if_there(beside + "config.json") : nullptr);
}

std::unique_ptr<ModelFile> open_model_memory(const void* data, size_t bytes) {
    return open_source(open_bytes(data, bytes), nullptr);
}

} // namespace npuenc
