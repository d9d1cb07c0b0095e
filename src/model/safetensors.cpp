// SPDX-License-Identifier: MIT
// The layout is that of the safetensors README: u64 header size, a JSON header that maps names to
// {"dtype", "shape", "data_offsets"}, and data that the tensors cover without a gap or an overlap.
// Tensors and config.json are named as by transformers' WhisperModel.
#include "model/safetensors.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "model/json.hpp"
#include "model/stored_model.hpp"

namespace npuenc {
namespace {

// By Role. A file of a whole WhisperForConditionalGeneration has "model." in front.
constexpr const char* names[n_roles] = {
    "encoder.conv1.weight",
    "encoder.conv1.bias",
    "encoder.conv2.weight",
    "encoder.conv2.bias",
    "encoder.embed_positions.weight",
    "encoder.layers.#.self_attn_layer_norm.weight",
    "encoder.layers.#.self_attn_layer_norm.bias",
    "encoder.layers.#.self_attn.q_proj.weight",
    "encoder.layers.#.self_attn.q_proj.bias",
    "encoder.layers.#.self_attn.k_proj.weight",
    "encoder.layers.#.self_attn.v_proj.weight",
    "encoder.layers.#.self_attn.v_proj.bias",
    "encoder.layers.#.self_attn.out_proj.weight",
    "encoder.layers.#.self_attn.out_proj.bias",
    "encoder.layers.#.final_layer_norm.weight",
    "encoder.layers.#.final_layer_norm.bias",
    "encoder.layers.#.fc1.weight",
    "encoder.layers.#.fc1.bias",
    "encoder.layers.#.fc2.weight",
    "encoder.layers.#.fc2.bias",
    "encoder.layer_norm.weight",
    "encoder.layer_norm.bias",
};

constexpr const char* embeddings_name = "decoder.embed_tokens.weight";

// A large Whisper's header has 0.2 MB.
constexpr uint64_t max_json_bytes = 16 << 20;

std::string without_model(const std::string& name) {
    return name.starts_with("model.") ? name.substr(6) : name;
}

bool is_of_encoder(const std::string& name) {
    return name.starts_with("encoder.");
}

void check_json_size(const ByteSource& source, uint64_t bytes, const char* what) {
    if (bytes > max_json_bytes) {
        source.bad("the %s has %llu bytes, expected at most %llu", what,
                   static_cast<unsigned long long>(bytes),
                   static_cast<unsigned long long>(max_json_bytes));
    }
}

// One tensor of a header.
struct Entry {
    std::string name;
    std::string type;
    std::optional<Shape> shape; // without dimensions past the highest rank
    uint32_t rank = 0;
    std::optional<uint64_t> elements; // none when they overflow
    uint64_t begin = 0;
    uint64_t end = 0;
    uint32_t n_offsets = 0;
};

// Collects the header's entries, checking their form.
class HeaderVisitor final : public JsonVisitor {
  public:
    explicit HeaderVisitor(const ByteSource& source) : source_(source) {}

    std::vector<Entry> entries;

    void begin(const JsonPath& path, bool is_array) override {
        switch (path.size()) {
        case 0:
            if (is_array) {
                source_.bad("the header is not a JSON object");
            }
            return;
        case 1:
            start_entry(path[0].key, is_array);
            return;
        case 2:
            start_member(path[1].key, is_array);
            return;
        default:
            wrong(path[1].key);
        }
    }

    void end(const JsonPath& path) override {
        if (path.size() != 1 || in_metadata_) {
            return;
        }
        const Entry& entry = entries.back();
        if (entry.type.empty() || !entry.shape || entry.n_offsets != 2) {
            source_.bad("tensor %s lacks one of dtype, shape and data_offsets",
                        quoted(entry.name).c_str());
        }
    }

    void scalar(const JsonPath& path, const JsonScalar& value) override {
        if (path.size() < 2) {
            source_.bad("the header is not a JSON object of objects");
        }
        if (in_metadata_) {
            return;
        }
        Entry& entry = entries.back();
        const std::string& key = path[1].key;
        if (path.size() == 2 && key == "dtype" && value.kind == JsonScalar::Kind::string &&
            entry.type.empty() && !value.text.empty() && value.text.size() <= 16) {
            entry.type = value.text;
        } else if (path.size() == 3 && value.kind == JsonScalar::Kind::whole && key == "shape") {
            add_dimension(entry, value.whole);
        } else if (path.size() == 3 && value.kind == JsonScalar::Kind::whole &&
                   key == "data_offsets" && entry.n_offsets < 2) {
            (entry.n_offsets++ == 0 ? entry.begin : entry.end) = value.whole;
        } else {
            wrong(key);
        }
    }

