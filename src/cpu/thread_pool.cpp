// SPDX-License-Identifier: MIT
// The thread pool, and how many threads are right for this machine.
#include "cpu/thread_pool.hpp"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <system_error>

#include "error.hpp"

namespace npuenc {

namespace {

// The CPUs that this process may run on; empty when the system does not say.
std::vector<unsigned> allowed_cpus() {
    // The kernel refuses sets smaller than its own: grow until it is content.
    for (unsigned n = 1024; n <= 1u << 20; n *= 2) {
        cpu_set_t* set = CPU_ALLOC(n);
        if (!set)
            return {};
        const size_t bytes = CPU_ALLOC_SIZE(n);
        const int error = sched_getaffinity(0, bytes, set) == 0 ? 0 : errno;
        std::vector<unsigned> cpus;
        for (unsigned cpu = 0; error == 0 && cpu < n; ++cpu)
            if (CPU_ISSET_S(cpu, bytes, set))
                cpus.push_back(cpu);
        CPU_FREE(set);
        if (error != EINVAL)
            return cpus;
    }
    return {};
}

// The lowest-numbered CPU of the core that `cpu` belongs to, or -1.
long core_of(const char* topology, unsigned cpu) {
    for (const char* name : {"core_cpus_list", "thread_siblings_list"}) {
        const std::string path =
            std::string(topology) + "/cpu" + std::to_string(cpu) + "/topology/" + name;
        std::FILE* file = std::fopen(path.c_str(), "re");
        if (!file)
            continue;
        long first = -1;
        if (std::fscanf(file, "%ld", &first) != 1)
            first = -1;
        std::fclose(file);
        if (first >= 0)
            return first;
    }
    return -1;
}

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// Returns once `word` differs from `old`: at first by looking again and again, then asleep.
uint32_t await_change(const std::atomic<uint32_t>& word, uint32_t old, bool spin) {
    uint32_t now = word.load(std::memory_order_acquire);
    if (spin && now == old) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(50);
        do {
            for (int i = 0; i < 32 && now == old; ++i) {
                relax();
                now = word.load(std::memory_order_acquire);
            }
        } while (now == old && std::chrono::steady_clock::now() < end);
    }
    while (now == old) {
        word.wait(old, std::memory_order_acquire);
        now = word.load(std::memory_order_acquire);
    }
    return now;
}

// Blocks all signals in this thread, and in those it starts, for a scope: a program's handlers run
// on its own threads.
class SignalsBlocked {
  public:
    SignalsBlocked() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

  private:
    sigset_t before_;
};

} // namespace

unsigned default_thread_count(const char* topology) {
    const std::vector<unsigned> cpus = allowed_cpus();
    if (cpus.empty())
        return std::max(1u, std::thread::hardware_concurrency());
    std::vector<long> cores;
    for (unsigned cpu : cpus) {
        const long core = core_of(topology, cpu);
        if (core < 0)
            return static_cast<unsigned>(cpus.size());
        cores.push_back(core);
    }
    std::sort(cores.begin(), cores.end());
    return static_cast<unsigned>(std::unique(cores.begin(), cores.end()) - cores.begin());
}

ThreadPool::ThreadPool(unsigned n_threads)
    : n_threads_(n_threads), spin_(n_threads <= allowed_cpus().size()) {
    if (n_threads == 0 || n_threads > max_threads)
        fail(NPUENC_E_INVALID, "%u threads: 1 to %u are possible", n_threads, max_threads);
    try {
        start();
    } catch (const std::system_error& error) {
        const size_t started = threads_.size();
        stop();
        fail(NPUENC_E_NOMEM, "the system refused thread %zu of %u: %s", started + 2, n_threads,
             error.code().message().c_str());
    } catch (...) {
        stop();
        throw;
    }
}

ThreadPool::~ThreadPool() {
    stop();
}

