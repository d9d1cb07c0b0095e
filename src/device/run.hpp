// SPDX-License-Identifier: MIT
// One call, watched: cancellation, progress, operator times. What npuenc_run is on the outside.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <npuenc/npuenc.h>

#include "device/stats.hpp"

namespace npuenc {

using Clock = std::chrono::steady_clock;

inline uint64_t nanoseconds_since(Clock::time_point start) {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count());
}

// An operator of a call; the windows of a batch are added up.
struct Operation {
    const char* name; // static storage
    int32_t layer;    // -1: not of a layer
    npuenc_device_type device;
    npuenc_precision precision;
    uint64_t macs;
    uint64_t wall_ns = 0;
    uint32_t n_calls = 0;
};

struct LogMessage {
    int32_t level;
    std::string text;
};

class Run {
  public:
    enum class Profile { off, on }; // on: keep the list of operators

    explicit Run(Profile profile) : profile_(profile) {}
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;

    // A call takes the run, works, and gives it back with its status and, after a failure, the
    // detail. begin throws E_BUSY when the run is taken. end is the last thing that touches the run
    // for the call.
    void begin(bool submitted);
    void end(npuenc_status status, const std::string& detail) noexcept;

    // By the working thread, between begin and end.
    void set_total(uint32_t steps);
    void start_work();   // the clock runs from here; before that, a submitted call queues
    void start_window(); // the operators that follow are those of the window before, again
    Stats& stats_in_work() { return stats_; }
    const Stats& stop_clock();           // before end
    void buffer_log(LogMessage message); // delivered by whoever waits

    // Runs one operator: one step of progress, timed. Throws E_CANCELED instead of starting it when
    // the call has been cancelled.
    template <typename Body>
    void operate(const Operation& operation, Body&& body) {
        throw_if_cancelled();
        const Clock::time_point start = Clock::now();
        body();
        record(operation, nanoseconds_since(start));
    }

    // From any thread.
    void cancel() noexcept; // async-signal-safe
    bool submitted() const;
    // The status of the last call, E_PENDING when time ran out; the detail of a failure.
    npuenc_status wait(int64_t timeout_ns, std::string& detail);
    void progress(uint32_t& done, uint32_t& total) const;
    std::vector<LogMessage> take_log();

    // Of the last call that ended; throw E_BUSY during one.
    Stats stats() const;
    uint32_t operation_count() const;
    Operation operation(uint32_t i) const; // E_NOT_FOUND when there are not so many

  private:
    enum State : int { idle, working, cancelled };

    void throw_if_cancelled() const;
    void record(const Operation& operation, uint64_t wall_ns);
    void check_idle() const; // with the lock held

    const Profile profile_;
    std::atomic<int> state_{idle};
    std::atomic<uint64_t> progress_{0}; // total in the upper half, so that both change at once

    mutable std::mutex mutex_;
    std::condition_variable ended_;
    bool submitted_ = false;
    npuenc_status status_ = NPUENC_OK;
    std::string detail_;
    std::vector<LogMessage> log_;

    Stats stats_; // these are the working thread's until the end
    Clock::time_point begun_, started_;
    std::vector<Operation> operations_;
    size_t next_operation_ = 0;
};

} // namespace npuenc
