// SPDX-License-Identifier: MIT
// The thread pool: every task once, callers side by side, exceptions, the end of it.
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <set>
#include <stdexcept>
#include <thread>

#include "support.hpp"

using namespace npuenc;

static void runs_every_task_once() {
    for (unsigned n_threads = 1; n_threads <= 8; ++n_threads) {
        ThreadPool pool(n_threads);
        assert_int_equal(pool.n_threads(), n_threads);
        for (size_t n_tasks : {0, 1, 2, 3, 7, 8, 9, 64, 1000}) {
            std::vector<std::atomic<int>> runs(n_tasks);
            std::vector<std::atomic<int>> inside(n_threads);
            std::atomic<bool> shared{false};
            pool.for_each(n_tasks, [&](size_t task, unsigned thread) {
                if (thread >= n_threads || inside[thread].fetch_add(1) != 0)
                    shared = true;
                ++runs[task];
                inside[thread].fetch_sub(1);
            });
            assert_false(shared);
            for (const auto& count : runs)
                assert_int_equal(count.load(), 1);
        }
    }
}

// Two tasks, each of which waits for the other to begin: true if that took two threads, as it must.
// The one on a worker goes on for a while after.
static bool meet(ThreadPool& pool) {
    std::atomic<int> begun{0}, ended{0};
    pool.for_each(2, [&](size_t, unsigned thread) {
        ++begun;
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (begun < 2 && std::chrono::steady_clock::now() < end)
            std::this_thread::yield();
        if (thread != 0)
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        if (begun == 2)
            ++ended;
    });
    return ended == 2;
}

static void runs_tasks_side_by_side() {
    ThreadPool pool(2);
    for (int i = 0; i < 20; ++i)
        assert_true(meet(pool));
}

static void wakes_after_sleep() {
    ThreadPool pool(2);
    for (int i = 0; i < 20; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        assert_true(meet(pool));
    }
}

// Regions of several callers do not overlap: while a body runs, no other caller's does.
static void serves_several_callers() {
    ThreadPool pool(3);
    std::vector<size_t> per_thread(3);
    std::atomic<int> bodies[4] = {};
    std::atomic<bool> wrong{false};
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 4; ++caller)
        callers.emplace_back([&, caller] {
            for (size_t i = 0; i < 200; ++i) {
                std::atomic<size_t> sum{0};
                const size_t n_tasks = 1 + i % 10;
                pool.for_each(n_tasks, [&](size_t task, unsigned thread) {
                    ++bodies[caller];
                    std::this_thread::yield();
                    for (int other = 0; other < 4; ++other)
                        if (other != caller && bodies[other] != 0)
                            wrong = true;
                    ++per_thread[thread];
                    sum += task + 1;
                    --bodies[caller];
                });
                if (sum != n_tasks * (n_tasks + 1) / 2)
                    wrong = true;
            }
        });
    for (std::thread& caller : callers)
        caller.join();
    assert_false(wrong);
    // 20 rounds of 1 + 2 + ... + 10 tasks from each of 4 callers.
    assert_int_equal(per_thread[0] + per_thread[1] + per_thread[2], 4 * 20 * 55);
}

// Between the regions of a turn no other caller's come, however long they have waited.
static void a_turn_keeps_others_out() {
    ThreadPool pool(2);
    std::atomic<int> own{0}, others{0};
    int too_early = 0;
    std::thread other;
    {
        ThreadPool::Turn turn(pool);
        other = std::thread([&] { pool.for_each(10, [&](size_t, unsigned) { ++others; }); });
        for (int i = 0; i < 20; ++i) {
            turn.for_each(10, [&](size_t, unsigned) { ++own; });
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            too_early += others;
        }
    }
    other.join();
    assert_int_equal(own.load(), 200);
    assert_int_equal(too_early, 0);
    assert_int_equal(others.load(), 10);
}

static void rethrows() {
    for (unsigned n_threads : {1u, 2u, 5u}) {
        ThreadPool pool(n_threads);
        for (size_t thrower : {0, 7, 99}) {
            std::atomic<int> inside{0};
            bool caught = false;
            try {
                pool.for_each(100, [&](size_t task, unsigned) {
                    ++inside;
                    if (task == thrower) {
                        --inside;
                        throw std::runtime_error("task " + std::to_string(task));
                    }
                    --inside;
                });
            } catch (const std::runtime_error& error) {
                caught = true;
                assert_string_equal(error.what(), ("task " + std::to_string(thrower)).c_str());
                assert_int_equal(inside.load(), 0);
            }
            assert_true(caught);
            // The pool is as good as new.
            std::atomic<int> count{0};
            pool.for_each(50, [&](size_t, unsigned) { ++count; });
            assert_int_equal(count.load(), 50);
        }
        // Of many exceptions, one.
        bool caught = false;
        try {
            pool.for_each(100, [](size_t, unsigned) { throw 1; });
        } catch (int) {
            caught = true;
        }
        assert_true(caught);
    }
}

static void ends_at_any_moment() {
    for (int i = 0; i < 100; ++i) {
        ThreadPool unused(4);
        ThreadPool used(4);
        std::atomic<int> count{0};
        used.for_each(3, [&](size_t, unsigned) { ++count; });
        assert_int_equal(count.load(), 3);
    }
}

