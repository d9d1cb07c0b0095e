// SPDX-License-Identifier: MIT
// Keeps signals from a thread while it waits in the driver.
#pragma once

#include <csignal>

#include <pthread.h>

namespace npuenc::module {

// XRT takes a system call that a signal interrupts for one that failed, or for the end of a
// command. Signals go to other threads, or come when this ends: commands end within seconds.
class SignalMask {
  public:
    SignalMask() {
        sigset_t all;
        sigfillset(&all);
        // Of faults of the thread itself.
        for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT})
            sigdelset(&all, fault);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~SignalMask() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalMask(const SignalMask&) = delete;
    SignalMask& operator=(const SignalMask&) = delete;

  private:
    sigset_t before_;
};

} // namespace npuenc::module
