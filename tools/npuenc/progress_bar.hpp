// SPDX-License-Identifier: MIT
// A bar on standard error, when that is a terminal; gone when the work has ended.
#pragma once

#include <string>

namespace npuenc {

class ProgressBar {
  public:
    ProgressBar();
    ~ProgressBar();
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

    void show(double fraction, const std::string& note);

  private:
    bool on_terminal_;
    std::string shown_;
};

} // namespace npuenc
