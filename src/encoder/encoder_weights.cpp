// SPDX-License-Identifier: MIT
#include "encoder/encoder_weights.hpp"

#include <algorithm>

namespace npuenc {
namespace {

constexpr size_t kernel_width = 3;

class WeightLoader {
  public:
    WeightLoader(const ModelFile& file, const Plan& plan) : file_(file), plan_(plan) {}

    EncoderWeights load() {
        const HyperParameters& dims = file_.hyper_parameters();
        weights_.conv1 = load_conv(Role::conv1_weight, Role::conv1_bias, dims.n_mels);
        weights_.conv2 = load_conv(Role::conv2_weight, Role::conv2_bias, dims.n_state);
        weights_.positions = load_rows({Role::positions}, dims.n_ctx, dims.n_state);
        weights_.layers.reserve(dims.n_layer);
        for (uint32_t layer = 0; layer < dims.n_layer; ++layer)
            weights_.layers.push_back(load_layer(layer));
        weights_.final_norm = load_norm(Role::final_norm_weight, Role::final_norm_bias, 0);
        return std::move(weights_);
    }

  private:
    Layer load_layer(uint32_t layer) {
        const uint32_t n_state = file_.hyper_parameters().n_state;
        const uint32_t n_mlp = file_.hyper_parameters().n_mlp();
        const npuenc_precision projection = plan_.projection_precision(layer);
        const npuenc_precision mlp = plan_.mlp_precision(layer);
        const bool mlp_in_one = plan_.runs_mlp_in_one(layer);
        Layer result;
        result.attention_norm =
            load_norm(Role::attention_norm_weight, Role::attention_norm_bias, layer);
        result.qkv = load_qkv(layer);
        result.attention_out = load_linear(Role::output_weight, Role::output_bias, layer, n_state,
                                           n_state, projection);
        result.mlp_norm = load_norm(Role::mlp_norm_weight, Role::mlp_norm_bias, layer);
        result.mlp_up = load_linear(Role::mlp_up_weight, Role::mlp_up_bias, layer, n_mlp, n_state,
                                    mlp, mlp_in_one ? Sums::stay : Sums::in_16_bits);
        result.mlp_down = load_linear(Role::mlp_down_weight, Role::mlp_down_bias, layer, n_state,
                                      n_mlp, plan_.mlp_down_precision(layer),
                                      mlp_in_one ? Sums::of_stayed : Sums::in_16_bits);
        return result;
    }

    std::vector<float> load_rows(TensorId id, size_t rows, size_t n) {
        std::vector<float> values(rows * n);
        file_.read_rows(id, 0, static_cast<uint32_t>(rows), values.data());
        weights_.bytes += values.size() * sizeof(float);
        weights_.n_parameters += values.size();
        return values;
    }

    // A vector is a tensor of rows with one element each.
    std::vector<float> load_vector(TensorId id, size_t n) { return load_rows(id, n, 1); }

    Norm load_norm(Role weight, Role bias, uint32_t layer) {
        const uint32_t n_state = file_.hyper_parameters().n_state;
        return {load_vector({weight, layer}, n_state), load_vector({bias, layer}, n_state)};
    }

    std::unique_ptr<Weight> pack(Device& device, npuenc_precision precision, size_t n_out,
                                 size_t n_in, const RowReader& rows, const std::vector<float>& bias,
                                 Sums sums = Sums::in_16_bits) {
        std::unique_ptr<Weight> weight =
            device.pack(n_out, n_in, precision, rows, bias.data(), sums);
        weights_.bytes += weight->bytes();
        weights_.n_parameters += n_out * n_in;
        return weight;
    }

    // The bias goes into the packed weight: it counts as a parameter, but not a second time as
    // memory.
    std::vector<float> load_bias(TensorId id, size_t n) {
        std::vector<float> values(n);
        file_.read_rows(id, 0, static_cast<uint32_t>(n), values.data());
        weights_.n_parameters += n;
        return values;
    }

    std::unique_ptr<Weight> load_linear(Role weight, Role bias, uint32_t layer, size_t n_out,
                                        size_t n_in, npuenc_precision precision,
                                        Sums sums = Sums::in_16_bits) {
        const auto rows = [=, this](size_t first, size_t count, float* out) {
            file_.read_rows({weight, layer}, static_cast<uint32_t>(first),
                            static_cast<uint32_t>(count), out);
        };
        return pack(*plan_.linear, precision, n_out, n_in, rows, load_bias({bias, layer}, n_out),
                    sums);
    }

    std::unique_ptr<Weight> load_qkv(uint32_t layer) {
        const size_t n = file_.hyper_parameters().n_state;
        const auto rows = [=, this](size_t first, size_t count, float* out) {
            constexpr Role parts[] = {Role::query_weight, Role::key_weight, Role::value_weight};
            while (count > 0) {
                const size_t in_part = first % n;
                const size_t taken = std::min(count, n - in_part);
                file_.read_rows({parts[first / n], layer}, static_cast<uint32_t>(in_part),
                                static_cast<uint32_t>(taken), out);
                first += taken;
                count -= taken;
                out += taken * n;
            }
        };
        const std::vector<float> query = load_bias({Role::query_bias, layer}, n);
        const std::vector<float> value = load_bias({Role::value_bias, layer}, n);
        std::vector<float> bias(3 * n, 0.0f);
        std::copy(query.begin(), query.end(), bias.begin());
        std::copy(value.begin(), value.end(), bias.begin() + static_cast<std::ptrdiff_t>(2 * n));
        return pack(*plan_.linear, plan_.projection_precision(layer), 3 * n, n, rows, bias);
    }

    // From [n_in][3] in the file to [3][n_in].
    std::unique_ptr<Weight> load_conv(Role weight, Role bias, size_t n_in) {
        const size_t n_out = file_.hyper_parameters().n_state;
        const size_t n = kernel_width * n_in;
        const auto rows = [=, this](size_t first, size_t count, float* out) {
            std::vector<float> row(n);
            for (size_t r = 0; r < count; ++r, out += n) {
                file_.read_rows({weight}, static_cast<uint32_t>(first + r), 1, row.data());
                for (size_t channel = 0; channel < n_in; ++channel)
                    for (size_t tap = 0; tap < kernel_width; ++tap)
                        out[tap * n_in + channel] = row[channel * kernel_width + tap];
            }
        };
        return pack(*plan_.conv, plan_.conv_precision, n_out, n, rows, load_bias({bias}, n_out));
    }

    const ModelFile& file_;
    const Plan& plan_;
    EncoderWeights weights_;
};

} // namespace

EncoderWeights load_weights(const ModelFile& file, const Plan& plan) {
    return WeightLoader(file, plan).load();
}

} // namespace npuenc
