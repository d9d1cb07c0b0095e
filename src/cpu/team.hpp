// SPDX-License-Identifier: MIT
// The threads of a pool with the scratch memory that they work in.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "cpu/thread_pool.hpp"
#include "cpu/workspace.hpp"

namespace npuenc {

class Team {
  public:
    explicit Team(std::shared_ptr<ThreadPool> pool)
        : pool_(std::move(pool)), scratch_(pool_->n_threads()) {}

    ThreadPool& pool() { return *pool_; }
    unsigned n_threads() const { return pool_->n_threads(); }

    // As for_each of the pool, with the scratch memory of the thread that runs the task instead of
    // its number: body(task, scratch). Every thread's is made large enough before the first task,
    // so that it does not depend on which thread runs which task whether a call allocates.
    template <class Body>
    void for_each(size_t n_tasks, const Scratch::Sizes& sizes, Body&& body) {
        if (n_tasks == 0)
            return;
        ThreadPool::Turn turn(*pool_);
        for (Scratch& scratch : scratch_)
            scratch.reserve(sizes);
        turn.for_each(n_tasks, [&](size_t task, unsigned thread) { body(task, scratch_[thread]); });
        for (Scratch& scratch : scratch_)
            scratch.trim();
    }

  private:
    const std::shared_ptr<ThreadPool> pool_;
    std::vector<Scratch> scratch_; // of each thread; touched in a turn of the pool only
};

} // namespace npuenc
