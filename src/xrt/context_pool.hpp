// SPDX-License-Identifier: MIT
// The hardware contexts of a device, which are few: one for each overlay that was used lately.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

namespace npuenc::module {

class Context;
class ContextPool;
class Device;
class Overlay;
class Program;

// A context in use: it is not dropped for the sake of another.
class ContextUse {
  public:
    ContextUse() = default;
    ContextUse(ContextPool& pool, std::shared_ptr<Context> context)
        : pool_(&pool), context_(std::move(context)) {}
    ContextUse(ContextUse&& other) = default;
    ContextUse& operator=(ContextUse&& other) = delete;
    ~ContextUse() { end(); }

    Context& operator*() const { return *context_; }
    Context* operator->() const { return context_.get(); }

    void end() noexcept;

  private:
    ContextPool* pool_ = nullptr;
    std::shared_ptr<Context> context_;
};

class ContextPool {
  public:
    // Of the whole system: amdxdna, npu1_regs.c, hwctx_limit.
    static constexpr size_t max_contexts = 6;
    // Nobody else can take those that are kept for the next call: so three processes find room, and
    // an encode uses two overlays.
    static constexpr size_t max_idle = 2;

    explicit ContextPool(Device& device) : device_(device) {}

    // The overlay's context, made where it has none. Where there are as many as there may be, or
    // other processes hold the rest, those that are not in use are dropped, the one used least
    // recently first, and then others are waited for. Throws Error E_BUSY after five seconds of it.
    ContextUse use(const Overlay& overlay);

    // A command failed in it: it ends with its last user, and the overlay gets another.
    void discard(const Context& context) noexcept;

    // The overlay, or the program, is about to go.
    void forget(const Overlay& overlay) noexcept;
    void forget(const Program& program) noexcept;

  private:
    friend class ContextUse;

    struct Entry {
        const Overlay* overlay;
        std::shared_ptr<Context> context;
    };

    using Entries = std::list<Entry>; // least recently used first

    size_t count_living();
    bool drop_idle(std::unique_lock<std::mutex>& lock);
    std::shared_ptr<Context> make(const Overlay& overlay);
    bool are_taken(const std::exception& failure) noexcept;
    void end_use() noexcept;

    Device& device_;
    // Of whoever looks for a context: those who come later do not keep in use what it waits for.
    std::mutex turn_;
    std::mutex mutex_;
    std::condition_variable ended_;
    Entries entries_;
    std::vector<std::weak_ptr<Context>> discarded_; // some perhaps still in use
};

} // namespace npuenc::module
