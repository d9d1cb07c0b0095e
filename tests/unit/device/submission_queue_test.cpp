// SPDX-License-Identifier: MIT
// Submitted jobs: their order, what is destroyed when, and the end of the queue.
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "device/submission_queue.hpp"

extern "C" {
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
}

namespace {

using npuenc::SubmissionQueue;

void jobs_are_done_in_order(void**) {
    SubmissionQueue queue;
    std::vector<int> order; // written by the queue's thread alone, read when it is done
    for (int i = 0; i < 100; ++i)
        queue.push({[&order, i] { order.push_back(i); }, [] {}});
    queue.wait_for_all_pushed();
    assert_int_equal(order.size(), 100);
    for (int i = 0; i < 100; ++i)
        assert_int_equal(order[static_cast<size_t>(i)], i);
}

void work_is_destroyed_before_finish(void**) {
    SubmissionQueue queue;
    auto held = std::make_shared<int>(1);
    const std::weak_ptr<int> watched = held;
    std::atomic<bool> gone_before_finish{false};
    SubmissionQueue::Job job{[held] {}, [&] { gone_before_finish = watched.expired(); }};
    held.reset();
    queue.push(std::move(job));
    queue.wait_for_all_pushed();
    assert_true(gone_before_finish);
}

void the_end_waits_for_what_is_queued(void**) {
    std::atomic<int> finished{0};
    {
        SubmissionQueue queue;
        for (int i = 0; i < 10; ++i)
            queue.push({[] { std::this_thread::sleep_for(std::chrono::milliseconds(1)); },
                        [&finished] { ++finished; }});
    }
    assert_int_equal(finished, 10);
}

void several_threads_may_push(void**) {
    SubmissionQueue queue;
    std::atomic<int> finished{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 50; ++i)
                queue.push({[] {}, [&finished] { ++finished; }});
        });
    for (std::thread& thread : threads)
        thread.join();
    queue.wait_for_all_pushed();
    assert_int_equal(finished, 200);
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(jobs_are_done_in_order),
        cmocka_unit_test(work_is_destroyed_before_finish),
        cmocka_unit_test(the_end_waits_for_what_is_queued),
        cmocka_unit_test(several_threads_may_push),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
