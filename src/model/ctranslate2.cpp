// SPDX-License-Identifier: MIT
// The layout is that of ModelSpec._serialize in CTranslate2's
// python/ctranslate2/specs/model_spec.py:
//   u32 version, string specification, u32 revision,
//   u32 n, n x (string name, u8 rank, u32 dimensions[rank], u8 type, u32 bytes, data),
//   u32 n, n x (string alias, string name)
// without padding, little-endian; a string is u16 length, then that many bytes of which the last is
// NUL. int8 weights have a tensor NAME_scale beside them: f32, one a row, weight = q / scale.
#include "model/ctranslate2.hpp"

#include <algorithm>

#include "model/stored_model.hpp"

namespace npuenc {
namespace {

// By Role. The projections of query, key and value are stacked in one tensor.
constexpr const char* names[n_roles] = {
    "encoder/conv1/weight",
    "encoder/conv1/bias",
    "encoder/conv2/weight",
    "encoder/conv2/bias",
    "encoder/position_encodings/encodings",
    "encoder/layer_#/self_attention/layer_norm/gamma",
    "encoder/layer_#/self_attention/layer_norm/beta",
    "encoder/layer_#/self_attention/linear_0/weight",
    "encoder/layer_#/self_attention/linear_0/bias",
    "encoder/layer_#/self_attention/linear_0/weight",
    "encoder/layer_#/self_attention/linear_0/weight",
    "encoder/layer_#/self_attention/linear_0/bias",
    "encoder/layer_#/self_attention/linear_1/weight",
    "encoder/layer_#/self_attention/linear_1/bias",
    "encoder/layer_#/ffn/layer_norm/gamma",
    "encoder/layer_#/ffn/layer_norm/beta",
    "encoder/layer_#/ffn/linear_0/weight",
    "encoder/layer_#/ffn/linear_0/bias",
    "encoder/layer_#/ffn/linear_1/weight",
    "encoder/layer_#/ffn/linear_1/bias",
    "encoder/layer_norm/gamma",
    "encoder/layer_norm/beta",
};

// Which third of a stack, and of how many parts.
std::pair<uint32_t, uint32_t> part_of(Role role) {
    switch (role) {
    case Role::query_weight:
    case Role::query_bias:
        return {0, 3};
    case Role::key_weight:
        return {1, 3};
    case Role::value_weight:
    case Role::value_bias:
        return {2, 3};
    default:
        return {0, 1};
    }
}

constexpr uint32_t oldest_version = 4; // before it, tensors had no type
constexpr uint32_t newest_version = 6;
constexpr uint32_t newest_revision = 3; // of WhisperSpec

std::string read_string(const ByteSource& source, Cursor& cursor, const char* what) {
    const unsigned long long offset = cursor.offset();
    const uint16_t bytes = cursor.u16(what);
    if (bytes < 1 || bytes > max_name_bytes) {
        source.bad("%s at offset %llu has %u bytes, expected 1 to %u", what, offset, bytes,
                   max_name_bytes);
    }
    std::string text = cursor.string(bytes, what);
    if (text.find('\0') != text.size() - 1) {
        source.bad("%s at offset %llu does not end with its only NUL", what, offset);
    }
    text.pop_back();
    return text;
}

class CTranslate2File final : public StoredModel {
  public:
    explicit CTranslate2File(std::unique_ptr<ByteSource> source)
        : StoredModel("ctranslate2", names) {
        Cursor cursor(keep(std::move(source)));
        read_specification(cursor);
        const uint32_t n_tensors = read_count(cursor, "tensors");
        for (uint32_t i = 0; i < n_tensors; ++i) {
            read_tensor(cursor);
        }
        const uint32_t n_aliases = read_count(cursor, "aliases");
        for (uint32_t i = 0; i < n_aliases; ++i) {
            read_alias(cursor);
        }
        if (cursor.remaining() > 0) {
            main_source().bad("%llu bytes follow the end of the model at offset %llu",
                              static_cast<unsigned long long>(cursor.remaining()),
                              static_cast<unsigned long long>(cursor.offset()));
        }
        HyperParameters found = hyper_parameters_of_shapes();
        found.n_head = n_head_ != 0 ? n_head_ : found.n_head;
        set_hyper_parameters(found);
        for_each_tensor(hyper_parameters_, [this](TensorId id) {
            const auto [part, parts] = part_of(id.role);
            bind(id, part, parts);
        });
        for (uint32_t layer = 0; layer < hyper_parameters_.n_layer; ++layer) {
            check_key_bias(layer);
        }
        if (const auto embeddings = tensors_.find("decoder/embeddings/weight");
            embeddings != tensors_.end() && embeddings->second.shape.rank == 2) {
            n_vocab_ = static_cast<uint32_t>(embeddings->second.shape.dims[0]);
        }
        finish("encoder/");
    }

