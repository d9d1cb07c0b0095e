// SPDX-License-Identifier: MIT
// npuenc info: what a model is and how it would run.
#include <cstdio>

#include "commands.hpp"
#include "json.hpp"
#include "library.hpp"
#include "options.hpp"
#include "text.hpp"

namespace npuenc {
namespace {

constexpr uint32_t few_layers = 4; // as npuenc_model_options has it

std::string precision_text(const npuenc_model_info& info) {
    if (info.wide_precision == info.precision)
        return precision_name(info.precision);
    const bool bf16x2 = info.wide_precision == NPUENC_PRECISION_BF16X2;
    const bool int8 = info.precision == NPUENC_PRECISION_INT8;
    const bool on_npu = info.linear_device == NPUENC_DEVICE_NPU;
    if (int8) {
        const char* layers = "the first layer";
        if (on_npu)
            layers = "the first two layers, but the attention of the second";
        else if (!bf16x2 && info.n_layer <= few_layers)
            layers = "the first layer, but the second product of its MLP";
        return format("%s; %s in %s, %s in the convolutions", precision_name(info.precision),
                      precision_name(info.wide_precision), layers,
                      precision_name(info.conv_device == NPUENC_DEVICE_NPU
                                         ? NPUENC_PRECISION_BF16X2
                                         : NPUENC_PRECISION_BF16));
    }
    const char* where =
        bf16x2 ? "the convolutions and the first layer's attention" : "the first layer's attention";
    if (bf16x2 && on_npu)
        where = "the first layer's projections";
    return format("%s; %s in %s", precision_name(info.precision),
                  precision_name(info.wide_precision), where);
}

void print_text(const std::string& path, const npuenc_model_info& info, const Context& context) {
    print_line(stdout, "model", format("%s, %s", info.name, path.c_str()));
    print_line(
        stdout, "format",
        format("%s, %s, %s", info.format, info.weight_type, bytes_text(info.file_bytes).c_str()));
    print_line(stdout, "encoder",
               format("%u layers, %u heads, states of %u, %.1f million parameters", info.n_layer,
                      info.n_head, info.n_state, static_cast<double>(info.n_parameters) * 1e-6));
    print_line(
        stdout, "window",
        format("%.2f s, %u mel bands to %u states", info.n_ctx / 50.0, info.n_mels, info.n_ctx));
    if (info.n_vocab)
        print_line(stdout, "vocabulary", format("%u tokens", info.n_vocab));
    print_line(stdout, "memory", format("%s of weights", bytes_text(info.weight_bytes).c_str()));
    print_line(stdout, "precision", precision_text(info));
    print_line(stdout, "device", device_text(context));
    print_line(stdout, "runs on",
               format("linear %s, attention %s, convolution %s, elementwise %s",
                      device_name(info.linear_device), device_name(info.attention_device),
                      device_name(info.conv_device), device_name(info.elementwise_device)));
}

void print_json(const std::string& path, const npuenc_model_info& info, const Context& context) {
    const npuenc_ctx_info device = context.info();
    Json()
        .begin_object()
        .member("model", info.name)
        .member("model_path", path)
        .member("model_format", info.format)
        .member("weight_type", info.weight_type)
        .member("n_mels", info.n_mels)
        .member("n_ctx", info.n_ctx)
        .member("n_state", info.n_state)
        .member("n_head", info.n_head)
        .member("n_layer", info.n_layer)
        .member("n_vocab", info.n_vocab)
        .member("n_parameters", info.n_parameters)
        .member("file_bytes", info.file_bytes)
        .member("weight_bytes", info.weight_bytes)
        .member("precision", precision_name(info.precision))
        .member("wide_precision", precision_name(info.wide_precision))
        .member("device", device_name(device.device_type))
        .member("device_name", context.device().name)
        .member("isa", device.isa)
        .member("device_reason", context.reason())
        .member("linear_device", device_name(info.linear_device))
        .member("attention_device", device_name(info.attention_device))
        .member("conv_device", device_name(info.conv_device))
        .member("elementwise_device", device_name(info.elementwise_device))
        .end_object()
        .print(stdout);
}

} // namespace

int run_info(int argc, char** argv) {
    int32_t device_type = NPUENC_DEVICE_AUTO, precision = NPUENC_PRECISION_AUTO;
    bool json = false;
    const auto operands =
        parse({"info",
               "MODEL",
               "Loads a model and says what it is and how it would run.",
               {device_option(device_type), precision_option(precision), json_option(json)},
               models_help},
              argc, argv);
    if (!operands)
        return exit_ok;
    const std::string path = only_operand(*operands, "MODEL");
    const Context context(device_type, 0);
    const Model model(context, path, precision);
    (json ? print_json : print_text)(path, model.info(), context);
    return exit_ok;
}

} // namespace npuenc
