// SPDX-License-Identifier: MIT
// Binding names to roles, and reading rows as f32.
#include "model/stored_model.hpp"

#include <algorithm>
#include <cmath>

#include "error.hpp"

namespace npuenc {
namespace {

// Through a buffer that fits the first-level cache and any thread's stack.
void read_elements(const ByteSource& source, uint64_t offset, Storage storage, uint64_t elements,
                   float* out) {
    if (storage == Storage::f32) {
        source.read(offset, out, static_cast<size_t>(elements * sizeof(float)));
        return;
    }
    alignas(64) unsigned char buffer[16384];
    const size_t blocks_at_once = sizeof buffer / block_bytes(storage);
    uint64_t blocks = elements / block_elements(storage);
    while (blocks > 0) {
        const size_t n = static_cast<size_t>(std::min<uint64_t>(blocks, blocks_at_once));
        source.read(offset, buffer, n * block_bytes(storage));
        decode(storage, buffer, n * block_elements(storage), out);
        offset += n * block_bytes(storage);
        out += n * block_elements(storage);
        blocks -= n;
    }
}

} // namespace

StoredModel::StoredModel(const char* format, const char* const* names) : names_(names) {
    format_ = format;
}

std::string StoredModel::name_of(TensorId id) const {
    std::string name = names_[static_cast<size_t>(id.role)];
    const size_t place = name.find('#');
    return place == name.npos ? name : name.replace(place, 1, std::to_string(id.layer));
}

const ByteSource& StoredModel::keep(std::unique_ptr<ByteSource> source) {
    file_bytes_ += source->size();
    sources_.push_back(std::move(source));
    return *sources_.back();
}

void StoredModel::set_hyper_parameters(const HyperParameters& hyper_parameters) {
    const std::string wrong = complaint(hyper_parameters);
    if (!wrong.empty()) {
        main_source().bad("%s", wrong.c_str());
    }
    hyper_parameters_ = hyper_parameters;
    places_.resize(n_roles * hyper_parameters.n_layer);
}

size_t StoredModel::index_of(TensorId id) const {
    return static_cast<size_t>(id.role) * hyper_parameters_.n_layer + id.layer;
}

HyperParameters StoredModel::hyper_parameters_of_shapes() const {
    const auto dimension = [&](Role role, uint32_t i) -> uint32_t {
        const Shape& shape = require(name_of({role})).shape;
        // What does not fit 32 bits is beyond every limit, as its lower half might not be.
        return i < shape.rank ? static_cast<uint32_t>(std::min<uint64_t>(shape.dims[i], UINT32_MAX))
                              : 0;
    };
    HyperParameters found;
    found.n_mels = dimension(Role::conv1_weight, 1);
    found.n_ctx = dimension(Role::positions, 0);
    found.n_state = dimension(Role::conv1_weight, 0);
    found.n_head = found.n_state / 64;
    while (tensors_.contains(name_of({Role::mlp_norm_weight, found.n_layer}))) {
        ++found.n_layer;
    }
    return found;
}

const StoredTensor& StoredModel::require(const std::string& name) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) {
        main_source().bad("tensor %s is missing", quoted(name).c_str());
    }
    return found->second;
}

StoredTensor& StoredModel::require(const std::string& name, const Shape& shape) {
    require(name);
    StoredTensor& tensor = tensors_[name];
    if (!same_shape(tensor.shape, shape)) {
        tensor.source->bad("tensor %s has the shape %s, expected %s", quoted(name).c_str(),
                           to_string(tensor.shape).c_str(), to_string(shape).c_str());
    }
    tensor.is_used = true;
    return tensor;
}

void StoredModel::bind(TensorId id, uint32_t part, uint32_t parts) {
    const std::string name = name_of(id);
    const Shape shape = shape_of(id.role, hyper_parameters_);
    Shape whole = shape;
    whole.dims[0] *= parts;
    const StoredTensor& tensor = require(name, whole);
    const uint64_t row_elements = shape.row_elements();
    if (row_elements % block_elements(tensor.storage) != 0) {
        tensor.source->bad("tensor %s is %s, whose blocks of %u weights do not divide rows of %llu",
                           quoted(name).c_str(), npuenc::name_of(tensor.storage),
                           block_elements(tensor.storage),
                           static_cast<unsigned long long>(row_elements));
    }
    const uint64_t first_row = part * shape.rows();
    Place& place = places_[index_of(id)];
    place.source = tensor.source;
    place.storage = tensor.storage;
    place.offset = tensor.offset + first_row * (row_elements / block_elements(tensor.storage)) *
                                       block_bytes(tensor.storage);
    if (tensor.storage != Storage::int8) {
        return;
    }
    const std::string scale_name = name + "_scale";
    const StoredTensor& scales = require(scale_name, {1, {whole.dims[0]}});
    if (scales.storage != Storage::f32) {
        scales.source->bad("tensor %s is %s, expected f32", quoted(scale_name).c_str(),
                           npuenc::name_of(scales.storage));
    }
    place.scale_source = scales.source;
    place.scale_offset = scales.offset + first_row * sizeof(float);
}

void StoredModel::finish(const std::string& prefix) {
    for (const auto& [name, tensor] : tensors_) {
        if (!tensor.is_used && name.compare(0, prefix.size(), prefix) == 0) {
            tensor.source->bad("tensor %s is not of a Whisper encoder of %u layers",
                               quoted(name).c_str(), hyper_parameters_.n_layer);
        }
    }
    weight_type_ = npuenc::name_of(places_[index_of({Role::mlp_up_weight})].storage);
    tensors_.clear();
}

void StoredModel::read_rows(TensorId id, uint32_t first, uint32_t count, float* out) const {
    const Shape shape = shape_of(id.role, hyper_parameters_);
    const uint32_t n_layer = is_of_layer(id.role) ? hyper_parameters_.n_layer : 1;
    if (id.layer >= n_layer || first > shape.rows() || count > shape.rows() - first) {
        fail(NPUENC_E_INTERNAL, "rows %u + %u of role %u, layer %u do not exist", first, count,
             static_cast<unsigned>(id.role), id.layer);
    }
    const Place& place = places_[index_of(id)];
    const uint64_t row_elements = shape.row_elements();
    const uint64_t row_bytes =
        row_elements / block_elements(place.storage) * block_bytes(place.storage);
    read_elements(*place.source, place.offset + first * row_bytes, place.storage,
                  count * row_elements, out);
    if (place.scale_source == nullptr) {
        return;
    }
    for (uint32_t row = 0; row < count;) {
        float scales[256];
        const uint32_t n = std::min<uint32_t>(count - row, 256);
        place.scale_source->read(place.scale_offset + sizeof(float) * (first + row), scales,
                                 n * sizeof(float));
        for (uint32_t i = 0; i < n; ++i, ++row) {
            const float scale = scales[i];
            if (!std::isfinite(scale) || scale <= 0.0f) {
                place.scale_source->bad("the int8 scale at offset %llu is not a positive number",
                                        static_cast<unsigned long long>(
                                            place.scale_offset + sizeof(float) * (first + row)));
            }
            float* weights = out + row * row_elements;
            for (uint64_t k = 0; k < row_elements; ++k) {
                weights[k] /= scale;
            }
        }
    }
}

} // namespace npuenc