  private:
    void read_specification(Cursor& cursor) {
        const ByteSource& source = main_source();
        const uint32_t version = cursor.u32("the version");
        if (version > newest_version) {
            source.too_new("version %u of CTranslate2's format is newer than the %u known here",
                           version, newest_version);
        }
        if (version < oldest_version) {
            source.bad("version %u of CTranslate2's format is older than Whisper", version);
        }
        const std::string specification = read_string(source, cursor, "the specification");
        if (specification != "WhisperSpec") {
            source.bad("is a CTranslate2 model of %s, expected 'WhisperSpec'",
                       quoted(specification).c_str());
        }
        const uint32_t revision = cursor.u32("the revision");
        if (revision > newest_revision) {
            source.too_new("revision %u of WhisperSpec is newer than the %u known here", revision,
                           newest_revision);
        }
        if (revision < 1) {
            source.bad("revision 0 of WhisperSpec does not exist");
        }
    }

    uint32_t read_count(Cursor& cursor, const char* what) {
        const unsigned long long offset = cursor.offset();
        const uint32_t count = cursor.u32(what);
        if (count > max_tensors) {
            main_source().bad("the number of %s at offset %llu is %u, expected at most %u", what,
                              offset, count, max_tensors);
        }
        return count;
    }

    void read_tensor(Cursor& cursor) {
        const ByteSource& source = main_source();
        const unsigned long long header = cursor.offset();
        const std::string name = read_string(source, cursor, "a tensor's name");
        StoredTensor tensor{.source = &source};
        tensor.shape.rank = cursor.u8("a tensor's rank");
        if (tensor.shape.rank > Shape::max_rank) {
            source.bad("tensor %s has %u dimensions, expected at most %u", quoted(name).c_str(),
                       tensor.shape.rank, Shape::max_rank);
        }
        uint64_t elements = 1;
        for (uint32_t i = 0; i < tensor.shape.rank; ++i) {
            tensor.shape.dims[i] = cursor.u32("a tensor's dimensions");
            elements *= tensor.shape.dims[i];
            if (elements > UINT32_MAX) {
                source.bad("tensor %s has more elements than 32 bits count", quoted(name).c_str());
            }
        }
        const uint8_t type = cursor.u8("a tensor's type");
        const uint32_t bytes = cursor.u32("a tensor's size");
        static constexpr uint32_t type_bytes[] = {4, 1, 2, 4, 2, 2};
        if (type >= std::size(type_bytes)) {
            source.bad("tensor %s at offset %llu has the unknown type %u", quoted(name).c_str(),
                       header, type);
        }
        if (bytes != elements * type_bytes[type]) {
            source.bad("tensor %s has %u bytes, expected %llu for its shape %s",
                       quoted(name).c_str(), bytes,
                       static_cast<unsigned long long>(elements * type_bytes[type]),
                       to_string(tensor.shape).c_str());
        }
        tensor.offset = cursor.offset();
        if (name == "encoder/num_heads") {
            read_heads(cursor, type, elements);
            return;
        }
        cursor.skip(bytes, ("tensor " + quoted(name)).c_str());
        switch (type) {
        case 0:
            tensor.storage = Storage::f32;
            break;
        case 1:
            tensor.storage = Storage::int8;
            break;
        case 4:
            tensor.storage = Storage::f16;
            break;
        case 5:
            tensor.storage = Storage::bf16;
            break;
        default:
            if (name.starts_with("encoder/")) {
                source.bad("tensor %s is of %s, which is none of f32 f16 bf16 int8",
                           quoted(name).c_str(), type == 2 ? "int16" : "int32");
            }
            return;
        }
        if (!tensors_.emplace(name, tensor).second) {
            source.bad("tensor %s is there a second time at offset %llu", quoted(name).c_str(),
                       header);
        }
    }

