// SPDX-License-Identifier: MIT
#include "device/submission_queue.hpp"

#include <pthread.h>
#include <signal.h>

#include <system_error>

#include "error.hpp"

namespace npuenc {

SubmissionQueue::~SubmissionQueue() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable())
        thread_.join();
}

void SubmissionQueue::push(Job job) {
    const std::lock_guard lock(mutex_);
    if (!thread_.joinable())
        start_thread();
    jobs_.push_back(std::move(job));
    ++pushed_;
    changed_.notify_all();
}

void SubmissionQueue::wait_for_all_pushed() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this, last = pushed_] { return done_ >= last; });
}

// The application's signals are for its own threads.
void SubmissionQueue::start_thread() {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        thread_ = std::thread([this] { serve(); });
    } catch (const std::system_error& error) {
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        fail(NPUENC_E_NOMEM, "no thread for submitted calls: %s", error.what());
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_setname_np(thread_.native_handle(), "npuenc-submit");
}

void SubmissionQueue::serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
        if (jobs_.empty())
            return;
        Job job = std::move(jobs_.front());
        jobs_.pop_front();
        lock.unlock();
        job.work();
        job.work = nullptr;
        job.finish();
        lock.lock();
        ++done_;
        changed_.notify_all();
    }
}

} // namespace npuenc
