// SPDX-License-Identifier: MIT
// The driver's rules, each kept and each broken.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

extern "C" {
#include <cmocka.h>
}
#undef fail

#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <thread>
#include <vector>

#include "raw_npu.hpp"
#include "virtual_npu.h"

using namespace virtual_npu;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

// What the test is started with as VIRTUAL_NPU_TDR_MS.
constexpr auto hang_timeout = 300ms;

void set_faults(const char* list) {
    assert_int_equal(virtual_npu_set_faults(list), 0);
}

int no_faults(void**) {
    set_faults("");
    return 0;
}

virtual_npu_counters counters() {
    virtual_npu_counters now;
    virtual_npu_read_counters(&now);
    return now;
}

virtual_npu_alive alive() {
    virtual_npu_alive now;
    virtual_npu_read_alive(&now);
    return now;
}

RawBuffer new_command(Product& product) {
    RawBuffer command;
    assert_int_equal(product.npu.create(AMDXDNA_BO_CMD, 4096, command), 0);
    product.write_command(command);
    return command;
}

// A chain of commands that have been written.
RawBuffer new_chain(RawNpu& npu, const std::vector<RawBuffer>& commands) {
    RawBuffer chain;
    assert_int_equal(npu.create(AMDXDNA_BO_CMD, 4096, chain), 0);
    ert_packet header{};
    header.opcode = ERT_CMD_CHAIN;
    header.state = ERT_CMD_STATE_NEW;
    header.count = static_cast<uint32_t>(6 + 2 * commands.size()) & 0x7ff;
    auto* words = reinterpret_cast<uint32_t*>(chain.memory);
    words[0] = header.header;
    words[1] = static_cast<uint32_t>(commands.size());
    for (size_t i = 0; i < commands.size(); ++i)
        words[7 + 2 * i] = commands[i].handle;
    return chain;
}

uint32_t error_index(const RawBuffer& chain) {
    return reinterpret_cast<const uint32_t*>(chain.memory)[3];
}

void a_product_is_right(void**) {
    RawNpu npu;
    Product product(npu);
    for (uint32_t seed = 1; seed < 4; ++seed) {
        product.write_problem(seed);
        assert_int_equal(product.run(), ERT_CMD_STATE_COMPLETED);
        assert_true(product.is_right());
    }
}

void a_chain_runs_all_its_commands(void**) {
    RawNpu npu;
    Product product(npu);
    const std::vector<RawBuffer> commands{new_command(product), new_command(product),
                                          new_command(product)};
    const RawBuffer chain = new_chain(npu, commands);
    const virtual_npu_counters before = counters();
    uint64_t sequence;
    assert_int_equal(product.submit(chain, sequence), 0);
    assert_int_equal(npu.wait(product.context, sequence), 0);
    assert_int_equal(state_of(chain), ERT_CMD_STATE_COMPLETED);
    assert_true(product.is_right());
    assert_int_equal(counters().submissions - before.submissions, 1);
    assert_int_equal(counters().commands - before.commands, 3);
}

// The chain tells which, and the first command's payload is gone.
void a_chain_ends_at_the_first_error(void**) {
    RawNpu npu;
    Product product(npu);
    const std::vector<RawBuffer> commands{new_command(product), new_command(product),
                                          new_command(product)};
    const RawBuffer chain = new_chain(npu, commands);
    set_faults("error:2");
    uint64_t sequence;
    assert_int_equal(product.submit(chain, sequence), 0);
    assert_int_equal(npu.wait(product.context, sequence), 0);
    assert_int_equal(state_of(chain), ERT_CMD_STATE_ERROR);
    assert_int_equal(error_index(chain), 1);
    assert_int_equal(commands[0].memory[8], 0xff);
    assert_int_not_equal(commands[1].memory[8], 0xff);
    assert_int_equal(product.run(), ERT_CMD_STATE_COMPLETED);
    assert_true(product.is_right());
}

// A command that the driver cannot hand on: the job is over, and its packet says NEW for ever.
void is_refused(Product& product, const RawBuffer& command) {
    uint64_t sequence;
    assert_int_equal(product.submit(command, sequence), 0);
    assert_int_equal(product.npu.wait(product.context, sequence), 0);
    assert_int_equal(state_of(command), ERT_CMD_STATE_NEW);
}