  private:
    void start_entry(const std::string& name, bool is_array) {
        in_metadata_ = name == "__metadata__";
        if (is_array) {
            source_.bad("the header's %s is not a JSON object", quoted(name).c_str());
        }
        if (in_metadata_) {
            return;
        }
        if (entries.size() == max_tensors) {
            source_.bad("more than %u tensors", max_tensors);
        }
        if (name.size() > max_name_bytes) {
            source_.bad("the name of tensor %s has %zu bytes, expected at most %u",
                        quoted(name).c_str(), name.size(), max_name_bytes);
        }
        entries.emplace_back().name = name;
    }

    void start_member(const std::string& key, bool is_array) {
        if (in_metadata_) {
            source_.bad("'__metadata__' is not a JSON object of strings");
        }
        Entry& entry = entries.back();
        if (is_array && key == "shape" && !entry.shape) {
            entry.shape.emplace();
            entry.elements = 1;
        } else if (!is_array || key != "data_offsets" || entry.n_offsets != 0) {
            wrong(key);
        }
    }

    static void add_dimension(Entry& entry, uint64_t dim) {
        if (entry.rank < Shape::max_rank) {
            entry.shape->dims[entry.shape->rank++] = dim;
        }
        ++entry.rank;
        uint64_t product = 0;
        if (entry.elements && !__builtin_mul_overflow(*entry.elements, dim, &product)) {
            entry.elements = product;
        } else {
            entry.elements.reset();
        }
    }

    [[noreturn]] void wrong(const std::string& key) const {
        source_.bad("tensor %s has a malformed or repeated %s", quoted(entries.back().name).c_str(),
                    quoted(key).c_str());
    }

    const ByteSource& source_;
    bool in_metadata_ = false;
};

// Which file has which tensor, by an index.
class IndexVisitor final : public JsonVisitor {
  public:
    explicit IndexVisitor(const ByteSource& source) : source_(source) {}

    std::map<std::string, std::string> files; // of the encoder's tensors

    void begin(const JsonPath& path, bool is_array) override {
        if (is_array && (path.empty() || is_map(path))) {
            source_.bad("the index is not a JSON object with a weight_map");
        }
    }

    void end(const JsonPath&) override {}

    void scalar(const JsonPath& path, const JsonScalar& value) override {
        if (path.empty() || path[0].key != "weight_map") {
            return;
        }
        if (path.size() != 2 || value.kind != JsonScalar::Kind::string) {
            source_.bad("the index's weight_map is not a JSON object of strings");
        }
        const std::string& name = path[1].key;
        if (++n_tensors_ > max_tensors || name.size() > max_name_bytes) {
            source_.bad("the index's weight_map has more than %u tensors or a longer name than %u",
                        max_tensors, max_name_bytes);
        }
        if (!is_of_encoder(without_model(name))) {
            return;
        }
        const std::string_view file = value.text;
        if (file.empty() || file.size() > 255 || file.front() == '.' ||
            file.find_first_of(std::string_view("/\\\0", 3)) != file.npos) {
            source_.bad("the index puts tensor %s into %s, which is not a file's name",
                        quoted(name).c_str(), quoted(file).c_str());
        }
        if (!files.emplace(name, file).second) {
            source_.bad("the index has tensor %s twice", quoted(name).c_str());
        }
    }

  private:
    static bool is_map(const JsonPath& path) {
        return path.size() == 1 && path[0].key == "weight_map";
    }

    const ByteSource& source_;
    uint32_t n_tensors_ = 0;
};

// The members of config.json that say what the encoder is. A repeated one is an error.
class ConfigVisitor final : public JsonVisitor {
  public:
    explicit ConfigVisitor(const ByteSource& source) : source_(source) {}

    void begin(const JsonPath& path, bool is_array) override {
        if (path.empty() && is_array) {
            source_.bad("is not a JSON object");
        }
    }

    void end(const JsonPath&) override {}

    void scalar(const JsonPath& path, const JsonScalar& value) override {
        if (path.size() != 1) {
            return;
        }
        const std::string& key = path[0].key;
        if (key == "model_type" || key == "activation_function") {
            const char* expected = key == "model_type" ? "whisper" : "gelu";
            if (value.kind != JsonScalar::Kind::string || value.text != expected) {
                source_.bad("%s is %s, expected '%s'", key.c_str(), quoted(value.text).c_str(),
                            expected);
            }
            return;
        }
        for (Member& member : members_) {
            if (key == member.name) {
                if (value.kind != JsonScalar::Kind::whole || value.whole > UINT32_MAX ||
                    member.value) {
                    source_.bad("%s is not a number given once", member.name);
                }
                member.value = static_cast<uint32_t>(value.whole);
            }
        }
    }

