// SPDX-License-Identifier: MIT
// The layout is that of whisper.cpp's models/convert-pt-to-ggml.py and examples/quantize: magic,
// 11 hyper-parameters, mel filters, vocabulary, then tensors up to the end of the file, each with a
// header of its own and nothing between them. All numbers are 32-bit and little-endian.
#include "model/ggml.hpp"

#include "model/stored_model.hpp"

namespace npuenc {
namespace {

// By Role.
constexpr const char* names[n_roles] = {
    "encoder.conv1.weight",
    "encoder.conv1.bias",
    "encoder.conv2.weight",
    "encoder.conv2.bias",
    "encoder.positional_embedding",
    "encoder.blocks.#.attn_ln.weight",
    "encoder.blocks.#.attn_ln.bias",
    "encoder.blocks.#.attn.query.weight",
    "encoder.blocks.#.attn.query.bias",
    "encoder.blocks.#.attn.key.weight",
    "encoder.blocks.#.attn.value.weight",
    "encoder.blocks.#.attn.value.bias",
    "encoder.blocks.#.attn.out.weight",
    "encoder.blocks.#.attn.out.bias",
    "encoder.blocks.#.mlp_ln.weight",
    "encoder.blocks.#.mlp_ln.bias",
    "encoder.blocks.#.mlp.0.weight",
    "encoder.blocks.#.mlp.0.bias",
    "encoder.blocks.#.mlp.2.weight",
    "encoder.blocks.#.mlp.2.bias",
    "encoder.ln_post.weight",
    "encoder.ln_post.bias",
};

// ggml numbers a tensor's type and a whole file's type differently (ggml_type, ggml_ftype).
struct Type {
    int32_t of_tensor;
    int32_t of_file;
    Storage storage;
    int32_t oldest_version; // of quantisation, whose blocks are still laid out in the same way
};

constexpr Type types[] = {
    {0, 0, Storage::f32, 0},  {1, 1, Storage::f16, 0},  {2, 2, Storage::q4_0, 2},
    {3, 3, Storage::q4_1, 2}, {6, 8, Storage::q5_0, 1}, {7, 9, Storage::q5_1, 1},
    {8, 7, Storage::q8_0, 2},
};
constexpr const char* readable_types = "f32 f16 q4_0 q4_1 q5_0 q5_1 q8_0";

constexpr int32_t version_factor = 1000; // GGML_QNT_VERSION_FACTOR
constexpr int32_t newest_version = 2;    // GGML_QNT_VERSION
constexpr int32_t n_frequencies = 201;   // of the mel filters: n_fft / 2 + 1
constexpr int32_t max_vocabulary = 1 << 20;

class GgmlFile final : public StoredModel {
  public:
    explicit GgmlFile(std::unique_ptr<ByteSource> source) : StoredModel("ggml", names) {
        Cursor cursor(keep(std::move(source)));
        cursor.skip(sizeof ggml_magic, "the magic number");
        read_hyper_parameters(cursor);
        skip_filters(cursor);
        skip_vocabulary(cursor);
        while (cursor.remaining() > 0) {
            read_tensor(cursor);
        }
        for_each_tensor(hyper_parameters_, [this](TensorId id) {
            bind(id);
            check_type(id);
        });
        finish("");
    }

  private:
    // One of `1 to limit`.
    uint32_t count(Cursor& cursor, const char* what, int32_t limit) {
        const uint64_t offset = cursor.offset();
        const int32_t value = cursor.i32(what);
        if (value < 1 || value > limit) {
            main_source().bad("%s at offset %llu is %d, expected 1 to %d", what,
                              static_cast<unsigned long long>(offset), value, limit);
        }
        return static_cast<uint32_t>(value);
    }

    void read_hyper_parameters(Cursor& cursor) {
        HyperParameters audio;
        n_vocab_ = count(cursor, "n_vocab", max_vocabulary);
        audio.n_ctx = count(cursor, "n_audio_ctx", max_n_ctx);
        audio.n_state = count(cursor, "n_audio_state", max_n_state);
        audio.n_head = count(cursor, "n_audio_head", max_n_state);
        audio.n_layer = count(cursor, "n_audio_layer", max_n_layer);
        count(cursor, "n_text_ctx", max_n_ctx);
        const uint32_t text_state = count(cursor, "n_text_state", max_n_state);
        count(cursor, "n_text_head", max_n_state);
        count(cursor, "n_text_layer", max_n_layer);
        audio.n_mels = count(cursor, "n_mels", 128);
        if (text_state != audio.n_state) {
            main_source().bad("n_text_state is %u, expected n_audio_state, %u", text_state,
                              audio.n_state);
        }
        const int32_t file_type = cursor.i32("ftype");
        if (file_type < 0) {
            main_source().bad("ftype is %d", file_type);
        }
        file_type_ = find_file_type(file_type % version_factor);
        check_version(file_type / version_factor);
        set_hyper_parameters(audio);
    }

    const Type& find_file_type(int32_t file_type) const {
        for (const Type& type : types) {
            if (type.of_file == file_type) {
                return type;
            }
        }
        main_source().bad("ftype is %d, which is none of %s", file_type, readable_types);
    }

