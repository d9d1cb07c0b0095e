// SPDX-License-Identifier: MIT
#include "child_process.hpp"

#include <fcntl.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "descriptor.hpp"
#include "failure.hpp"

namespace npuenc {
namespace {

// What goes before the result.
struct Outcome {
    int exit_status = exit_ok;
    char message[1024] = {};
};

[[noreturn]] void work_and_end(const std::function<void()>& work, const Descriptor& to,
                               const void* result, size_t bytes) {
    Outcome outcome;
    const auto note = [&](int exit_status, const char* message) {
        outcome.exit_status = exit_status;
        std::strncpy(outcome.message, message, sizeof outcome.message - 1);
    };
    try {
        work();
    } catch (const Failure& failure) {
        note(failure.exit_status(), failure.what());
    } catch (const std::exception& error) {
        note(exit_failed, error.what());
    }
    try {
        write_all(to, &outcome, sizeof outcome, "a pipe");
        write_all(to, result, bytes, "a pipe");
    } catch (const Failure&) {
        _exit(exit_failed); // the parent sees that something is missing
    }
    _exit(exit_ok);
}

// False at the end of the pipe.
bool read_all(const Descriptor& from, void* data, size_t bytes) {
    char* rest = static_cast<char*>(data);
    while (bytes > 0) {
        const ssize_t count = read(from.get(), rest, bytes);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        rest += count;
        bytes -= static_cast<size_t>(count);
    }
    return true;
}

} // namespace

void run_in_child(const std::function<void()>& work, void* result, size_t bytes) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        fail(exit_failed, "cannot make a pipe: %s", std::strerror(errno));
    const Descriptor from(ends[0]);
    Descriptor to(ends[1]);
    const pid_t child = fork();
    if (child < 0)
        fail(exit_failed, "cannot start a process: %s", std::strerror(errno));
    if (child == 0)
        work_and_end(work, to, result, bytes);
    to = Descriptor();

    Outcome outcome;
    const bool whole = read_all(from, &outcome, sizeof outcome) && read_all(from, result, bytes);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status))
        fail(exit_failed, "the measuring process was ended by signal %d, %s", WTERMSIG(status),
             strsignal(WTERMSIG(status)));
    if (!whole)
        fail(exit_failed, "the measuring process ended without a result");
    if (outcome.exit_status != exit_ok)
        throw Failure(outcome.exit_status, outcome.message);
}

} // namespace npuenc
