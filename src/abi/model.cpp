// SPDX-License-Identifier: MIT
#include "abi/handles.hpp"
#include "model/model_file.hpp"

using namespace npuenc;

namespace {

npuenc_device_type checked_place(int32_t type, const char* family) {
    if (type < NPUENC_DEVICE_AUTO || type > NPUENC_DEVICE_NPU)
        fail(NPUENC_E_INVALID, "options.%s_device %d is not an npuenc_device_type", family, type);
    return static_cast<npuenc_device_type>(type);
}

PlanOptions checked_options(const npuenc_model_options* options) {
    if (!options)
        return {};
    const npuenc_model_options known = read_struct(options, "options");
    if (known.precision < NPUENC_PRECISION_AUTO || known.precision > NPUENC_PRECISION_INT8)
        fail(NPUENC_E_INVALID, "options.precision %d is not an npuenc_precision", known.precision);
    return {.precision = static_cast<npuenc_precision>(known.precision),
            .linear = checked_place(known.linear_device, "linear"),
            .attention = checked_place(known.attention_device, "attention"),
            .conv = checked_place(known.conv_device, "conv"),
            .elementwise = checked_place(known.elementwise_device, "elementwise")};
}

struct PublishedSize {
    const char* name;
    uint32_t n_layer, n_state, n_mels;
};

// openai/whisper, model-card.md; the turbo and distilled models have the encoder of their parent.
constexpr PublishedSize published_sizes[] = {
    {"tiny", 4, 384, 80},     {"base", 6, 512, 80},       {"small", 12, 768, 80},
    {"medium", 24, 1024, 80}, {"large-v2", 32, 1280, 80}, {"large-v3", 32, 1280, 128},
};

constexpr uint32_t english_vocabulary = 51864;

std::string published_name(const HyperParameters& dims, uint32_t n_vocab) {
    for (const PublishedSize& size : published_sizes)
        if (dims.n_layer == size.n_layer && dims.n_state == size.n_state &&
            dims.n_mels == size.n_mels && dims.n_ctx == 1500)
            return std::string(size.name) + (n_vocab == english_vocabulary ? ".en" : "");
    return "custom";
}

npuenc_model_info describe(const ModelFile& file, const Encoder& encoder) {
    const HyperParameters& dims = encoder.hyper_parameters();
    const Plan& plan = encoder.plan();
    npuenc_model_info info{};
    info.n_mels = dims.n_mels;
    info.n_ctx = dims.n_ctx;
    info.n_state = dims.n_state;
    info.n_head = dims.n_head;
    info.n_layer = dims.n_layer;
    info.n_vocab = file.n_vocab();
    info.precision = plan.precision;
    info.wide_precision = plan.wide_precision;
    info.linear_device = plan.linear->type();
    info.attention_device = plan.attention->type();
    info.conv_device = plan.conv->type();
    info.elementwise_device = plan.elementwise->type();
    info.n_parameters = encoder.weights().n_parameters;
    info.file_bytes = file.file_bytes();
    info.weight_bytes = encoder.weights().bytes;
    write_text(info.name, published_name(dims, file.n_vocab()));
    write_text(info.format, file.format());
    write_text(info.weight_type, file.weight_type());
    return info;
}

std::unique_ptr<npuenc_model> load(const std::shared_ptr<Context>& context, const ModelFile& file,
                                   const PlanOptions& options) {
    auto handle = std::make_unique<npuenc_model>();
    handle->context = context;
    const auto encoder = std::make_shared<const Encoder>(file, options, context->device());
    handle->encoder = encoder;
    handle->info = describe(file, *encoder);
    context->log().write(nullptr, NPUENC_LOG_INFO, "model: %s, %s %s", handle->info.name,
                         handle->info.format, handle->info.weight_type);
    return handle;
}

} // namespace

extern "C" {

int32_t npuenc_model_load(npuenc_ctx* ctx, const char* path, const npuenc_model_options* options,
                          npuenc_model** out) {
    return guarded([&] {
        require_not_null(out, "out");
        *out = nullptr;
        const std::shared_ptr<Context>& context = check_working(ctx, "ctx").context;
        require_not_null(path, "path");
        const PlanOptions plan = checked_options(options);
        check_places(plan, context->device()); // before anything is read
        *out = load(context, *open_model_file(path), plan).release();
    });
}

int32_t npuenc_model_load_memory(npuenc_ctx* ctx, const void* data, size_t data_bytes,
                                 const npuenc_model_options* options, npuenc_model** out) {
    return guarded([&] {
        require_not_null(out, "out");
        *out = nullptr;
        const std::shared_ptr<Context>& context = check_working(ctx, "ctx").context;
        Buffer{data, data_bytes, "data"}.check(data_bytes, 1);
        const PlanOptions plan = checked_options(options);
        check_places(plan, context->device());
        *out = load(context, *open_model_memory(data, data_bytes), plan).release();
    });
}

int32_t npuenc_model_get_info(const npuenc_model* model, npuenc_model_info* info) {
    return guarded([&] {
        const npuenc_model& handle = check_handle(model, "model");
        check_out_struct(info, "info");
        write_struct(info, handle.info);
    });
}

void npuenc_model_free(npuenc_model* model) {
    if (model && is_of_this_process(model))
        delete model;
}

} // extern "C"
