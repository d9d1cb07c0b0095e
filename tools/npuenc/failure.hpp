// SPDX-License-Identifier: MIT
// How the command ends: its exit statuses, and the exception that carries one with its message.
#pragma once

#include <cstdarg>
#include <exception>
#include <string>
#include <utility>

namespace npuenc {

// Documented in --help and npuenc(1). A signal that was caught ends the command with 128 + signal.
enum ExitStatus : int {
    exit_ok = 0,
    exit_failed = 1,    // the work could not be done
    exit_usage = 2,     // the command line is wrong
    exit_not_found = 3, // no such file or device
    exit_bad_model = 4, // the model is damaged or not a Whisper model
};

class Failure : public std::exception {
  public:
    // An empty message: it has been printed already.
    Failure(int exit_status, std::string message)
        : exit_status_(exit_status), message_(std::move(message)) {}

    int exit_status() const noexcept { return exit_status_; }
    const char* what() const noexcept override { return message_.c_str(); }

  private:
    int exit_status_;
    std::string message_;
};

// Throws Failure with a message formatted as by printf.
[[noreturn, gnu::format(printf, 2, 3)]] void fail(int exit_status, const char* format, ...);

} // namespace npuenc
