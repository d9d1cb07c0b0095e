// SPDX-License-Identifier: MIT
// Several processes on one NPU: they share its contexts, and what a killed one held comes back.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include <npuenc/npuenc.h>

#include "support.hpp"

using namespace npuenc;

namespace {

// A process of its own from before anybody used the NPU: XRT does not survive fork. It writes a
// byte when it has got to its second part.
class Child {
  public:
    template <class Body>
    explicit Child(Body body) {
        int ends[2];
        if (pipe(ends) != 0 || (process_ = fork()) < 0)
            throw Unexpected("no process");
        if (process_ == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL); // a test that fails leaves none behind
            int status = 1;
            try {
                body([&] { return write(ends[1], "", 1) == 1; });
                status = 0;
            } catch (const std::exception& error) {
                std::fprintf(stderr, "%s\n", error.what());
            }
            _exit(status);
        }
        close(ends[1]);
        end_ = ends[0];
    }
    Child(Child&& other)
        : process_(std::exchange(other.process_, -1)), end_(std::exchange(other.end_, -1)) {}
    ~Child() {
        if (process_ > 0) {
            kill(process_, SIGKILL);
            waitpid(process_, nullptr, 0);
        }
        close(end_);
    }

    void await_second_part() const {
        char byte;
        if (read(end_, &byte, 1) != 1)
            throw Unexpected("a process ended too early");
    }
    void kill_it() { kill(process_, SIGKILL); }
    int status() {
        int status = -1;
        waitpid(std::exchange(process_, -1), &status, 0);
        return status;
    }

  private:
    pid_t process_;
    int end_;
};

// Some overlays, all used.
struct Holder {
    explicit Holder(unsigned n) : session(open_session()) {
        for (unsigned i = 0; i < n; ++i) {
            overlays.push_back(make_overlay(session.get(), read_overlay("gemm_s8_s32", i)));
            products.push_back(
                std::make_unique<Product>(session.get(), overlays[i].get(), 20, 30, 40, i));
            products[i]->run();
        }
    }
    void check() const {
        for (const auto& product : products)
            if (!product->is_right())
                throw Unexpected("a wrong result");
    }

    Session session;
    std::vector<Overlay> overlays;
    std::vector<std::unique_ptr<Product>> products;
};

// The same, and their contexts in use.
struct Occupier : Holder {
    explicit Occupier(unsigned n) : Holder(n) {
        for (const auto& product : products)
            running.push_back(submit(session.get(), {product->command()}));
    }
    ~Occupier() {
        npuenc_module_failure failure;
        for (npuenc_module_submission* submission : running)
            module().wait(submission, &failure);
    }

    std::vector<npuenc_module_submission*> running;
};

void three_at_once() {
    std::vector<Child> children;
    for (unsigned i = 0; i < 3; ++i)
        children.emplace_back([](const auto&) {
            const Holder holder(2);
            for (int round = 0; round < 20; ++round) {
                for (const auto& product : holder.products) {
                    product->clear();
                    product->run();
                }
                holder.check();
            }
        });
    for (Child& child : children)
        assert_int_equal(child.status(), 0);
}

// One holds all contexts for a while, and the other waits for it.
void contexts_of_others_are_waited_for() {
    Child holder([](const auto& second_part) {
        const Occupier all(6);
        second_part();
        usleep(500000);
    });
    holder.await_second_part();
    Child waiter([](const auto&) { Holder(1).check(); });
    assert_int_equal(waiter.status(), 0);
    assert_int_equal(holder.status(), 0);
}

// One does not let go.
void contexts_of_others_are_reported() {
    Child holder([](const auto& second_part) {
        const Occupier all(6);
        second_part();
        pause();
    });
    holder.await_second_part();
    Child waiter([](const auto&) {
        const Session session = open_session();
        const Overlay overlay = make_overlay(session.get(), read_overlay("gemm_s8_s32"));
        const Product product(session.get(), overlay.get(), 20, 30, 40, 1);
        const npuenc_module_command command = product.command();
        npuenc_module_submission* submission;
        npuenc_module_failure failure;
        if (module().submit(session.get(), &command, 1, &submission, &failure) != NPUENC_E_BUSY)
            throw Unexpected(std::string("not busy: ") + failure.detail);
    });
    assert_int_equal(waiter.status(), 0);
}

void a_killed_one_leaves_nothing() {
    Child killed([](const auto& second_part) {
        const Occupier all(6);
        second_part();
        for (;;)
            all.products[0]->run();
    });
    killed.await_second_part();
    usleep(20000);
    killed.kill_it();
    killed.status();
    Child next([](const auto&) { Holder(6).check(); });
    assert_int_equal(next.status(), 0);
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(guarded<three_at_once>),
        cmocka_unit_test(guarded<contexts_of_others_are_waited_for>),
        cmocka_unit_test(guarded<contexts_of_others_are_reported>),
        cmocka_unit_test(guarded<a_killed_one_leaves_nothing>),
    };
    return cmocka_run_group_tests_name("module processes", tests, nullptr, nullptr);
}