void a_payload_has_19_words(void**) {
    RawNpu npu;
    Product product(npu);
    const auto set_count = [&](uint32_t words) {
        auto* header = reinterpret_cast<ert_packet*>(product.command.memory);
        header->count = (1 + words) & 0x7ff;
        return words;
    };
    set_count(19); // unused arguments are 0
    assert_int_equal(product.run(), ERT_CMD_STATE_COMPLETED);
    set_count(20);
    is_refused(product, product.command);
    set_count(0);
    is_refused(product, product.command);
}

void odd_packets_are_refused(void**) {
    RawNpu npu;
    Product product(npu);
    auto* words = reinterpret_cast<uint32_t*>(product.command.memory);
    const auto with = [&](size_t word, uint32_t value) {
        product.write_command(product.command);
        words[word] = value;
        is_refused(product, product.command);
    };
    with(1, 0); // no compute unit
    with(2, 4); // not a transaction
    with(0, (ERT_START_NPU << 23) | (10 << 12));
    with(0, 0x7ff << 12); // longer than its buffer
    product.write_command(product.command);
    words[1] = 2; // a compute unit that was not configured
    assert_int_equal(product.run(), ERT_CMD_STATE_ERROR);
    product.write_command(product.command);
    assert_int_equal(product.run(), ERT_CMD_STATE_COMPLETED);
    RawBuffer data = product.input;
    is_refused(product, new_chain(npu, {data, RawBuffer{}})); // no commands
}

void a_buffer_that_is_not_listed_faults(void**) {
    RawNpu npu;
    Product product(npu);
    const RawBuffer* const needed[] = {&product.instructions, &product.input, &product.output};
    for (const RawBuffer* missing : needed) {
        std::vector<uint32_t> pinned;
        for (const RawBuffer* buffer : needed)
            if (buffer != missing)
                pinned.push_back(buffer->handle);
        uint64_t sequence;
        product.write_command(product.command);
        assert_int_equal(npu.submit(product.context, product.command, pinned, sequence), 0);
        assert_int_equal(npu.wait(product.context, sequence), 0);
        assert_int_equal(state_of(product.command), ERT_CMD_STATE_ERROR);
        assert_int_equal(product.command.memory[8], 0xff); // the payload is gone
    }
    product.write_command(product.command);
    assert_int_equal(product.run(), ERT_CMD_STATE_COMPLETED);
    const uint32_t nobody[] = {4711};
    uint64_t sequence;
    assert_int_equal(npu.submit(product.context, product.command, nobody, sequence), -ENOENT);
}

void a_buffer_that_is_not_mapped_faults(void**) {
    RawNpu npu;
    Product product(npu);
    munmap(product.input.memory, product.input.bytes);
    assert_int_equal(product.run(), ERT_CMD_STATE_ERROR);
}

void an_argument_may_begin_within_its_buffer(void**) {
    RawNpu npu;
    Product product(npu);
    RawBuffer both;
    assert_int_equal(npu.create(AMDXDNA_BO_SHARE, 3 * 4096, both), 0);
    std::memcpy(both.memory + 4096, product.input.memory, 512);
    product.input = {both.handle, both.memory + 4096, both.address + 4096, 4096};
    product.output = {both.handle, both.memory + 8192, both.address + 8192, 4096};
    product.write_command(product.command);
    assert_int_equal(product.run(), ERT_CMD_STATE_COMPLETED);
    assert_true(product.is_right());
}