    void read_heads(Cursor& cursor, uint8_t type, uint64_t elements) {
        const uint64_t offset = cursor.offset();
        if (elements != 1 || n_head_ != 0) {
            main_source().bad("'encoder/num_heads' at offset %llu is not one number given once",
                              static_cast<unsigned long long>(offset));
        }
        int32_t value = 0;
        if (type == 1) {
            value = static_cast<int8_t>(cursor.u8("'encoder/num_heads'"));
        } else if (type == 2) {
            value = static_cast<int16_t>(cursor.u16("'encoder/num_heads'"));
        } else if (type == 3) {
            value = cursor.i32("'encoder/num_heads'");
        }
        if (value < 1) {
            main_source().bad("'encoder/num_heads' at offset %llu is not a positive integer",
                              static_cast<unsigned long long>(offset));
        }
        n_head_ = static_cast<uint32_t>(value);
    }

    // An alias of a weight is one of its scale too, without saying so.
    void read_alias(Cursor& cursor) {
        const std::string alias = read_string(main_source(), cursor, "an alias");
        const std::string name = read_string(main_source(), cursor, "an alias's tensor");
        const auto found = tensors_.find(name);
        if (found == tensors_.end()) {
            if (alias.starts_with("encoder/")) {
                main_source().bad("alias %s is of %s, which does not exist", quoted(alias).c_str(),
                                  quoted(name).c_str());
            }
            return;
        }
        add_alias(alias, found->second);
        if (const auto scale = tensors_.find(name + "_scale"); scale != tensors_.end()) {
            add_alias(alias + "_scale", scale->second);
        }
    }

    void add_alias(const std::string& alias, const StoredTensor& tensor) {
        if (!tensors_.emplace(alias, StoredTensor(tensor)).second) {
            main_source().bad("alias %s is the name of another tensor", quoted(alias).c_str());
        }
    }

    // Whisper's key has no bias; here it has one of zeros.
    void check_key_bias(uint32_t layer) {
        const std::string name = name_of({Role::query_bias, layer});
        const StoredTensor& bias = tensors_[name];
        const uint32_t n = hyper_parameters_.n_state;
        std::vector<unsigned char> bytes(size_t{n} * block_bytes(bias.storage));
        std::vector<float> values(n);
        bias.source->read(bias.offset + bytes.size(), bytes.data(), bytes.size());
        decode(bias.storage, bytes.data(), n, values.data());
        if (std::any_of(values.begin(), values.end(), [](float value) { return value != 0.0f; })) {
            main_source().bad("tensor %s has a bias for the key, which Whisper has not",
                              quoted(name).c_str());
        }
    }

    uint32_t n_head_ = 0; // 0 while not known
};

} // namespace

bool looks_like_ctranslate2(const ByteSource& source) {
    char head[6 + max_name_bytes];
    const size_t bytes = static_cast<size_t>(std::min<uint64_t>(source.size(), sizeof head));
    if (bytes < 8) {
        return false;
    }
    source.read(0, head, bytes);
    Cursor cursor(source);
    const uint32_t version = cursor.u32("");
    const uint16_t length = cursor.u16("");
    return version >= 1 && version < 256 && length >= 2 && 6u + length <= bytes &&
           head[6 + length - 1] == '\0' &&
           std::all_of(head + 6, head + 6 + length - 1, [](char c) { return c > ' ' && c <= '~'; });
}

std::unique_ptr<ModelFile> open_ctranslate2(std::unique_ptr<ByteSource> source) {
    return std::make_unique<CTranslate2File>(std::move(source));
}

} // namespace npuenc
