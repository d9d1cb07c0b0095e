// SPDX-License-Identifier: MIT
// The threads that the CPU device works with.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "device/parallel.hpp"

namespace npuenc {

// Threads of its own, joined on destruction, with all signals blocked. Several threads may call
// for_each at once: their regions run one after another, in the order of arrival, so that a thread
// number belongs to one body at a time. Once a body has thrown, tasks not yet begun are dropped.
//
// A worker waits for the next region by spinning for a moment, as the operators of an encode follow
// closely on each other, and then sleeps. A region does not wait for workers that wake too late to
// take part in it.
class ThreadPool final : public Parallel {
  public:
    static constexpr unsigned max_threads = 1024;

    // n_threads, the caller's included, is 1 to max_threads. Throws Error E_NOMEM when the system
    // refuses a thread.
    explicit ThreadPool(unsigned n_threads);
    ~ThreadPool() override;
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    // The pool of default_thread_count() threads that all who ask for it in this process share, so
    // that several of them do not run more threads than there are cores: their regions take turns.
    static std::shared_ptr<ThreadPool> shared();

    unsigned n_threads() const override { return n_threads_; }

    // Holds the pool for one caller: until its end no bodies run but those of its regions.
    class Turn final : public Parallel {
      public:
        explicit Turn(ThreadPool& pool); // waits for those that came before
        ~Turn() override;
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;

        unsigned n_threads() const override { return pool_.n_threads_; }

      protected:
        void run(size_t n_tasks, Task task, void* context) override {
            pool_.run_in_turn(n_tasks, task, context);
        }

      private:
        ThreadPool& pool_;
    };

  protected:
    void run(size_t n_tasks, Task task, void* context) override;

  private:
    void run_in_turn(size_t n_tasks, Task task, void* context);
    void start();
    void stop() noexcept;
    void worker(unsigned thread) noexcept;
    void work(unsigned thread) noexcept;

    const unsigned n_threads_;
    const bool spin_; // worthwhile: every thread may have a CPU for itself
    std::vector<std::thread> threads_;

    // The region: written by its caller while the gate is closed and nobody is inside.
    Task task_ = nullptr;
    void* context_ = nullptr;
    size_t n_tasks_ = 0;
    std::mutex failure_mutex_;
    std::exception_ptr failure_;

    alignas(64) std::atomic<size_t> next_task_{0};
    // The number of workers inside the region, and a bit that keeps further ones out.
    static constexpr uint32_t gate_closed = uint32_t{1} << 31;
    alignas(64) std::atomic<uint32_t> gate_{gate_closed};
    alignas(64) std::atomic<uint32_t> epoch_{0}; // counts regions; workers sleep on it
    std::atomic<bool> stopping_{false};
    // Callers queue by ticket.
    alignas(64) std::atomic<uint32_t> next_ticket_{0};
    std::atomic<uint32_t> serving_{0};
};

// One thread for each physical core that this process may run on; the number of CPUs that it may
// run on where the system does not tell which share a core. topology holds cpuN/topology/.
unsigned default_thread_count(const char* topology = "/sys/devices/system/cpu");

} // namespace npuenc
