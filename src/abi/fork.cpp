// SPDX-License-Identifier: MIT
#include "abi/fork.hpp"

#include <pthread.h>

#include <atomic>
#include <mutex>

#include "error.hpp"

namespace npuenc {
namespace {

std::atomic<uint64_t> generation{0};
std::once_flag watching;

} // namespace

void watch_forks() {
    std::call_once(watching, [] {
        if (pthread_atfork(nullptr, nullptr, [] { ++generation; }) != 0)
            fail(NPUENC_E_NOMEM, "no memory to watch for fork()");
    });
}

uint64_t fork_generation() noexcept {
    return generation;
}

} // namespace npuenc