void user_memory_is_whole_pages_that_are_there(void**) {
    RawNpu npu;
    Product product(npu);
    auto* memory = static_cast<uint8_t*>(
        mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    RawBuffer user;
    assert_int_equal(npu.create_user(memory + 64, 4096, user), -EINVAL);
    assert_int_equal(npu.create_user(memory, 100, user), -EINVAL);
    assert_int_equal(npu.create_user(memory, 4096, user), 0);
    std::memcpy(user.memory, product.input.memory, 512);
    product.input = user;
    product.write_command(product.command);
    assert_int_equal(product.run(), ERT_CMD_STATE_COMPLETED);
    assert_true(product.is_right());
    munmap(memory, 8192);
    assert_int_equal(product.run(), ERT_CMD_STATE_ERROR);
    assert_int_equal(npu.create_user(memory, 4096, user), -EFAULT);
}

void a_context_is_configured_once(void**) {
    RawNpu npu;
    Product product(npu, false);
    assert_int_equal(npu.create_context(product.context), 0);
    is_refused(product, product.command);
    assert_int_equal(npu.configure(product.context, product.input), -EINVAL);
    assert_int_equal(npu.configure(product.context, product.pdi), 0);
    assert_int_equal(npu.configure(product.context, product.pdi), -EINVAL);
    product.write_command(product.command);
    assert_int_equal(product.run(), ERT_CMD_STATE_COMPLETED);
}

void there_are_six_contexts(void**) {
    RawNpu npu, other;
    RawContext first, context;
    assert_int_equal(npu.create_context(first), -ENOENT); // no heap yet
    assert_int_equal(npu.create_heap(), 0);
    assert_int_equal(other.create_heap(), 0);
    assert_int_equal(npu.create_context(first), 0);
    for (int i = 1; i < 6; ++i)
        assert_int_equal((i % 2 ? other : npu).create_context(context), 0);
    assert_int_equal(alive().contexts_of_all, 6);
    assert_int_equal(npu.create_context(context), -EINVAL);
    assert_int_equal(npu.destroy(first), 0);
    assert_int_equal(npu.destroy(first), -EINVAL);
    assert_int_equal(other.create_context(context), 0);
}

void a_context_fits_the_array(void**) {
    RawNpu npu;
    assert_int_equal(npu.create_heap(), 0);
    RawContext context;
    assert_int_equal(npu.create_context(context, 0), -EINVAL);
    assert_int_equal(npu.create_context(context, 3), -EINVAL);
    assert_int_equal(npu.create_context(context, 24), -EINVAL);
    assert_int_equal(npu.create_context(context, 20), 0);
    assert_int_equal(npu.create_context(context, 16), 0);
}

void the_heap_is_64_megabytes(void**) {
    RawNpu npu;
    RawBuffer buffer;
    assert_int_equal(npu.create(AMDXDNA_BO_DEV, 4096, buffer), -EAGAIN);
    assert_int_equal(npu.create_heap(32 << 20), -EINVAL);
    assert_int_equal(npu.create_heap(), 0);
    assert_int_equal(npu.create_heap(), -ENOSPC);
    std::vector<RawBuffer> all;
    while (npu.create(AMDXDNA_BO_DEV, 4096, buffer) == 0) {
        assert_int_equal(buffer.address % (32 << 10), 0);
        all.push_back(buffer);
    }
    assert_int_equal(all.size(), 2048);
    assert_int_equal(npu.close_buffer(all[77]), 0);
    assert_int_equal(npu.create(AMDXDNA_BO_DEV, 4096, buffer), 0);
    assert_int_equal(buffer.address, all[77].address);
    RawContext context;
    assert_int_equal(npu.create_context(context), -ENOSPC);
}

void the_fifth_submission_waits(void**) {
    RawNpu npu;
    Product product(npu);
    std::vector<RawBuffer> commands;
    for (int i = 0; i < 5; ++i)
        commands.push_back(new_command(product));
    set_faults("timeout:1");
    const auto start = Clock::now();
    uint64_t sequence;
    for (int i = 0; i < 4; ++i)
        assert_int_equal(product.submit(commands[i], sequence), 0);
    assert_true(Clock::now() - start < hang_timeout);
    assert_int_equal(product.submit(commands[4], sequence), 0);
    assert_true(Clock::now() - start >= hang_timeout);
    assert_int_equal(npu.wait(product.context, sequence), 0);
    assert_int_equal(state_of(commands[0]), ERT_CMD_STATE_TIMEOUT);
    for (int i = 1; i < 4; ++i)
        assert_int_equal(state_of(commands[i]), ERT_CMD_STATE_ABORT);
    assert_int_equal(state_of(commands[4]), ERT_CMD_STATE_COMPLETED);
    assert_true(product.is_right());
}

void a_wait_has_a_deadline(void**) {
    RawNpu npu;
    Product product(npu);
    set_faults("timeout:1");
    uint64_t sequence;
    const auto start = Clock::now();
    assert_int_equal(product.submit(sequence), 0);
    assert_int_equal(npu.wait(product.context, sequence, 50ms), -ETIME);
    assert_true(Clock::now() - start >= 50ms && Clock::now() - start < hang_timeout);
    assert_int_equal(state_of(product.command), ERT_CMD_STATE_NEW);
    amdxdna_drm_wait_cmd wait{product.context.handle, 50, sequence};
    assert_int_equal(npu.call(DRM_IOCTL_AMDXDNA_WAIT_CMD, wait), -ETIME);
    wait.timeout = 0;
    assert_int_equal(npu.call(DRM_IOCTL_AMDXDNA_WAIT_CMD, wait), 0);
    assert_int_equal(state_of(product.command), ERT_CMD_STATE_TIMEOUT);
    wait.seq = 4711;
    assert_int_equal(npu.call(DRM_IOCTL_AMDXDNA_WAIT_CMD, wait), -EINVAL);
}

// Another context goes on; the array was another's meanwhile.
void a_hang_ends_one_context_only(void**) {
    RawNpu npu;
    Product product(npu), other(npu);
    set_faults("timeout:1");
    uint64_t sequence, other_sequence;
    assert_int_equal(product.submit(sequence), 0);
    assert_int_equal(other.submit(other_sequence), 0);
    assert_int_equal(npu.wait(other.context, other_sequence), 0);
    assert_int_equal(npu.wait(product.context, sequence), 0);
    const bool first = state_of(product.command) == ERT_CMD_STATE_TIMEOUT;
    assert_int_equal(state_of(first ? other.command : product.command), ERT_CMD_STATE_COMPLETED);
    for (Product* again : {&product, &other}) {
        again->write_command(again->command);
        again->write_problem(7);
        assert_int_equal(again->run(), ERT_CMD_STATE_COMPLETED);
        assert_true(again->is_right());
    }
}

void a_context_in_work_can_be_destroyed(void**) {
    RawNpu npu;
    Product product(npu);
    set_faults("timeout:1");
    uint64_t sequence;
    assert_int_equal(product.submit(sequence), 0);
    assert_int_equal(npu.destroy(product.context), 0);
    assert_true(state_of(product.command) == ERT_CMD_STATE_TIMEOUT ||
                state_of(product.command) == ERT_CMD_STATE_ABORT);
    assert_int_equal(product.submit(sequence), -EINVAL);
}

void a_reset_aborts_what_is_queued(void**) {
    RawNpu npu;
    Product product(npu);
    const RawBuffer second = new_command(product);
    set_faults("reset:1");
    uint64_t sequence;
    assert_int_equal(product.submit(sequence), 0);
    const int error = product.submit(second, sequence);
    assert_int_equal(error, 0);
    assert_int_equal(npu.wait(product.context, sequence), 0);
    assert_int_equal(state_of(product.command), ERT_CMD_STATE_ABORT);
    product.write_command(product.command);
    assert_int_equal(product.run(), ERT_CMD_STATE_COMPLETED);
    assert_true(product.is_right());
}

void a_device_that_is_gone_stays_gone_for_who_had_it(void**) {
    RawNpu npu;
    Product product(npu);
    assert_int_equal(product.run(), ERT_CMD_STATE_COMPLETED);
    set_faults("removed:1");
    uint64_t sequence;
    assert_int_equal(product.submit(sequence), -ENODEV);
    RawBuffer buffer;
    RawContext context;
    assert_int_equal(npu.create(AMDXDNA_BO_SHARE, 4096, buffer), -ENODEV);
    assert_int_equal(npu.create_context(context), -ENODEV);
    assert_int_equal(npu.wait(product.context, 0), -ENODEV);
    assert_int_equal(npu.sync(product.input, SYNC_DIRECT_TO_DEVICE), -ENODEV);
    assert_int_equal(RawNpu().descriptor(), -ENODEV);
    assert_int_equal(alive().contexts_of_all, 0);
    assert_int_equal(npu.close_buffer(product.input), -ENODEV);
    set_faults(""); // it is back
    assert_int_equal(npu.create(AMDXDNA_BO_SHARE, 4096, buffer), -ENODEV);
    RawNpu again;
    Product works(again);
    assert_int_equal(works.run(), ERT_CMD_STATE_COMPLETED);
    assert_true(works.is_right());
}

void what_waits_hears_that_the_device_has_gone(void**) {
    RawNpu npu;
    Product product(npu);
    set_faults("timeout:1");
    uint64_t sequence;
    assert_int_equal(product.submit(sequence), 0);
    std::thread remover([&] { set_faults("removed"); });
    const int error = npu.wait(product.context, sequence);
    assert_true(error == 0 || error == -ENODEV);
    remover.join();
    RawBuffer buffer;
    assert_int_equal(npu.create(AMDXDNA_BO_SHARE, 4096, buffer), -ENODEV);
    assert_int_equal(state_of(product.command), ERT_CMD_STATE_ABORT);
}

std::string first_line(const char* path) {
    std::string line;
    std::ifstream file(path);
    std::getline(file, line);
    return line;
}

void every_call_can_fail(void**) {
    set_faults("open:1");
    assert_int_equal(RawNpu().descriptor(), -EACCES);
    set_faults("heap:1");
    RawNpu npu;
    assert_int_equal(npu.create_heap(), -ENOMEM);
    set_faults("memlock:1");
    assert_int_equal(RawNpu().create_heap(), -EAGAIN);
    Product product(npu);
    RawBuffer buffer;
    set_faults("memory:2");
    assert_int_equal(npu.create(AMDXDNA_BO_SHARE, 4096, buffer), 0);
    assert_int_equal(npu.create(AMDXDNA_BO_SHARE, 4096, buffer), -ENOMEM);
    RawContext context;
    set_faults("context:1,config:1");
    assert_int_equal(npu.create_context(context), -ENOSPC);
    assert_int_equal(npu.create_context(context), 0);
    assert_int_equal(npu.configure(context, product.pdi), -EINVAL);
    assert_int_equal(npu.configure(context, product.pdi), 0);
    uint64_t sequence;
    set_faults("submit:1,sync:1");
    assert_int_equal(product.submit(sequence), -EIO);
    assert_int_equal(npu.sync(product.input, SYNC_DIRECT_TO_DEVICE), -EIO);
    set_faults("wrong-data:1");
    assert_int_equal(product.run(), ERT_CMD_STATE_COMPLETED);
    assert_false(product.is_right());
    assert_int_equal(product.run(), ERT_CMD_STATE_COMPLETED);
    assert_true(product.is_right());
    assert_int_equal(virtual_npu_set_faults("tea"), -1);
    assert_int_equal(virtual_npu_set_faults("open:0"), -1);
}

void the_set_up_can_be_wrong(void**) {
    const char* const version = "/sys/bus/pci/devices/0000:c5:00.1/fw_version";
    const std::string right = first_line(version);
    set_faults("firmware-old");
    assert_true(first_line(version) != right && !first_line(version).empty());
    set_faults("node-missing");
    assert_int_equal(RawNpu().descriptor(), -ENOENT);
    assert_true(first_line(version) == right);
    set_faults("no-driver");
    assert_int_equal(RawNpu().descriptor(), -ENOENT);
    assert_true(first_line(version).empty());
    assert_true(first_line("/sys/bus/pci/devices/0000:c5:00.1/vendor") == "0x1022");
}

// Buffers come and go while others are in use.
void threads_do_not_disturb_each_other(void**) {
    RawNpu npu;
    assert_int_equal(npu.create_heap(), 0);
    std::atomic<int> right = 0;
    std::vector<std::thread> threads;
    for (uint32_t i = 0; i < 6; ++i)
        threads.emplace_back([&, i] {
            Product product(npu);
            for (uint32_t round = 0; round < 50; ++round) {
                RawBuffer buffer;
                bool good = npu.create(AMDXDNA_BO_SHARE, 512, buffer) == 0;
                std::swap(buffer, product.input);
                product.write_command(product.command);
                product.write_problem(100 * i + round);
                good = good && product.run() == ERT_CMD_STATE_COMPLETED && product.is_right();
                right += good && npu.close_buffer(buffer) == 0;
            }
        });
    for (std::thread& thread : threads)
        thread.join();
    assert_int_equal(right, 6 * 50);
}

// Of the two that the test is started with.
void devices_are_apart(void**) {
    RawNpu first(0), second(1);
    assert_int_equal(RawNpu(2).descriptor(), -ENOENT);
    Product here(first), there(second);
    RawContext context;
    for (int i = 1; i < 6; ++i) {
        assert_int_equal(first.create_context(context), 0);
        assert_int_equal(second.create_context(context), 0);
    }
    assert_int_equal(first.create_context(context), -EINVAL);
    assert_int_equal(second.create_context(context), -EINVAL);
    assert_int_equal(there.run(), ERT_CMD_STATE_COMPLETED);
    assert_true(there.is_right());
    assert_int_equal(here.run(), ERT_CMD_STATE_COMPLETED);
}

void syncs_are_counted(void**) {
    RawNpu npu;
    Product product(npu);
    const virtual_npu_counters before = counters();
    assert_int_equal(npu.sync(product.input, SYNC_DIRECT_TO_DEVICE, 0, 512), 0);
    assert_int_equal(npu.sync(product.output, SYNC_DIRECT_FROM_DEVICE, 0, 256), 0);
    assert_int_equal(npu.sync(product.output, SYNC_DIRECT_FROM_DEVICE, 4096, 1), -EINVAL);
    assert_int_equal(npu.sync(product.output, 2, 0, 1), -EINVAL);
    const virtual_npu_counters now = counters();
    assert_int_equal(now.syncs_to_device - before.syncs_to_device, 1);
    assert_int_equal(now.bytes_to_device - before.bytes_to_device, 512);
    assert_int_equal(now.syncs_from_device - before.syncs_from_device, 1);
    assert_int_equal(now.bytes_from_device - before.bytes_from_device, 256);
}

void each_open_file_has_its_own(void**) {
    RawNpu npu, other;
    Product product(npu), another(other);
    assert_int_equal(product.run(), ERT_CMD_STATE_COMPLETED);
    assert_int_equal(another.run(), ERT_CMD_STATE_COMPLETED);
    uint64_t sequence;
    const uint32_t nothing = 0;
    assert_int_equal(other.submit(product.context, product.command, {&nothing, 0}, sequence),
                     -EINVAL);
}

void nothing_is_left(void**) {
    const virtual_npu_alive now = alive();
    assert_int_equal(now.files, 0);
    assert_int_equal(now.contexts, 0);
    assert_int_equal(now.buffers, 0);
    assert_int_equal(now.contexts_of_all, 0);
    assert_int_equal(counters().buffers_created, counters().buffers_destroyed);
    assert_int_equal(counters().contexts_created, counters().contexts_destroyed);
    virtual_npu_reset_counters();
    assert_int_equal(counters().buffers_created, 0);
}

} // namespace

