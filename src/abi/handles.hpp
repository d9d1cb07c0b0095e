// SPDX-License-Identifier: MIT
// What is behind the opaque handles, and how a call takes hold of them.
#pragma once

#include <memory>

#include "abi/boundary.hpp"
#include "abi/context.hpp"
#include "abi/fork.hpp"
#include "encoder/encoder.hpp"

// Model, weight and run share the context, so that it lives as long as any of them.
struct npuenc_ctx {
    std::shared_ptr<npuenc::Context> context;
    uint64_t generation = npuenc::fork_generation();
};

struct npuenc_model {
    std::shared_ptr<npuenc::Context> context;
    std::shared_ptr<const npuenc::Encoder> encoder;
    npuenc_model_info info; // struct_size apart
    uint64_t generation = npuenc::fork_generation();
};

struct npuenc_weight {
    std::shared_ptr<npuenc::Context> context;
    std::unique_ptr<npuenc::Weight> weight;
    uint64_t generation = npuenc::fork_generation();
};

struct npuenc_run {
    std::shared_ptr<npuenc::Context> context;
    npuenc::Run run{npuenc::Run::Profile::on};
    uint64_t generation = npuenc::fork_generation();
};

namespace npuenc {

template <typename Handle>
bool is_of_this_process(const Handle* handle) noexcept {
    return handle->generation == fork_generation();
}

// E_INVALID for NULL, E_FORKED in a child.
template <typename Handle>
Handle& check_handle(Handle* handle, const char* name) {
    require_not_null(handle, name);
    if (!is_of_this_process(handle))
        fail(NPUENC_E_FORKED, "%s was made before fork() by the parent process", name);
    return *handle;
}

// The same for a call that loads or computes: E_CTX_LOST where the device has gone.
template <typename Handle>
Handle& check_working(Handle* handle, const char* name) {
    Handle& checked = check_handle(handle, name);
    if (checked.context->device().status() != NPUENC_OK)
        fail(NPUENC_E_CTX_LOST, "the device of this context has gone: open a new context");
    return checked;
}

// The caller's run, if there is one, else one that nobody else sees.
class RunOrOwn {
  public:
    RunOrOwn(npuenc_run* handle, const Context& context) : run_(&own_) {
        if (!handle)
            return;
        if (check_handle(handle, "run").context.get() != &context)
            fail(NPUENC_E_INVALID, "run is of another context");
        run_ = &handle->run;
    }

    Run& operator*() { return *run_; }

  private:
    Run own_{Run::Profile::off};
    Run* run_;
};

// Does a call's work between the run's start of work and its end, the context's sums included, and
// gives the failure, if there was one.
template <typename Body>
Failure work(Context& context, Run& run, Body&& body) noexcept {
    Failure result{NPUENC_OK, {}};
    run.start_work();
    try {
        body(run);
    } catch (...) {
        result = current_failure();
    }
    context.add(run.stop_clock());
    return result;
}

// A call that works at once, on the caller's thread.
template <typename Body>
void call(Context& context, npuenc_run* handle, Body&& body) {
    const Context::DirectCall in_flight(context);
    RunOrOwn chosen(handle, context);
    Run& run = *chosen;
    run.begin(false);
    const Failure failure = work(context, run, body);
    run.end(failure.status, failure.detail);
    if (failure.status != NPUENC_OK)
        throw Error(failure.status, failure.detail);
}

// A call that is one operator of the context's device; the body takes the statistics that it adds
// to.
template <typename Body>
void call_operator(Context& context, npuenc_run* handle, const Operation& operation, Body&& body) {
    call(context, handle, [&](Run& run) {
        run.set_total(1);
        run.operate(operation, [&] { body(run.stats_in_work()); });
    });
}

} // namespace npuenc
