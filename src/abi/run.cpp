// SPDX-License-Identifier: MIT
#include "abi/handles.hpp"
#include "abi/stats.hpp"

using namespace npuenc;

namespace {

void deliver_log(npuenc_run& handle) {
    for (const LogMessage& message : handle.run.take_log())
        handle.context->log().deliver(message);
}

} // namespace

extern "C" {

int32_t npuenc_run_create(npuenc_ctx* ctx, npuenc_run** out) {
    return guarded([&] {
        require_not_null(out, "out");
        *out = nullptr;
        const std::shared_ptr<Context>& context = check_handle(ctx, "ctx").context;
        auto handle = std::make_unique<npuenc_run>();
        handle->context = context;
        *out = handle.release();
    });
}

int32_t npuenc_run_wait(npuenc_run* run, int64_t timeout_ns) {
    return guarded([&] {
        npuenc_run& handle = check_handle(run, "run");
        std::string detail;
        const npuenc_status status = handle.run.wait(timeout_ns, detail);
        if (status != NPUENC_E_PENDING)
            deliver_log(handle);
        if (status != NPUENC_OK)
            throw Error(status, std::move(detail));
    });
}

void npuenc_run_cancel(npuenc_run* run) {
    if (run && is_of_this_process(run))
        run->run.cancel();
}

int32_t npuenc_run_progress(const npuenc_run* run, uint32_t* done, uint32_t* total) {
    return guarded([&] {
        const npuenc_run& handle = check_handle(run, "run");
        require_not_null(done, "done");
        require_not_null(total, "total");
        handle.run.progress(*done, *total);
    });
}

int32_t npuenc_run_stats(const npuenc_run* run, npuenc_stats* stats) {
    return guarded([&] {
        const npuenc_run& handle = check_handle(run, "run");
        check_out_struct(stats, "stats");
        write_struct(stats, public_stats(handle.run.stats()));
    });
}

int32_t npuenc_run_op_count(const npuenc_run* run, uint32_t* count) {
    return guarded([&] {
        const npuenc_run& handle = check_handle(run, "run");
        require_not_null(count, "count");
        *count = handle.run.operation_count();
    });
}

int32_t npuenc_run_op_get(const npuenc_run* run, uint32_t i, npuenc_op_info* info) {
    return guarded([&] {
        const npuenc_run& handle = check_handle(run, "run");
        check_out_struct(info, "info");
        const Operation operation = handle.run.operation(i);
        npuenc_op_info known{};
        known.device_type = operation.device;
        known.precision = operation.precision;
        known.layer = operation.layer;
        known.n_calls = operation.n_calls;
        known.wall_ns = operation.wall_ns;
        known.macs = operation.macs;
        write_text(known.name, operation.name);
        write_struct(info, known);
    });
}

void npuenc_run_free(npuenc_run* run) {
    if (!run || !is_of_this_process(run))
        return;
    std::string detail;
    run->run.wait(-1, detail);
    delete run;
}

} // extern "C"
