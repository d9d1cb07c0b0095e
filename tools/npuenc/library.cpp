// SPDX-License-Identifier: MIT
#include "library.hpp"

#include <cstdio>

#include "text.hpp"

namespace npuenc {
namespace {

int exit_status_of(int32_t status) {
    switch (status) {
    case NPUENC_E_NOT_FOUND:
        return exit_not_found;
    case NPUENC_E_BAD_MODEL:
    case NPUENC_E_TOO_NEW:
        return exit_bad_model;
    default:
        return exit_failed;
    }
}

std::string message_of(int32_t status) {
    std::string detail(npuenc_last_error(nullptr, 0), '\0');
    npuenc_last_error(detail.data(), detail.size() + 1);
    return detail + " (" + npuenc_status_string(status) + ")";
}

npuenc_model_options model_options(int32_t precision) {
    npuenc_model_options options{};
    options.struct_size = sizeof options;
    options.precision = precision;
    return options;
}

void print_warning(void*, int32_t level, const char* message) {
    std::fprintf(stderr, "npuenc: %s: %s\n", level == NPUENC_LOG_ERROR ? "error" : "warning",
                 message);
}

} // namespace

std::vector<npuenc_device_info> list_devices() {
    std::vector<npuenc_device_info> devices;
    for (;;) { // not up to a count: a device may go at any time
        npuenc_device_info device{};
        device.struct_size = sizeof device;
        const int32_t status = npuenc_device_get(static_cast<uint32_t>(devices.size()), &device);
        if (status == NPUENC_E_NOT_FOUND)
            return devices;
        check(status);
        devices.push_back(device);
    }
}

LibraryFailure::LibraryFailure(int32_t status) : LibraryFailure(status, exit_status_of(status)) {}

LibraryFailure::LibraryFailure(int32_t status, int exit_status)
    : Failure(exit_status, message_of(status)), status_(status) {}

void check(int32_t status) {
    if (status != NPUENC_OK)
        throw LibraryFailure(status);
}

Context::Context(int32_t device_type, uint32_t n_threads, uint32_t device_index) {
    npuenc_open_options options{};
    options.struct_size = sizeof options;
    options.device_type = device_type;
    options.device_index = device_index;
    options.n_threads = n_threads;
    options.log_fn = print_warning;
    npuenc_ctx* handle = nullptr;
    const int32_t status = npuenc_open(&options, &handle);
    if (status == NPUENC_E_UNSUPPORTED)
        throw LibraryFailure(status, exit_not_found);
    check(status);
    handle_.reset(handle);
}

npuenc_ctx_info Context::info() const {
    npuenc_ctx_info info{};
    info.struct_size = sizeof info;
    check(npuenc_ctx_get_info(get(), &info));
    return info;
}

npuenc_device_info Context::device() const {
    const npuenc_ctx_info opened = info();
    for (const npuenc_device_info& device : list_devices())
        if (device.device_type == opened.device_type && device.index == opened.device_index)
            return device;
    fail(exit_failed, "the device that was opened is not in the list of devices");
}

std::string Context::reason() const {
    std::string text(npuenc_ctx_reason(get(), nullptr, 0), '\0');
    npuenc_ctx_reason(get(), text.data(), text.size() + 1);
    return text;
}

npuenc_stats Context::stats() const {
    npuenc_stats stats{};
    stats.struct_size = sizeof stats;
    check(npuenc_ctx_stats(get(), &stats));
    return stats;
}

RunHandle Context::make_run() const {
    npuenc_run* run = nullptr;
    check(npuenc_run_create(get(), &run));
    return RunHandle(run);
}

Model::Model(const Context& context, const std::string& path, int32_t precision) {
    const npuenc_model_options options = model_options(precision);
    npuenc_model* handle = nullptr;
    check(npuenc_model_load(context.get(), path.c_str(), &options, &handle));
    handle_.reset(handle);
}

Model::Model(const Context& context, std::span<const uint8_t> file, int32_t precision) {
    const npuenc_model_options options = model_options(precision);
    npuenc_model* handle = nullptr;
    check(npuenc_model_load_memory(context.get(), file.data(), file.size(), &options, &handle));
    handle_.reset(handle);
}

npuenc_model_info Model::info() const {
    npuenc_model_info info{};
    info.struct_size = sizeof info;
    check(npuenc_model_get_info(get(), &info));
    return info;
}

size_t Model::samples_per_window() const {
    return size_t{320} * info().n_ctx;
}

npuenc_stats stats_of(const npuenc_run* run) {
    npuenc_stats stats{};
    stats.struct_size = sizeof stats;
    check(npuenc_run_stats(run, &stats));
    return stats;
}

const char* device_name(int32_t device_type) {
    switch (device_type) {
    case NPUENC_DEVICE_CPU:
        return "cpu";
    case NPUENC_DEVICE_NPU:
        return "npu";
    default:
        return "unknown";
    }
}

const char* precision_name(int32_t precision) {
    switch (precision) {
    case NPUENC_PRECISION_F32:
        return "f32";
    case NPUENC_PRECISION_BF16:
        return "bf16";
    case NPUENC_PRECISION_INT8:
        return "int8";
    case NPUENC_PRECISION_BF16X2:
        return "bf16x2";
    default:
        return "unknown";
    }
}

std::string device_text(const Context& context) {
    const npuenc_ctx_info info = context.info();
    std::string text =
        format("%s: %s, %s, %s", device_name(info.device_type), context.device().name, info.isa,
               count_text(info.n_threads, "thread").c_str());
    if (const std::string reason = context.reason(); !reason.empty())
        text += '\n' + reason;
    return text;
}

} // namespace npuenc
