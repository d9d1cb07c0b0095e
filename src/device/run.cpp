// SPDX-License-Identifier: MIT
#include "device/run.hpp"

#include "error.hpp"

namespace npuenc {
namespace {

constexpr uint64_t total_unit = uint64_t{1} << 32;

} // namespace

void Run::begin(bool submitted) {
    const std::lock_guard lock(mutex_);
    check_idle();
    state_ = working;
    submitted_ = submitted;
    progress_ = 0;
    log_.clear();
    stats_ = Stats{};
    operations_.clear();
    next_operation_ = 0;
    begun_ = started_ = Clock::now();
}

void Run::end(npuenc_status status, const std::string& detail) noexcept {
    const std::lock_guard lock(mutex_);
    status_ = status;
    try {
        detail_ = detail;
    } catch (const std::bad_alloc&) {
        detail_.clear(); // a status without its detail is better than a run that never ends
    }
    state_ = idle;
    // Under the lock: whoever waits may free the run as soon as it can take it.
    ended_.notify_all();
}

void Run::set_total(uint32_t steps) {
    progress_ = steps * total_unit;
}

void Run::start_work() {
    started_ = Clock::now();
    stats_.queue_ns = static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(started_ - begun_).count());
}

const Stats& Run::stop_clock() {
    stats_.n_calls = 1;
    stats_.wall_ns = nanoseconds_since(started_);
    return stats_;
}

void Run::start_window() {
    next_operation_ = 0;
}

void Run::buffer_log(LogMessage message) {
    const std::lock_guard lock(mutex_);
    log_.push_back(std::move(message));
}

void Run::cancel() noexcept {
    int expected = working;
    state_.compare_exchange_strong(expected, cancelled);
}

bool Run::submitted() const {
    const std::lock_guard lock(mutex_);
    return submitted_;
}

npuenc_status Run::wait(int64_t timeout_ns, std::string& detail) {
    std::unique_lock lock(mutex_);
    const auto is_idle = [this] { return state_ == idle; };
    if (timeout_ns < 0) {
        ended_.wait(lock, is_idle);
    } else {
        // A deadline beyond what the clock can hold is one that never comes.
        constexpr int64_t longest = int64_t{100} * 365 * 86400 * 1'000'000'000;
        const auto deadline =
            Clock::now() + std::chrono::nanoseconds(std::min(timeout_ns, longest));
        if (!ended_.wait_until(lock, deadline, is_idle)) {
            detail = "the call has not ended yet";
            return NPUENC_E_PENDING;
        }
    }
    detail = detail_;
    return status_;
}

void Run::progress(uint32_t& done, uint32_t& total) const {
    const uint64_t both = progress_;
    done = static_cast<uint32_t>(both);
    total = static_cast<uint32_t>(both / total_unit);
}

std::vector<LogMessage> Run::take_log() {
    const std::lock_guard lock(mutex_);
    return std::exchange(log_, {});
}

Stats Run::stats() const {
    const std::lock_guard lock(mutex_);
    check_idle();
    return stats_;
}

uint32_t Run::operation_count() const {
    const std::lock_guard lock(mutex_);
    check_idle();
    return static_cast<uint32_t>(operations_.size());
}

Operation Run::operation(uint32_t i) const {
    const std::lock_guard lock(mutex_);
    check_idle();
    if (i >= operations_.size())
        fail(NPUENC_E_NOT_FOUND, "no operator %u: there are %zu", i, operations_.size());
    return operations_[i];
}

void Run::throw_if_cancelled() const {
    if (state_ == cancelled)
        fail(NPUENC_E_CANCELED, "the call was cancelled");
}

void Run::record(const Operation& operation, uint64_t wall_ns) {
    stats_.macs += operation.macs;
    if (profile_ == Profile::on) {
        if (next_operation_ == operations_.size())
            operations_.push_back(
                {operation.name, operation.layer, operation.device, operation.precision, 0});
        Operation& sum = operations_[next_operation_++];
        sum.macs += operation.macs;
        sum.wall_ns += wall_ns;
        ++sum.n_calls;
    }
    progress_.fetch_add(1);
}

void Run::check_idle() const {
    if (state_ != idle)
        fail(NPUENC_E_BUSY, "the run is in use by a call");
}

} // namespace npuenc