static void refuses_senseless_counts() {
    for (unsigned n_threads : {0u, ThreadPool::max_threads + 1, ~0u}) {
        npuenc_status status = NPUENC_OK;
        try {
            ThreadPool pool(n_threads);
        } catch (const Error& error) {
            status = error.status();
        }
        assert_int_equal(status, NPUENC_E_INVALID);
    }
}

// A handler of the program must never run on a thread of ours.
static void blocks_signals() {
    ThreadPool pool(2);
    std::atomic<int> arrived{0};
    std::atomic<bool> blocked{false};
    pool.for_each(2, [&](size_t, unsigned thread) {
        ++arrived;
        while (arrived < 2)
            std::this_thread::yield();
        if (thread == 1) {
            sigset_t mask;
            pthread_sigmask(SIG_SETMASK, nullptr, &mask);
            blocked = sigismember(&mask, SIGINT) == 1 && sigismember(&mask, SIGALRM) == 1;
        }
    });
    assert_true(blocked);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    assert_int_equal(sigismember(&mask, SIGINT), 0);
}

static void fails_cleanly_without_threads() {
    // The address space that is left is too small for the stacks of so many threads.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); // sanitizers need the address space themselves
#endif
    rlimit before;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    rlimit small = before;
    small.rlim_cur = size_t{512} << 20;
    assert_int_equal(setrlimit(RLIMIT_AS, &small), 0);
    npuenc_status status = NPUENC_OK;
    std::string detail;
    try {
        ThreadPool pool(ThreadPool::max_threads);
    } catch (const Error& error) {
        status = error.status();
        detail = error.what();
    }
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(status, NPUENC_E_NOMEM);
    assert_non_null(std::strstr(detail.c_str(), "of 1024"));
    ThreadPool pool(4); // and possible again
    std::atomic<int> count{0};
    pool.for_each(50, [&](size_t, unsigned) { ++count; });
    assert_int_equal(count.load(), 50);
}

// A directory that looks like /sys/devices/system/cpu.
class Topology {
  public:
    Topology() {
        char pattern[] = "/tmp/npuenc-topology-XXXXXX";
        if (!mkdtemp(pattern))
            throw std::runtime_error("mkdtemp");
        root_ = pattern;
    }
    ~Topology() {
        for (auto path = made_.rbegin(); path != made_.rend(); ++path)
            std::remove(path->c_str());
        std::remove(root_.c_str());
    }
    void add(unsigned cpu, const char* name, const char* text) {
        std::string path = root_ + "/cpu" + std::to_string(cpu);
        mkdir(path.c_str(), 0700);
        made_.push_back(path);
        path += "/topology";
        mkdir(path.c_str(), 0700);
        made_.push_back(path);
        path += std::string("/") + name;
        std::ofstream(path) << text;
        made_.push_back(path);
    }
    const char* root() const { return root_.c_str(); }

  private:
    std::string root_;
    std::vector<std::string> made_;
};

static std::vector<unsigned> allowed() {
    cpu_set_t set;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    std::vector<unsigned> cpus;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &set))
            cpus.push_back(cpu);
    return cpus;
}

static void counts_cores() {
    const std::vector<unsigned> cpus = allowed();
    assert_int_equal(default_thread_count("/nonexistent"), cpus.size());
    assert_in_range(default_thread_count(), 1, cpus.size());

    Topology pairs; // CPUs 2i and 2i + 1 share a core
    std::set<unsigned> cores;
    for (unsigned cpu : cpus) {
        cores.insert(cpu / 2);
        const unsigned first = cpu / 2 * 2;
        pairs.add(cpu, cpu % 3 ? "core_cpus_list" : "thread_siblings_list",
                  (std::to_string(first) + "," + std::to_string(first + 1) + "\n").c_str());
    }
    assert_int_equal(default_thread_count(pairs.root()), cores.size());

    Topology nonsense;
    for (unsigned cpu : cpus)
        nonsense.add(cpu, "core_cpus_list", "\n");
    assert_int_equal(default_thread_count(nonsense.root()), cpus.size());
}

// Whoever does not ask for a number of threads shares one pool; a child of fork gets one of its
// own, as the threads are not in it.
static void is_shared_by_default() {
    const std::shared_ptr<ThreadPool> first = ThreadPool::shared(), second = ThreadPool::shared();
    assert_ptr_equal(first.get(), second.get());
    assert_int_equal(first->n_threads(), default_thread_count());

#if defined(__SANITIZE_THREAD__)
    return; // which ends a child that starts threads
#endif
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const std::shared_ptr<ThreadPool> own = ThreadPool::shared();
        std::atomic<unsigned> done{0};
        own->for_each(100, [&](size_t, unsigned) { ++done; });
        _exit(own != first && done == 100 ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(guarded<runs_every_task_once>),
        cmocka_unit_test(guarded<runs_tasks_side_by_side>),
        cmocka_unit_test(guarded<wakes_after_sleep>),
        cmocka_unit_test(guarded<serves_several_callers>),
        cmocka_unit_test(guarded<a_turn_keeps_others_out>),
        cmocka_unit_test(guarded<rethrows>),
        cmocka_unit_test(guarded<ends_at_any_moment>),
        cmocka_unit_test(guarded<refuses_senseless_counts>),
        cmocka_unit_test(guarded<blocks_signals>),
        cmocka_unit_test(guarded<fails_cleanly_without_threads>),
        cmocka_unit_test(guarded<counts_cores>),
        cmocka_unit_test(guarded<is_shared_by_default>),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