std::shared_ptr<ThreadPool> ThreadPool::shared() {
    // Never destroyed: a library must not run destructors at exit while threads may still use it.
    struct Current {
        std::mutex mutex;
        std::weak_ptr<ThreadPool> pool;
        pid_t process = 0;
    };
    static Current& current = *new Current;

    const unsigned n_threads = default_thread_count();
    // A fork may have copied the lock while another thread held it: then nobody will give it back,
    // and a pool that is not shared does as well.
    const std::unique_lock lock(current.mutex, std::try_to_lock);
    if (!lock)
        return std::make_shared<ThreadPool>(n_threads);
    std::shared_ptr<ThreadPool> pool = current.pool.lock();
    // The threads of a pool from before a fork are in the parent.
    if (!pool || pool->n_threads() != n_threads || current.process != getpid()) {
        pool = std::make_shared<ThreadPool>(n_threads);
        current.pool = pool;
        current.process = getpid();
    }
    return pool;
}

void ThreadPool::start() {
    const SignalsBlocked blocked;
    threads_.reserve(n_threads_ - 1);
    for (unsigned thread = 1; thread < n_threads_; ++thread)
        threads_.emplace_back([this, thread] { worker(thread); });
}

void ThreadPool::stop() noexcept {
    stopping_.store(true, std::memory_order_relaxed);
    epoch_.fetch_add(1, std::memory_order_release);
    epoch_.notify_all();
    for (std::thread& thread : threads_)
        thread.join();
}

ThreadPool::Turn::Turn(ThreadPool& pool) : pool_(pool) {
    const uint32_t ticket = pool.next_ticket_.fetch_add(1, std::memory_order_relaxed);
    uint32_t serving = pool.serving_.load(std::memory_order_acquire);
    while (serving != ticket)
        serving = await_change(pool.serving_, serving, false);
}

ThreadPool::Turn::~Turn() {
    pool_.serving_.fetch_add(1, std::memory_order_release);
    pool_.serving_.notify_all();
}

void ThreadPool::run(size_t n_tasks, Task task, void* context) {
    if (n_tasks == 0)
        return;
    const Turn turn(*this);
    run_in_turn(n_tasks, task, context);
}

void ThreadPool::run_in_turn(size_t n_tasks, Task task, void* context) {
    task_ = task;
    context_ = context;
    n_tasks_ = n_tasks;
    next_task_.store(0, std::memory_order_relaxed);

    if (n_tasks == 1 || threads_.empty()) {
        work(0);
    } else {
        gate_.store(0, std::memory_order_release);
        epoch_.fetch_add(1, std::memory_order_release);
        epoch_.notify_all();
        work(0);
        uint32_t gate = gate_.fetch_or(gate_closed, std::memory_order_acq_rel) | gate_closed;
        while (gate != gate_closed)
            gate = await_change(gate_, gate, spin_);
    }
    if (failure_)
        std::rethrow_exception(std::exchange(failure_, nullptr));
}

void ThreadPool::worker(unsigned thread) noexcept {
    pthread_setname_np(pthread_self(), "npuenc");
    uint32_t epoch = 0;
    for (;;) {
        epoch = await_change(epoch_, epoch, spin_);
        if (stopping_.load(std::memory_order_relaxed))
            return;
        uint32_t gate = gate_.load(std::memory_order_relaxed);
        bool inside = false;
        while (!inside && !(gate & gate_closed))
            inside = gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire,
                                                 std::memory_order_relaxed);
        if (!inside)
            continue;
        work(thread);
        // The caller may see the region ended at once, but the pool lives until stop() joins.
        if (gate_.fetch_sub(1, std::memory_order_acq_rel) & gate_closed)
            gate_.notify_all();
    }
}

void ThreadPool::work(unsigned thread) noexcept {
    for (;;) {
        const size_t task = next_task_.fetch_add(1, std::memory_order_relaxed);
        if (task >= n_tasks_)
            return;
        try {
            task_(context_, task, thread);
        } catch (...) {
            next_task_.store(n_tasks_, std::memory_order_relaxed);
            const std::lock_guard lock(failure_mutex_);
            if (!failure_)
                failure_ = std::current_exception();
        }
    }
}

} // namespace npuenc
