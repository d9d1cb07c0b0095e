// SPDX-License-Identifier: MIT
// The caller's log callback. npuenc prints nothing itself.
#pragma once

#include <cstdarg>
#include <cstdio>

#include <npuenc/npuenc.h>

#include "device/run.hpp"

namespace npuenc {

class Log {
  public:
    Log(npuenc_log_fn callback, void* user, int32_t level)
        : callback_(callback), user_(user), level_(level) {}

    bool wants(npuenc_log_level level) const { return callback_ && level <= level_; }

    // On a thread that is inside a call, at once.
    void deliver(const LogMessage& message) const {
        callback_(user_, message.level, message.text.c_str());
    }

    // For a call: at once, or for one that was submitted, when somebody waits for it.
    [[gnu::format(printf, 4, 5)]] void write(Run* run, npuenc_log_level level, const char* format,
                                             ...) const {
        if (!wants(level))
            return;
        char text[512];
        std::va_list arguments;
        va_start(arguments, format);
        std::vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        if (run && run->submitted())
            run->buffer_log({level, text});
        else
            callback_(user_, level, text);
    }

  private:
    npuenc_log_fn callback_;
    void* user_;
    int32_t level_;
};

} // namespace npuenc
