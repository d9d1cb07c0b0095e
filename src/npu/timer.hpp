// SPDX-License-Identifier: MIT
// Adds the time of its life to a sum of nanoseconds.
#pragma once

#include <chrono>
#include <cstdint>

namespace npuenc {

class Timer {
  public:
    explicit Timer(uint64_t& sum) : sum_(sum) {}
    ~Timer() {
        const std::chrono::nanoseconds time = std::chrono::steady_clock::now() - start_;
        sum_ += static_cast<uint64_t>(time.count());
    }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

  private:
    uint64_t& sum_;
    const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

} // namespace npuenc