    void check_version(int32_t version) const {
        if (file_type_.oldest_version == 0) {
            return; // not quantised
        }
        if (version > newest_version) {
            main_source().too_new("quantisation version %d is newer than the %d known here",
                                  version, newest_version);
        }
        if (version < file_type_.oldest_version) {
            main_source().bad("%s of quantisation version %d is laid out in an older way: "
                              "quantise the model again with whisper.cpp",
                              npuenc::name_of(file_type_.storage), version);
        }
    }

    // The filters are computed from their definition elsewhere.
    void skip_filters(Cursor& cursor) {
        const int32_t n_mels = cursor.i32("the mel filters' size");
        const int32_t n_fft = cursor.i32("the mel filters' size");
        const int32_t expected = static_cast<int32_t>(hyper_parameters_.n_mels);
        if (n_mels != expected || n_fft != n_frequencies) {
            main_source().bad("the mel filters are %d x %d, expected %d x %d", n_mels, n_fft,
                              expected, n_frequencies);
        }
        cursor.skip(sizeof(float) * static_cast<uint64_t>(n_mels) * static_cast<uint64_t>(n_fft),
                    "the mel filters");
    }

    void skip_vocabulary(Cursor& cursor) {
        const int32_t words = cursor.i32("the vocabulary's size");
        if (words < 0 || words > max_vocabulary) {
            main_source().bad("the vocabulary has %d words, expected 0 to %d", words,
                              max_vocabulary);
        }
        for (int32_t i = 0; i < words; ++i) {
            cursor.skip(cursor.u32("a word's length"), "a word of the vocabulary");
        }
    }

    void read_tensor(Cursor& cursor) {
        const ByteSource& source = main_source();
        const unsigned long long header = cursor.offset();
        if (++n_tensors_ > max_tensors) {
            source.bad("more than %u tensors", max_tensors);
        }
        const int32_t rank = cursor.i32("a tensor's header");
        const int32_t name_bytes = cursor.i32("a tensor's header");
        const int32_t type_number = cursor.i32("a tensor's header");
        if (rank < 1 || rank > static_cast<int32_t>(Shape::max_rank)) {
            source.bad("the tensor at offset %llu has %d dimensions, expected 1 to %u", header,
                       rank, Shape::max_rank);
        }
        if (name_bytes < 1 || name_bytes > static_cast<int32_t>(max_name_bytes)) {
            source.bad("the tensor at offset %llu has a name of %d bytes, expected 1 to %u", header,
                       name_bytes, max_name_bytes);
        }
        StoredTensor tensor{.source = &source};
        tensor.shape.rank = static_cast<uint32_t>(rank);
        uint64_t elements = 1; // at most 2^62: both factors are below 2^31
        for (uint32_t i = tensor.shape.rank; i-- > 0;) { // the file has the innermost first
            const int32_t dim = cursor.i32("a tensor's header");
            if (dim < 1 || elements > INT32_MAX) {
                source.bad("the tensor at offset %llu has a dimension of %d after %llu elements",
                           header, dim, static_cast<unsigned long long>(elements));
            }
            tensor.shape.dims[i] = static_cast<uint64_t>(dim);
            elements *= tensor.shape.dims[i];
        }
        const std::string name = cursor.string(static_cast<size_t>(name_bytes), "a tensor's name");
        tensor.storage = find_type(type_number, name);
        if (tensor.shape.dims[rank - 1] % block_elements(tensor.storage) != 0) {
            source.bad("tensor %s of the shape %s cannot be %s", quoted(name).c_str(),
                       to_string(tensor.shape).c_str(), npuenc::name_of(tensor.storage));
        }
        tensor.offset = cursor.offset();
        const uint64_t blocks = elements / block_elements(tensor.storage);
        cursor.skip(blocks * block_bytes(tensor.storage), ("tensor " + quoted(name)).c_str());
        if (name.compare(0, 8, "decoder.") == 0) {
            return;
        }
        if (!tensors_.emplace(name, tensor).second) {
            source.bad("tensor %s is there a second time at offset %llu", quoted(name).c_str(),
                       header);
        }
    }

    Storage find_type(int32_t number, const std::string& name) const {
        for (const Type& type : types) {
            if (type.of_tensor == number) {
                return type.storage;
            }
        }
        main_source().bad("tensor %s has the type %d, which is none of %s", quoted(name).c_str(),
                          number, readable_types);
    }

    void check_type(TensorId id) {
        const std::string name = name_of(id);
        const Storage storage = tensors_[name].storage;
        if (is_matrix(id.role) && storage != file_type_.storage) {
            main_source().bad("tensor %s is %s, but ftype says %s", quoted(name).c_str(),
                              npuenc::name_of(storage), npuenc::name_of(file_type_.storage));
        }
    }

    Type file_type_{};
    uint32_t n_tensors_ = 0;
};

} // namespace

std::unique_ptr<ModelFile> open_ggml(std::unique_ptr<ByteSource> source) {
    return std::make_unique<GgmlFile>(std::move(source));
}

} // namespace npuenc
