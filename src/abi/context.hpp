// SPDX-License-Identifier: MIT
// An open device with all that its calls share.
#pragma once

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
    std::optional<MelSpectrogram> mel80_, mel128_;
    Stats totals_;
    SubmissionQueue queue_; // last: its thread goes first
};

} // namespace npuenc
