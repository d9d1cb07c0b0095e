// SPDX-License-Identifier: MIT
#include "xrt/submission.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "xrt/buffer.hpp"
#include "xrt/device.hpp"
#include "xrt/overlay.hpp"
#include "xrt/program.hpp"
#include "xrt/signal_mask.hpp"
#include "xrt/silence.hpp"

namespace npuenc::module {
namespace {

using namespace std::chrono_literals;

// XRT 2.25 returns from a wait when the driver's call fails, whatever the reason, as if the command
// had ended (xdna-driver, src/shim/host/platform_host.cpp, wait_cmd_syncobj ignores the result),
// and then finds a command that has not. It is waited for again, for a time in which the driver's
// own hang detection (amdxdna, aie2_ctx.c, tdr_timeout_ms: 2 s without progress) must have ended
// it.
constexpr auto pause = 10ms;
constexpr unsigned max_attempts = 3000;

void set_arguments(::xrt::run& run, const Command& command, size_t n_buffers) {
    const size_t n = command.arguments.size();
    for (size_t i = 0; i < n_buffers; ++i) {
        // What the command leaves out must not be what the run had before: the driver pins it.
        const Command::Argument& argument = command.arguments[i < n ? i : 0];
        run.set_arg(first_buffer_argument + static_cast<int>(i),
                    argument.buffer->part(argument.offset, argument.bytes));
    }
}

[[noreturn]] void fail_with(ert_cmd_state state) {
    switch (state) {
    case ERT_CMD_STATE_TIMEOUT:
    case ERT_CMD_STATE_NORESPONSE:
        fail(NPUENC_E_TIMEOUT, "the NPU made no progress: the driver has stopped the command");
    case ERT_CMD_STATE_ABORT:
        fail(NPUENC_E_DEVICE, "the command was aborted: another in its hardware context failed, or "
                              "firmware and driver do not fit together");
    default:
        fail(NPUENC_E_DEVICE, "the NPU's firmware failed the command (state %d)",
             static_cast<int>(state));
    }
}

} // namespace

Submission::Submission(std::shared_ptr<Device> device, std::span<const Command> commands)
    : device_(std::move(device)),
      context_(device_->contexts().use(*commands[0].program->overlay())) {
    const size_t n_buffers = commands[0].program->overlay()->n_buffers();
    device_->call("preparing a command", NPUENC_E_DEVICE, [&] {
        steps_.reserve(commands.size());
        for (const Command& command : commands) {
            steps_.push_back({command.program, context_->take_run(*command.program)});
            set_arguments(steps_.back().run.run, command, n_buffers);
        }
        if (steps_.size() > 1) {
            const Silence silence;
            list_ = ::xrt::runlist(context_->xrt());
            for (const Step& step : steps_)
                list_.add(step.run.run);
        }
    });
    start();
}

void Submission::start() {
    const SignalMask uninterrupted;
    try {
        device_->call("submitting commands", NPUENC_E_DEVICE, [&] {
            if (steps_.size() > 1)
                list_.execute();
            else
                steps_[0].run.run.start();
        });
    } catch (const Error&) {
        // Of a long list some may have been submitted.
        if (steps_.size() > 1)
            wait_for_list();
        discard();
        throw;
    }
}

void Submission::wait() {
    const SignalMask uninterrupted;
    const ert_cmd_state state = steps_.size() > 1 ? wait_for_list() : wait_for_run();
    if (state == ERT_CMD_STATE_COMPLETED) {
        if (steps_.size() > 1) {
            const Silence silence;
            list_ = {};
        }
        for (Step& step : steps_)
            context_->give_back(*step.program, std::move(step.run));
        return;
    }
    const bool is_lost = !device_->is_there();
    discard();
    if (is_lost)
        device_->require();
    fail_with(state);
}

ert_cmd_state Submission::wait_for_run() {
    ::xrt::run& run = steps_[0].run.run;
    for (unsigned attempt = 0;; ++attempt) {
        try {
            return run.wait();
        } catch (const std::exception&) {
            if (run.state() >= ERT_CMD_STATE_COMPLETED)
                return run.state();
        }
        if (!goes_on(attempt)) {
            // Or XRT would end the process with the run object.
            run.get_ert_packet()->state = ERT_CMD_STATE_TIMEOUT;
            return run.state();
        }
    }
}

ert_cmd_state Submission::wait_for_list() {
    ert_cmd_state state = ERT_CMD_STATE_COMPLETED;
    try {
        list_.wait();
        return state;
    } catch (const ::xrt::runlist::command_error& failure) {
        state = failure.get_command_state();
    } catch (const std::exception&) {
        state = ERT_CMD_STATE_NEW;
    }
    if (state >= ERT_CMD_STATE_COMPLETED)
        return state;
    // The list no longer knows which of its commands failed.
    for (unsigned attempt = 0; list_.state() < ERT_CMD_STATE_COMPLETED; ++attempt)
        if (!goes_on(attempt))
            return ERT_CMD_STATE_TIMEOUT;
    return ERT_CMD_STATE_ERROR;
}

// After a wait that ended too early: whether to wait again.
bool Submission::goes_on(unsigned attempt) noexcept {
    if (!device_->is_there() || attempt >= max_attempts)
        return false;
    std::this_thread::sleep_for(pause);
    return true;
}

// What failed is not used again: neither the runs nor their context.
void Submission::discard() noexcept {
    const Silence silence;
    device_->contexts().discard(*context_);
    list_ = {};
    steps_.clear();
    context_.end();
}

} // namespace npuenc::module