int main() {
    if (!virtual_npu_set_faults)
        return 77;
#define TEST(name) cmocka_unit_test_setup_teardown(name, no_faults, no_faults)
    const CMUnitTest tests[] = {
        TEST(a_product_is_right),
        TEST(a_chain_runs_all_its_commands),
        TEST(a_chain_ends_at_the_first_error),
        TEST(a_payload_has_19_words),
        TEST(odd_packets_are_refused),
        TEST(a_buffer_that_is_not_listed_faults),
        TEST(a_buffer_that_is_not_mapped_faults),
        TEST(an_argument_may_begin_within_its_buffer),
        TEST(user_memory_is_whole_pages_that_are_there),
        TEST(a_context_is_configured_once),
        TEST(there_are_six_contexts),
        TEST(a_context_fits_the_array),
        TEST(the_heap_is_64_megabytes),
        TEST(the_fifth_submission_waits),
        TEST(a_wait_has_a_deadline),
        TEST(a_hang_ends_one_context_only),
        TEST(a_context_in_work_can_be_destroyed),
        TEST(a_reset_aborts_what_is_queued),
        TEST(a_device_that_is_gone_stays_gone_for_who_had_it),
        TEST(what_waits_hears_that_the_device_has_gone),
        TEST(every_call_can_fail),
        TEST(the_set_up_can_be_wrong),
        TEST(each_open_file_has_its_own),
        TEST(threads_do_not_disturb_each_other),
        TEST(devices_are_apart),
        TEST(syncs_are_counted),
        TEST(nothing_is_left),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