    HyperParameters hyper_parameters() const {
        const HyperParameters found{.n_mels = require(mels),
                                    .n_ctx = require(ctx),
                                    .n_state = require(state),
                                    .n_head = require(heads),
                                    .n_layer = require(layers)};
        if (const std::string wrong = complaint(found); !wrong.empty()) {
            source_.bad("%s", wrong.c_str());
        }
        if (const auto n_mlp = members_[mlp].value; n_mlp && *n_mlp != found.n_mlp()) {
            source_.bad("encoder_ffn_dim is %u, expected 4 x d_model, %u", *n_mlp, found.n_mlp());
        }
        return found;
    }

    std::optional<uint32_t> n_vocab() const { return members_[vocab].value; }

  private:
    enum { mels, ctx, state, heads, layers, mlp, vocab };
    struct Member {
        const char* name;
        std::optional<uint32_t> value;
    };

    uint32_t require(size_t i) const {
        if (!members_[i].value) {
            source_.bad("%s is missing", members_[i].name);
        }
        return *members_[i].value;
    }

    const ByteSource& source_;
    Member members_[7] = {{"num_mel_bins", {}},   {"max_source_positions", {}},
                          {"d_model", {}},        {"encoder_attention_heads", {}},
                          {"encoder_layers", {}}, {"encoder_ffn_dim", {}},
                          {"vocab_size", {}}};
};

// 0 for a type that is not known here, whose tensors' sizes cannot be checked.
uint32_t bytes_of_type(const std::string& type) {
    static constexpr std::pair<const char*, uint32_t> sizes[] = {
        {"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8}, {"I32", 4}, {"I16", 2},
        {"I8", 1},  {"U64", 8}, {"U32", 4}, {"U16", 2},  {"U8", 1},  {"BOOL", 1}};
    for (const auto& [name, bytes] : sizes) {
        if (type == name) {
            return bytes;
        }
    }
    return 0;
}

std::optional<Storage> storage_of(const std::string& type) {
    if (type == "F32") {
        return Storage::f32;
    }
    if (type == "F16") {
        return Storage::f16;
    }
    if (type == "BF16") {
        return Storage::bf16;
    }
    return {};
}

class SafetensorsFile final : public StoredModel {
  public:
    SafetensorsFile(std::unique_ptr<ByteSource> source, std::unique_ptr<ByteSource> config)
        : StoredModel("safetensors", names) {
        read_header(keep(std::move(source)), nullptr, {});
        find_tensors(std::move(config));
    }

    SafetensorsFile(const std::string& directory, std::unique_ptr<ByteSource> index_source,
                    std::unique_ptr<ByteSource> config)
        : StoredModel("safetensors", names) {
        const ByteSource& source = keep(std::move(index_source));
        check_json_size(source, source.size(), "index");
        IndexVisitor index(source);
        parse_json(source, 0, source.size(), "index", index);
        std::set<std::string> shards;
        for (const auto& [name, file] : index.files) {
            shards.insert(file);
            if (shards.size() > max_shards) {
                source.bad("the index has more than %zu files of the encoder", max_shards);
            }
        }
        for (const std::string& shard : shards) {
            read_header(keep(open_file(directory + "/" + shard)), &index.files, shard);
        }
        find_tensors(std::move(config));
    }

  private:
    static constexpr size_t max_shards = 128; // each is an open file

    // With `files`, the tensors of the encoder must be where the index says.
    void read_header(const ByteSource& source, const std::map<std::string, std::string>* files,
                     const std::string& shard) {
        Cursor cursor(source);
        const uint64_t bytes = uint64_t{cursor.u32("the header's size")} |
                               uint64_t{cursor.u32("the header's size")} << 32;
        if (bytes > cursor.remaining()) {
            source.bad("the header has %llu bytes, but only %llu follow its size",
                       static_cast<unsigned long long>(bytes),
                       static_cast<unsigned long long>(cursor.remaining()));
        }
        check_json_size(source, bytes, "header");
        HeaderVisitor header(source);
        parse_json(source, cursor.offset(), bytes, "header", header);
        const uint64_t data = cursor.offset() + bytes;
        for (const Entry& entry : header.entries) {
            check_size(source, entry);
        }
        check_tiling(source, header.entries, source.size() - data);
        for (const Entry& entry : header.entries) {
            if (files != nullptr && is_of_encoder(without_model(entry.name))) {
                const auto found = files->find(entry.name);
                if (found == files->end() || found->second != shard) {
                    source.bad("tensor %s is here, but not by the index",
                               quoted(entry.name).c_str());
                }
            }
            add(source, entry, data);
        }
    }

    static void check_size(const ByteSource& source, const Entry& entry) {
        if (!entry.elements || entry.begin > entry.end) {
            source.bad("tensor %s has %llu to %llu as its data_offsets, or an impossible shape",
                       quoted(entry.name).c_str(), static_cast<unsigned long long>(entry.begin),
                       static_cast<unsigned long long>(entry.end));
        }
        const uint32_t element_bytes = bytes_of_type(entry.type);
        const uint64_t bytes = entry.end - entry.begin;
        if (element_bytes != 0 &&
            (bytes % element_bytes != 0 || bytes / element_bytes != *entry.elements)) {
            source.bad("tensor %s has %llu bytes for %llu elements of %s",
                       quoted(entry.name).c_str(), static_cast<unsigned long long>(bytes),
                       static_cast<unsigned long long>(*entry.elements), entry.type.c_str());
        }
    }

    // So no tensor is outside of the file, and none is on another.
    static void check_tiling(const ByteSource& source, std::vector<Entry>& entries, uint64_t data) {
        std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
            return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
        });
        uint64_t covered = 0;
        for (const Entry& entry : entries) {
            if (entry.begin != covered) {
                source.bad("tensor %s begins at data offset %llu, expected %llu",
                           quoted(entry.name).c_str(), static_cast<unsigned long long>(entry.begin),
                           static_cast<unsigned long long>(covered));
            }
            covered = entry.end;
        }
        if (covered != data) {
            source.bad("the tensors take %llu bytes, but the file has %llu of data",
                       static_cast<unsigned long long>(covered),
                       static_cast<unsigned long long>(data));
        }
    }

