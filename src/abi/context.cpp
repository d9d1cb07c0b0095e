// SPDX-License-Identifier: MIT
#include "abi/context.hpp"

#include "abi/drivers.hpp"
#include "abi/handles.hpp"
#include "abi/stats.hpp"

using namespace npuenc;

namespace {

constexpr uint32_t max_threads = 1024;

npuenc_device_type checked_device_type(int32_t type) {
    if (type < NPUENC_DEVICE_AUTO || type > NPUENC_DEVICE_NPU)
        fail(NPUENC_E_INVALID, "options.device_type %d is not an npuenc_device_type", type);
    return static_cast<npuenc_device_type>(type);
}

npuenc_open_options checked_options(const npuenc_open_options* options) {
    if (!options)
        return npuenc_open_options{};
    npuenc_open_options known = read_struct(options, "options");
    checked_device_type(known.device_type);
    require(known.reserved == 0, "options.reserved is not 0");
    require(known.device_type != NPUENC_DEVICE_AUTO || known.device_index == 0,
            "options.device_index needs a device_type that is not AUTO");
    require(known.n_threads <= max_threads, "options.n_threads is more than 1024");
    require(known.log_level >= NPUENC_LOG_OFF && known.log_level <= NPUENC_LOG_DEBUG,
            "options.log_level is not an npuenc_log_level");
    return known;
}

Log make_log(const npuenc_open_options& options) {
    const int32_t level =
        options.log_level == NPUENC_LOG_DEFAULT ? NPUENC_LOG_WARN : options.log_level;
    return Log(options.log_fn, options.log_user, level);
}

void report_choice(const Log& log, const Choice& choice) {
    log.write(nullptr, NPUENC_LOG_INFO, "device: %s", choice.device->name().c_str());
    if (choice.fell_back)
        log.write(nullptr, NPUENC_LOG_INFO, "%s", choice.reason.c_str());
}

} // namespace

extern "C" {

int32_t npuenc_open(const npuenc_open_options* options, npuenc_ctx** out) {
    return guarded([&] {
        require_not_null(out, "out");
        *out = nullptr;
        const npuenc_open_options known = checked_options(options);
        watch_forks();
        const Log log = make_log(known);
        const Drivers drivers;
        Choice choice =
            choose_device(drivers.by_preference(), checked_device_type(known.device_type),
                          known.device_index, known.n_threads);
        report_choice(log, choice);
        *out = new npuenc_ctx{std::make_shared<Context>(std::move(choice), log)};
    });
}

void npuenc_close(npuenc_ctx* ctx) {
    if (!ctx || !is_of_this_process(ctx))
        return;
    ctx->context->close();
    delete ctx;
}

int32_t npuenc_ctx_get_info(const npuenc_ctx* ctx, npuenc_ctx_info* info) {
    return guarded([&] {
        Context& context = *check_handle(ctx, "ctx").context;
        check_out_struct(info, "info");
        npuenc_ctx_info known{};
        known.device_type = context.device().type();
        known.device_index = context.choice().description.index;
        known.n_threads = context.device().parallel().n_threads();
        known.status = context.device().status();
        known.fell_back = context.choice().fell_back;
        write_text(known.device_name, context.choice().description.name);
        write_text(known.isa, context.device().isa());
        write_struct(info, known);
    });
}

size_t npuenc_ctx_reason(const npuenc_ctx* ctx, char* buf, size_t cap) {
    if (!ctx || !is_of_this_process(ctx))
        return copy_text("", buf, cap);
    return copy_text(ctx->context->choice().reason, buf, cap);
}

int32_t npuenc_ctx_stats(const npuenc_ctx* ctx, npuenc_stats* stats) {
    return guarded([&] {
        const Context& context = *check_handle(ctx, "ctx").context;
        check_out_struct(stats, "stats");
        write_struct(stats, public_stats(context.totals()));
    });
}

} // extern "C"
