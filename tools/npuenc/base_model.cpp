// SPDX-License-Identifier: MIT
#include "base_model.hpp"

#include <cmath>
#include <cstring>
#include <string>

#include "json.hpp"
#include "pseudo_random.hpp"

namespace npuenc {
namespace {

constexpr size_t n_mels = 80, n_state = base_n_state, n_mlp = 4 * n_state;

using Shape = std::vector<size_t>;

size_t elements(const Shape& shape) {
    size_t count = 1;
    for (const size_t dimension : shape)
        count *= dimension;
    return count;
}

class File {
  public:
    File() { header_.begin_object(); }

    // Every value is `middle`, give or take `spread`.
    void add(const std::string& name, const Shape& shape, float middle, float spread) {
        const size_t begin = data_.size();
        for (size_t i = elements(shape); i > 0; --i) {
            const float value = middle + spread * random_.uniform();
            uint8_t bytes[sizeof value];
            std::memcpy(bytes, &value, sizeof value);
            data_.insert(data_.end(), bytes, bytes + sizeof value);
        }
        header_.key(name).begin_object().member("dtype", "F32").key("shape").begin_array();
        for (const size_t dimension : shape)
            header_.value(dimension);
        header_.end_array()
            .key("data_offsets")
            .begin_array()
            .value(begin)
            .value(data_.size())
            .end_array()
            .end_object();
    }

    // Small enough for sums of the order of one.
    void add_matrix(const std::string& name, const Shape& shape) {
        const auto n_in = static_cast<float>(elements(shape) / shape[0]);
        add(name + ".weight", shape, 0, 1.7f / std::sqrt(n_in));
    }
    void add_bias(const std::string& name, size_t n) { add(name + ".bias", {n}, 0, 0.1f); }
    void add_norm(const std::string& name) {
        add(name + ".weight", {n_state}, 1, 0.1f);
        add_bias(name, n_state);
    }

    std::vector<uint8_t> finish() {
        const std::string text = header_.end_object().text();
        const uint64_t length = text.size();
        std::vector<uint8_t> file(sizeof length + text.size() + data_.size());
        uint8_t* end = file.data();
        const auto append = [&](const void* bytes, size_t count) {
            std::memcpy(end, bytes, count);
            end += count;
        };
        append(&length, sizeof length);
        append(text.data(), text.size());
        append(data_.data(), data_.size());
        return file;
    }

  private:
    Json header_;
    std::vector<uint8_t> data_;
    PseudoRandom random_{1};
};

void add_layer(File& file, const std::string& layer) {
    const std::string attention = layer + "self_attn.";
    file.add_norm(layer + "self_attn_layer_norm");
    for (const char* projection : {"q_proj", "k_proj", "v_proj", "out_proj"}) {
        file.add_matrix(attention + projection, {n_state, n_state});
        if (std::string_view(projection) != "k_proj")
            file.add_bias(attention + projection, n_state);
    }
    file.add_norm(layer + "final_layer_norm");
    file.add_matrix(layer + "fc1", {n_mlp, n_state});
    file.add_bias(layer + "fc1", n_mlp);
    file.add_matrix(layer + "fc2", {n_state, n_mlp});
    file.add_bias(layer + "fc2", n_state);
}

} // namespace

std::vector<uint8_t> random_base_model(size_t n_layer) {
    File file;
    file.add_matrix("encoder.conv1", {n_state, n_mels, 3});
    file.add_bias("encoder.conv1", n_state);
    file.add_matrix("encoder.conv2", {n_state, n_state, 3});
    file.add_bias("encoder.conv2", n_state);
    file.add("encoder.embed_positions.weight", {base_n_ctx, n_state}, 0, 0.1f);
    for (size_t i = 0; i < n_layer; ++i)
        add_layer(file, "encoder.layers." + std::to_string(i) + ".");
    file.add_norm("encoder.layer_norm");
    return file.finish();
}

} // namespace npuenc
