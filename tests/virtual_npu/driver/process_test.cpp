// SPDX-License-Identifier: MIT
// Several processes on one NPU: what they share, what one leaves to the others when it ends.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

extern "C" {
#include <cmocka.h>
}
#undef fail

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "raw_npu.hpp"
#include "virtual_npu.h"

using namespace virtual_npu;

namespace {

std::string directory; // of the test: state and reports

void set_faults(const char* list) {
    assert_int_equal(virtual_npu_set_faults(list), 0);
}

virtual_npu_alive alive() {
    virtual_npu_alive now;
    virtual_npu_read_alive(&now);
    return now;
}

// Another process, which ends with what `work` returns.
pid_t start(int (*work)(int output), int output = -1) {
    std::fflush(nullptr);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        exit(work(output));
    return child;
}

int do_products(int) {
    RawNpu npu;
    if (npu.descriptor() < 0)
        return 1;
    Product product(npu);
    bool right = true;
    for (uint32_t i = 0; i < 50; ++i) {
        product.write_problem(i);
        right &= product.run() == ERT_CMD_STATE_COMPLETED && product.is_right();
    }
    for (const RawBuffer& buffer :
         {product.pdi, product.instructions, product.command, product.input, product.output})
        right &= npu.close_buffer(buffer) == 0;
    return right ? 0 : 1;
}

// All contexts, and a command that does not end.
int do_hang(int output) {
    RawNpu npu;
    Product product(npu);
    RawContext context;
    for (int i = 1; i < 6; ++i)
        npu.create_context(context);
    virtual_npu_set_faults("timeout");
    uint64_t sequence;
    product.submit(sequence);
    if (write(output, "x", 1) != 1)
        return 1;
    for (;;)
        pause();
}

int do_leave(int) {
    static auto* const npu = new RawNpu; // still known at the end, but to nobody's destructor
    Product product(*npu);
    return product.run() == ERT_CMD_STATE_COMPLETED ? 0 : 1;
}

int status_of(pid_t child) {
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

void ends_well(pid_t child) {
    const int status = status_of(child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

nlohmann::json report_of(pid_t process) {
    std::ifstream file(directory + "/report." + std::to_string(process) + ".json");
    assert_true(file.good());
    return nlohmann::json::parse(file);
}

// Starts a process that says a word when it is as far as it will get, and waits for it.
pid_t start_and_listen(int (*work)(int output)) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = start(work, ends[1]);
    close(ends[1]);
    char said;
    assert_int_equal(read(ends[0], &said, 1), 1);
    close(ends[0]);
    return child;
}

void three_processes_at_once(void**) {
    std::vector<pid_t> children;
    for (int i = 0; i < 3; ++i)
        children.push_back(start(do_products));
    for (const pid_t child : children) {
        ends_well(child);
        const nlohmann::json report = report_of(child);
        assert_int_equal(report["counters"]["submissions"].get<int>(), 50);
        assert_int_equal(report["left"]["buffers"].get<int>(), 0);
    }
    assert_int_equal(alive().contexts_of_all, 0);
}

// The contexts of a process that is killed in mid-run are the others' again.
void a_killed_process_leaves_nothing(void**) {
    const uint64_t before = alive().contexts_reclaimed;
    RawNpu npu;
    Product product(npu, false);
    const pid_t child = start_and_listen(do_hang);
    assert_int_equal(alive().contexts_of_all, 6);
    RawContext context;
    assert_int_equal(npu.create_context(context), -EINVAL);
    assert_int_equal(kill(child, SIGKILL), 0);
    set_faults("");
    // Not even waited for: the kernel closes its files when it dies.
    siginfo_t info;
    assert_int_equal(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(npu.create_context(product.context), 0);
    assert_int_equal(alive().contexts_of_all, 1);
    assert_int_equal(alive().contexts_reclaimed - before, 6);
    assert_int_equal(npu.configure(product.context, product.pdi), 0);
    assert_int_equal(product.run(), ERT_CMD_STATE_COMPLETED);
    assert_true(product.is_right());
    status_of(child);
}

void what_is_left_open_is_reported(void**) {
    const pid_t child = start(do_leave);
    ends_well(child);
    const nlohmann::json left = report_of(child)["left"];
    assert_int_equal(left["files"].get<int>(), 1);
    assert_int_equal(left["contexts"].get<int>(), 1);
    assert_int_equal(left["syncobjs"].get<int>(), 1);
    assert_int_equal(left["buffers"].get<int>(), 6);  // the heap is one
    assert_int_equal(left["mappings"].get<int>(), 4); // what lies in it is mapped with it
    assert_int_equal(alive().contexts_of_all, 0);
}

// A child has what a fork gives it, and ends without touching what is its parent's.
void a_fork_leaves_the_parent_alone(void**) {
    RawNpu npu;
    Product product(npu);
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        RawBuffer buffer;
        const bool refused = npu.create(AMDXDNA_BO_SHARE, 4096, buffer) != 0;
        RawNpu own;
        Product works(own);
        const bool right = works.run() == ERT_CMD_STATE_COMPLETED && works.is_right();
        close(npu.descriptor());
        exit(refused && right ? 0 : 1);
    }
    ends_well(child);
    assert_int_equal(alive().contexts_of_all, 1);
    assert_int_equal(product.run(), ERT_CMD_STATE_COMPLETED);
    assert_true(product.is_right());
}

void a_fault_set_here_happens_there(void**) {
    set_faults("open:1");
    const int status = status_of(start(do_products));
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
    ends_well(start(do_products));
}

int no_faults(void**) {
    set_faults("");
    return 0;
}

} // namespace

int main() {
    if (!virtual_npu_set_faults)
        return 77;
    directory = std::filesystem::path(std::getenv("VIRTUAL_NPU_STATE")).parent_path().string();
#define TEST(name) cmocka_unit_test_teardown(name, no_faults)
    const CMUnitTest tests[] = {
        TEST(three_processes_at_once),        TEST(a_killed_process_leaves_nothing),
        TEST(what_is_left_open_is_reported),  TEST(a_fork_leaves_the_parent_alone),
        TEST(a_fault_set_here_happens_there),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
