// SPDX-License-Identifier: MIT
#include "xrt/context_pool.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "xrt/context.hpp"
#include "xrt/device.hpp"
#include "xrt/overlay.hpp"
#include "xrt/silence.hpp"

namespace npuenc::module {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Other processes do not tell when they drop a context: the driver is asked again, first soon and
// then less often.
constexpr auto patience = 5s;
constexpr auto first_pause = 1ms, longest_pause = 100ms;

} // namespace

void ContextUse::end() noexcept {
    if (!context_)
        return;
    context_.reset();
    pool_->end_use();
}

ContextUse ContextPool::use(const Overlay& overlay) {
    const std::lock_guard turn(turn_);
    std::unique_lock lock(mutex_);
    const auto deadline = Clock::now() + patience;
    auto pause = std::chrono::milliseconds(first_pause);
    for (;;) {
        const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                        [&](const Entry& e) { return e.overlay == &overlay; });
        if (entry != entries_.end()) {
            entries_.splice(entries_.end(), entries_, entry);
            return ContextUse(*this, entry->context);
        }
        const bool all_here = count_living() >= max_contexts;
        if (!all_here) {
            if (std::shared_ptr<Context> made = make(overlay)) {
                entries_.push_back({&overlay, made});
                return ContextUse(*this, std::move(made));
            }
        }
        if (drop_idle(lock))
            continue;
        if (Clock::now() >= deadline)
            fail(NPUENC_E_BUSY, "%s",
                 all_here ? "this process uses all hardware contexts of the NPU"
                          : "other processes hold the hardware contexts of the NPU: close some");
        ended_.wait_for(lock, pause);
        pause = std::min(2 * pause, std::chrono::milliseconds(longest_pause));
    }
}

// Null where the driver has no context to give.
std::shared_ptr<Context> ContextPool::make(const Overlay& overlay) {
    const Silence silence;
    return device_.call("making a hardware context", NPUENC_E_DEVICE, [&] {
        try {
            return std::make_shared<Context>(device_.xrt(), overlay);
        } catch (const std::exception& failure) {
            if (are_taken(failure))
                return std::shared_ptr<Context>();
            // aie2_message.c: what firmware does not know is EOPNOTSUPP, what it refuses EINVAL.
            const int number = error_number(failure);
            if (number == EINVAL || number == EOPNOTSUPP)
                fail(NPUENC_E_UNSUPPORTED,
                     "%s. The NPU's driver or firmware does not go with XRT: update the kernel and "
                     "linux-firmware",
                     words("making a hardware context", failure).c_str());
            throw;
        }
    });
}

// Whether it failed because there are too many. amdxdna has several ways to say that.
bool ContextPool::are_taken(const std::exception& failure) noexcept {
    switch (error_number(failure)) {
    case EINVAL: // of the firmware: aie.c, aie_send_mgmt_msg_wait
        return std::strstr(failure.what(), "CREATE_HWCTX") != nullptr;
    case ENOSPC: // of the heap, in which every context has a part: amdxdna_gem.c
    case EBUSY:
        return true;
    case ENODEV: // of the columns: aie2_solver.c, allocate_partition
        return device_.is_there();
    default:
        return false;
    }
}

// Drops the idle context that was used least recently; without the lock, for it takes a while.
bool ContextPool::drop_idle(std::unique_lock<std::mutex>& lock) {
    // Nobody else can begin to use what only the list holds: that needs the lock.
    const auto idle = std::find_if(entries_.begin(), entries_.end(),
                                   [](const Entry& e) { return e.context.use_count() == 1; });
    if (idle == entries_.end())
        return false;
    Entries dropped;
    dropped.splice(dropped.begin(), entries_, idle);
    lock.unlock();
    dropped.clear();
    lock.lock();
    return true;
}

size_t ContextPool::count_living() {
    std::erase_if(discarded_, [](const auto& context) { return context.expired(); });
    return entries_.size() + discarded_.size();
}

void ContextPool::discard(const Context& context) noexcept {
    const std::lock_guard lock(mutex_);
    const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                    [&](const Entry& e) { return e.context.get() == &context; });
    if (entry == entries_.end())
        return;
    try {
        discarded_.push_back(entry->context);
    } catch (const std::bad_alloc&) { // then it is not counted: the driver counts too
    }
    entries_.erase(entry); // the caller uses it: it does not end here
}

void ContextPool::forget(const Overlay& overlay) noexcept {
    Entries dropped;
    {
        const std::lock_guard lock(mutex_);
        const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                        [&](const Entry& e) { return e.overlay == &overlay; });
        if (entry != entries_.end())
            dropped.splice(dropped.begin(), entries_, entry);
    }
    dropped.clear();
    end_use();
}

void ContextPool::forget(const Program& program) noexcept {
    const std::lock_guard lock(mutex_);
    for (const Entry& entry : entries_)
        entry.context->drop_runs(program);
}

// A context has become idle or has gone. Those that are idle in excess are dropped.
void ContextPool::end_use() noexcept {
    const auto is_idle = [](const Entry& e) { return e.context.use_count() == 1; };
    Entries dropped; // without the lock, for it takes a while
    const std::lock_guard lock(mutex_);
    for (auto idle = std::count_if(entries_.begin(), entries_.end(), is_idle);
         idle > std::ptrdiff_t{max_idle}; --idle)
        dropped.splice(dropped.end(), entries_,
                       std::find_if(entries_.begin(), entries_.end(), is_idle));
    // With the lock: a waiter that has just looked is not missed.
    ended_.notify_all();
}

} // namespace npuenc::module
