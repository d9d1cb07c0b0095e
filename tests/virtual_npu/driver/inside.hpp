// SPDX-License-Identifier: MIT
// Whether a thread is at work for the virtual NPU itself: what it asks of the C library then is for
// the C library alone.
#pragma once

namespace virtual_npu {

class Inside {
  public:
    Inside() { ++depth_; }
    ~Inside() { --depth_; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

    static bool is_set() { return depth_ != 0; }

  private:
    static inline thread_local unsigned depth_ = 0;
};

} // namespace virtual_npu