    void add(const ByteSource& source, const Entry& entry, uint64_t data) {
        const std::string name = without_model(entry.name);
        if (!is_of_encoder(name) && name != embeddings_name) {
            return;
        }
        const std::optional<Storage> storage = storage_of(entry.type);
        if (!storage || entry.rank > Shape::max_rank) {
            source.bad("tensor %s is of %s with %u dimensions, expected F32, F16 or BF16 with at "
                       "most %u",
                       quoted(entry.name).c_str(), quoted(entry.type).c_str(), entry.rank,
                       Shape::max_rank);
        }
        const StoredTensor tensor{.source = &source,
                                  .offset = data + entry.begin,
                                  .storage = *storage,
                                  .shape = *entry.shape};
        if (!tensors_.emplace(name, tensor).second) {
            source.bad("tensor %s is there twice", quoted(entry.name).c_str());
        }
    }

    void find_tensors(std::unique_ptr<ByteSource> config_source) {
        if (config_source) {
            const ByteSource& source = keep(std::move(config_source));
            check_json_size(source, source.size(), "configuration");
            ConfigVisitor config(source);
            parse_json(source, 0, source.size(), "configuration", config);
            set_hyper_parameters(config.hyper_parameters());
            n_vocab_ = config.n_vocab().value_or(0);
        } else {
            set_hyper_parameters(hyper_parameters_of_shapes());
        }
        if (n_vocab_ == 0 && tensors_.contains(embeddings_name)) {
            n_vocab_ = static_cast<uint32_t>(tensors_[embeddings_name].shape.dims[0]);
        }
        for_each_tensor(hyper_parameters_, [this](TensorId id) { bind(id); });
        finish("encoder.");
    }
};

} // namespace

bool looks_like_safetensors(const ByteSource& source) {
    if (source.size() < 10) {
        return false;
    }
    unsigned char head[9];
    source.read(0, head, sizeof head);
    // The upper half of the header's size is 0 in any real file, but seldom elsewhere.
    return head[8] == '{' && (head[4] | head[5] | head[6] | head[7]) == 0;
}

std::unique_ptr<ModelFile> open_safetensors(std::unique_ptr<ByteSource> source,
                                            std::unique_ptr<ByteSource> config) {
    return std::make_unique<SafetensorsFile>(std::move(source), std::move(config));
}

std::unique_ptr<ModelFile> open_sharded_safetensors(const std::string& directory,
                                                    std::unique_ptr<ByteSource> index,
                                                    std::unique_ptr<ByteSource> config) {
    return std::make_unique<SafetensorsFile>(directory, std::move(index), std::move(config));
}

} // namespace npuenc
