// SPDX-License-Identifier: MIT
#include "interruption.hpp"

#include <signal.h>

#include "failure.hpp"

namespace npuenc {
namespace {

volatile sig_atomic_t caught_signal = 0;

void note(int signal) {
    caught_signal = signal;
}

} // namespace

void catch_interruptions() {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        struct sigaction action {};
        if (sigaction(signal, nullptr, &action) != 0 || action.sa_handler == SIG_IGN)
            continue;
        action.sa_handler = note;
        action.sa_flags = 0; // without SA_RESTART: a read that waits for input ends
        sigaction(signal, &action, nullptr);
    }
}

bool interrupted() {
    return caught_signal != 0;
}

void throw_if_interrupted() {
    if (interrupted())
        fail(128 + caught_signal, "interrupted");
}

} // namespace npuenc
