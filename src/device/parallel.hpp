// SPDX-License-Identifier: MIT
// What code needs to know of a thread pool to split work.
#pragma once

#include <cstddef>
#include <type_traits>

namespace npuenc {

class Parallel {
  public:
    virtual ~Parallel() = default;

    virtual unsigned n_threads() const = 0; // at least 1, the caller's included

    // Calls body(task, thread) once for every task in [0, n_tasks), each on some thread of
    // [0, n_threads()), and returns when all are done. Which thread runs which task is not
    // determined: results must not depend on it. An exception of a body is rethrown here once all
    // have ended. Not to be called from inside a body.
    template <typename Body>
    void for_each(size_t n_tasks, Body&& body) {
        using Plain = std::remove_reference_t<Body>;
        run(
            n_tasks,
            [](void* context, size_t task, unsigned thread) {
                (*static_cast<Plain*>(context))(task, thread);
            },
            const_cast<std::remove_const_t<Plain>*>(&body));
    }

  protected:
    using Task = void (*)(void* context, size_t task, unsigned thread);
    virtual void run(size_t n_tasks, Task task, void* context) = 0;
};

// For one thread, and for tests.
class Serial final : public Parallel {
  public:
    unsigned n_threads() const override { return 1; }

  protected:
    void run(size_t n_tasks, Task task, void* context) override {
        for (size_t i = 0; i < n_tasks; ++i)
            task(context, i, 0);
    }
};

} // namespace npuenc
