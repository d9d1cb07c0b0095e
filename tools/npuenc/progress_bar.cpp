// SPDX-License-Identifier: MIT
#include "progress_bar.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "text.hpp"

namespace npuenc {

ProgressBar::ProgressBar() : on_terminal_(isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() {
    if (!shown_.empty())
        std::fprintf(stderr, "\r\033[K");
}

void ProgressBar::show(double fraction, const std::string& note) {
    if (!on_terminal_)
        return;
    constexpr int width = 30;
    const double part = std::clamp(fraction, 0.0, 1.0);
    const std::string bar(static_cast<size_t>(part * width), '=');
    std::string line =
        format("[%-*s] %3d %%  %s", width, bar.c_str(), static_cast<int>(part * 100), note.c_str());
    if (line == shown_)
        return;
    std::fprintf(stderr, "\r%s\033[K", line.c_str());
    shown_ = std::move(line);
}

} // namespace npuenc
