// SPDX-License-Identifier: MIT
// The thread that does submitted calls, one after another.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace npuenc {

class SubmissionQueue {
  public:
    SubmissionQueue() = default;
    ~SubmissionQueue(); // does what is still queued first
    SubmissionQueue(const SubmissionQueue&) = delete;
    SubmissionQueue& operator=(const SubmissionQueue&) = delete;

    // Two steps of a call: `work` must not throw; it is destroyed, with all that it holds, before
    // `finish` is called, which may set free what waits for the call.
    struct Job {
        std::function<void()> work;
        std::function<void()> finish;
    };

    // Starts the thread at the first job; throws Error E_NOMEM where that fails.
    void push(Job job);

    // Until all jobs that have been pushed by now are done.
    void wait_for_all_pushed();

  private:
    void start_thread();
    void serve();

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Job> jobs_;
    uint64_t pushed_ = 0, done_ = 0; // jobs
    bool stopping_ = false;
    std::thread thread_;
};

} // namespace npuenc
