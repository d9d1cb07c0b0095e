// SPDX-License-Identifier: MIT
// An open device with all that its calls share.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

#include "audio/mel.hpp"
#include "device/choice.hpp"
#include "device/log.hpp"
#include "device/run.hpp"
#include "device/submission_queue.hpp"

namespace npuenc {

class Context {
  public:
    Context(Choice choice, Log log) : choice_(std::move(choice)), log_(log) {}

    Device& device() { return *choice_.device; }
    const Choice& choice() const { return choice_; }
    const Log& log() const { return log_; }
    SubmissionQueue& queue() { return queue_; }

    // Built at its first use. n_mels: 80 or 128.
    const MelSpectrogram& spectrogram(uint32_t n_mels) {
        const std::lock_guard lock(mutex_);
        std::optional<MelSpectrogram>& bank = n_mels == 80 ? mel80_ : mel128_;
        if (!bank)
            bank.emplace(n_mels);
        return *bank;
    }

    // Held by a call that works on its caller's thread; those of the queue are not counted here.
    class DirectCall {
      public:
        explicit DirectCall(Context& context) : context_(context) {
            const std::lock_guard lock(context.mutex_);
            after_close_ = context.closed_;
            ++context.direct_calls_[after_close_];
        }
        ~DirectCall() {
            const std::lock_guard lock(context_.mutex_);
            if (--context_.direct_calls_[after_close_] == 0)
                context_.call_ended_.notify_all();
        }
        DirectCall(const DirectCall&) = delete;
        DirectCall& operator=(const DirectCall&) = delete;

      private:
        Context& context_;
        bool after_close_;
    };

    // Until all calls have ended that have begun by now. Models, weights and runs go on with new
    // ones meanwhile, which are not waited for: they could keep one waiting forever. At most once.
    void close() {
        queue_.wait_for_all_pushed();
        std::unique_lock lock(mutex_);
        closed_ = true;
        call_ended_.wait(lock, [this] { return direct_calls_[false] == 0; });
    }

    void add(const Stats& stats) {
        const std::lock_guard lock(mutex_);
        totals_ += stats;
    }

    Stats totals() const {
        const std::lock_guard lock(mutex_);
        return totals_;
    }

  private:
    Choice choice_;
    Log log_;
    mutable std::mutex mutex_;
    std::condition_variable call_ended_;
    bool closed_ = false;
    size_t direct_calls_[2] = {}; // in flight, that began before and after close
    std::optional<MelSpectrogram> mel80_, mel128_;
    Stats totals_;
    SubmissionQueue queue_; // last: its thread goes first
};

} // namespace npuenc
