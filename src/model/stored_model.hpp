// SPDX-License-Identifier: MIT
// What the three formats share once their index is read: tensors at places in byte sources.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/byte_source.hpp"
#include "model/model_file.hpp"
#include "model/storage.hpp"
#include "model/tensor.hpp"

namespace npuenc {

// More than the largest Whisper has many times over; it bounds the memory that an index takes.
constexpr uint32_t max_tensors = 16384;
constexpr uint32_t max_name_bytes = 256;

// A tensor as a file's index describes it, whose bytes are known to lie inside the source.
struct StoredTensor {
    const ByteSource* source = nullptr;
    uint64_t offset = 0;
    Storage storage = Storage::f32;
    Shape shape = {};
    bool is_used = false; // by an encoder's tensor
};

class StoredModel : public ModelFile {
  public:
    void read_rows(TensorId id, uint32_t first, uint32_t count, float* out) const override;

  protected:
    // `names` are the format's names of the roles, n_roles of them: # stands for the layer.
    StoredModel(const char* format, const char* const* names);

    // Keeps the source and adds its size to file_bytes.
    const ByteSource& keep(std::unique_ptr<ByteSource> source);

    // The first that was kept, which messages about the whole model name.
    const ByteSource& main_source() const { return *sources_.front(); }

    // The file's tensors by their names there; a loader fills it.
    std::map<std::string, StoredTensor> tensors_;

    std::string name_of(TensorId id) const;

    // Checks and takes over the hyper-parameters.
    void set_hyper_parameters(const HyperParameters& hyper_parameters);

    // What the shapes say. Nothing says the heads: 64 wide, as in every published Whisper.
    HyperParameters hyper_parameters_of_shapes() const;

    // Says where a tensor of the encoder is: in the tensor of its name, or in the given one of
    // `parts` equal parts of that, which are stacked as rows. E_BAD_MODEL when that is not there or
    // has another shape. Weights that are int8 need a tensor NAME_scale, f32, with one value a row:
    // a weight is q / scale.
    void bind(TensorId id, uint32_t part = 0, uint32_t parts = 1);

    // After all is bound: a tensor that begins with `prefix` and was not used is E_BAD_MODEL, for
    // the model is then something else. Sets weight_type, and forgets the names.
    void finish(const std::string& prefix);

  private:
    struct Place {
        const ByteSource* source = nullptr;
        uint64_t offset = 0; // of the role's first row
        Storage storage = Storage::f32;
        const ByteSource* scale_source = nullptr; // null when there are no scales
        uint64_t scale_offset = 0;
    };

    const StoredTensor& require(const std::string& name) const;
    StoredTensor& require(const std::string& name, const Shape& shape);
    size_t index_of(TensorId id) const;

    const char* const* names_;
    std::vector<std::unique_ptr<ByteSource>> sources_;
    std::vector<Place> places_;
};

} // namespace npuenc
