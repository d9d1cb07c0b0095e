// SPDX-License-Identifier: MIT
// Products through the module: right, submitted and synchronised as often as asked, whichever
// contexts had to be dropped, from several threads, and without a trace.

#include <cpuid.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <thread>

#include <npuenc/npuenc.h>

#include "support.hpp"

using namespace npuenc;

namespace {

virtual_npu_counters counters() {
    virtual_npu_counters read;
    virtual_npu_read_counters(&read);
    return read;
}

virtual_npu_alive alive() {
    virtual_npu_alive read;
    virtual_npu_read_alive(&read);
    return read;
}

void products_are_right() {
    const Session session = open_session();
    const Overlay overlay = make_overlay(session.get(), read_overlay("gemm_s8_s32"));
    for (const auto& [m, n, k] : {std::array<size_t, 3>{1, 1, 1}, {64, 64, 64}, {300, 70, 130}}) {
        const Product product(session.get(), overlay.get(), m, n, k, 1);
        product.run();
        assert_true(product.is_right());
    }
}

void buffers_are_whole_zeroed_pages() {
    const Session session = open_session();
    for (const size_t bytes : {0, 1, 4096, 5000}) {
        const Buffer buffer(session.get(), bytes);
        assert_int_equal(reinterpret_cast<uintptr_t>(buffer.memory) % 4096, 0);
        for (size_t i = 0; i < bytes; ++i)
            assert_int_equal(buffer.memory[i], 0);
        std::memset(buffer.memory, 1, bytes == 0 ? 4096 : bytes);
    }
}

// A list is cut into chains of 24; everything else costs one call of the driver each.
void counts_are_those_of_the_calls() {
    const Session session = open_session();
    const Overlay overlay = make_overlay(session.get(), read_overlay("gemm_s8_s32"));
    std::vector<std::unique_ptr<Product>> products;
    std::vector<npuenc_module_command> commands;
    for (uint32_t i = 0; i < 30; ++i) {
        products.push_back(
            std::make_unique<Product>(session.get(), overlay.get(), 40, 30, 20 + i, i));
        commands.push_back(products.back()->command());
        products[i]->inputs().sync(npuenc_module_to_device);
    }
    run(session.get(), commands); // makes contexts and run objects, copies instructions
    for (const size_t n : {1, 2, 24, 25, 30}) {
        for (const auto& product : products) {
            product->clear();
            product->outputs().sync(npuenc_module_to_device);
        }
        const virtual_npu_counters before = counters();
        for (size_t i = 0; i < n; ++i)
            products[i]->inputs().sync(npuenc_module_to_device);
        run(session.get(), {commands.begin(), commands.begin() + n});
        for (size_t i = 0; i < n; ++i)
            products[i]->outputs().sync(npuenc_module_from_device);
        const virtual_npu_counters after = counters();
        for (size_t i = 0; i < n; ++i)
            assert_true(products[i]->is_right());
        assert_int_equal(after.submissions - before.submissions, (n + 23) / 24);
        assert_int_equal(after.commands - before.commands, n);
        assert_int_equal(after.syncs_to_device - before.syncs_to_device, n);
        assert_int_equal(after.syncs_from_device - before.syncs_from_device, n);
        assert_int_equal(after.contexts_created, before.contexts_created);
    }
}

// The product's own flush: no call of the driver, whichever part of a buffer it is of, and the
// bytes stay as they are.
void syncs_are_no_calls() {
    const Session session = open_session();
    const Buffer buffer(session.get(), 3 * 4096);
    for (size_t i = 0; i < buffer.bytes; ++i)
        buffer.memory[i] = static_cast<char>(i % 251);
    const virtual_npu_counters before = counters();
    const auto sync_parts = [&] {
        for (const size_t offset : {0, 1, 63, 64, 100, 4095, 4096, 3 * 4096 - 1})
            for (const size_t bytes : {0, 1, 2, 63, 64, 65, 5000, 3 * 4096})
                for (const auto direction : {npuenc_module_to_device, npuenc_module_from_device,
                                             npuenc_module_streamed_to_device}) {
                    npuenc_module_failure failure;
                    const bool is_within = offset + bytes <= buffer.bytes;
                    assert_int_equal(module().buffer_sync(buffer.handle.get(), direction, offset,
                                                          bytes, nullptr, &failure),
                                     is_within ? NPUENC_OK : NPUENC_E_INVALID);
                }
    };
    std::thread other(sync_parts);
    sync_parts();
    other.join();
    const virtual_npu_counters after = counters();
    assert_int_equal(after.syncs_to_device, before.syncs_to_device);
    assert_int_equal(after.syncs_from_device, before.syncs_from_device);
    for (size_t i = 0; i < buffer.bytes; ++i)
        assert_int_equal(buffer.memory[i], static_cast<char>(i % 251));
}

// What was streamed is synchronised like anything else.
void streamed_inputs_arrive() {
    const Session session = open_session();
    const Overlay overlay = make_overlay(session.get(), read_overlay("gemm_s8_s32"));
    const Product product(session.get(), overlay.get(), 40, 30, 20, 1);
    product.outputs().sync(npuenc_module_to_device);
    product.inputs().sync(npuenc_module_streamed_to_device);
    run(session.get(), {product.command()});
    product.outputs().sync(npuenc_module_from_device);
    assert_true(product.is_right());
    const virtual_npu_counters before = counters();
    product.inputs().sync(npuenc_module_streamed_to_device);
    assert_int_equal(counters().syncs_to_device - before.syncs_to_device, 1);
}

// A long one is cut for the threads that it is given, a short one is not; nor is one of what was
// streamed, of which no line has to be flushed.
void long_syncs_are_shared() {
    const Session session = open_session();
    const Buffer buffer(session.get(), size_t{1} << 20);
    std::memset(buffer.memory, 77, buffer.bytes);
    const auto parts_of = [&](size_t offset, size_t bytes,
                              npuenc_module_direction direction = npuenc_module_from_device) {
        size_t parts = 0;
        const npuenc_module_threads threads = {
            &parts, [](void* context, size_t n, void (*body)(void*, size_t), void* of_body) {
                *static_cast<size_t*>(context) += n;
                std::thread other([&] {
                    for (size_t i = n / 2; i < n; ++i)
                        body(of_body, i);
                });
                for (size_t i = 0; i < n / 2; ++i)
                    body(of_body, i);
                other.join();
            }};
        npuenc_module_failure failure;
        require(
            module().buffer_sync(buffer.handle.get(), direction, offset, bytes, &threads, &failure),
            failure, "buffer_sync");
        return parts;
    };
    assert_true(parts_of(0, buffer.bytes) > 1);
    assert_true(parts_of(100, buffer.bytes - 100) > 1);
    assert_int_equal(parts_of(100, 4096), 0);
    assert_true(parts_of(0, buffer.bytes, npuenc_module_to_device) > 1);
    assert_int_equal(parts_of(0, buffer.bytes, npuenc_module_streamed_to_device), 0);
    for (size_t i = 0; i < buffer.bytes; ++i)
        assert_int_equal(buffer.memory[i], 77);
}

// One command costs the driver nothing but itself, and a list a buffer for each chain.
void run_objects_are_used_again() {
    const Session session = open_session();
    const Overlay overlay = make_overlay(session.get(), read_overlay("gemm_s8_s32"));
    const Product product(session.get(), overlay.get(), 8, 8, 8, 1);
    product.run();
    const uint64_t buffers = counters().buffers_created;
    for (int i = 0; i < 10; ++i)
        product.run();
    assert_int_equal(counters().buffers_created, buffers);
}

void seven_overlays_take_turns() {
    constexpr unsigned n = 7, rounds = 3;
    const Session session = open_session();
    std::vector<Overlay> overlays;
    std::vector<std::unique_ptr<Product>> products;
    for (unsigned i = 0; i < n; ++i) {
        overlays.push_back(make_overlay(session.get(), read_overlay("gemm_s8_s32", i)));
        products.push_back(
            std::make_unique<Product>(session.get(), overlays[i].get(), 20, 30, 40 + i, i));
    }
    const uint64_t before = counters().contexts_created;
    for (unsigned round = 0; round < rounds; ++round)
        for (const auto& product : products) {
            product->clear();
            product->run();
            assert_true(product->is_right());
            assert_true(alive().contexts <= 2);
        }
    // In turns the one that is wanted is always the one dropped last.
    assert_int_equal(counters().contexts_created - before, n * rounds);
    for (unsigned i = 0; i < 2; ++i)
        products[n - 1 - i]->run();
    assert_int_equal(counters().contexts_created - before, n * rounds);
}

void contexts_in_use_are_kept() {
    constexpr unsigned n = 7;
    const Session session = open_session();
    std::vector<Overlay> overlays;
    std::vector<std::unique_ptr<Product>> products;
    for (unsigned i = 0; i < n; ++i) {
        overlays.push_back(make_overlay(session.get(), read_overlay("gemm_s8_s32", i)));
        products.push_back(
            std::make_unique<Product>(session.get(), overlays[i].get(), 20, 30, 40, i));
        products[i]->inputs().sync(npuenc_module_to_device);
    }
    std::vector<npuenc_module_submission*> running;
    for (unsigned i = 0; i < n - 1; ++i)
        running.push_back(submit(session.get(), {products[i]->command()}));
    assert_int_equal(alive().contexts, 6);
    npuenc_module_failure failure;
    npuenc_module_submission* seventh;
    const npuenc_module_command command = products[n - 1]->command();
    assert_int_equal(module().submit(session.get(), &command, 1, &seventh, &failure),
                     NPUENC_E_BUSY);
    assert_null(seventh);
    for (unsigned i = 0; i < n - 1; ++i) {
        require(module().wait(running[i], &failure), failure, "wait");
        products[i]->outputs().sync(npuenc_module_from_device);
        assert_true(products[i]->is_right());
    }
    assert_int_equal(alive().contexts, 2); // those that are kept for the next call
    products[n - 1]->run();
    assert_true(products[n - 1]->is_right());
    assert_int_equal(alive().contexts, 2);
}

void sessions_share_the_contexts() {
    std::vector<Session> sessions;
    std::vector<Overlay> overlays;
    std::vector<std::unique_ptr<Product>> products;
    for (unsigned i = 0; i < 8; ++i) {
        sessions.push_back(open_session());
        overlays.push_back(make_overlay(sessions[i].get(), read_overlay("gemm_s8_s32")));
        products.push_back(
            std::make_unique<Product>(sessions[i].get(), overlays[i].get(), 20, 30, 40, i));
    }
    for (const auto& product : products) {
        product->run();
        assert_true(product->is_right());
    }
    assert_true(alive().contexts <= 6);
}

void handles_are_freed_in_any_order() {
    Session session = open_session();
    Overlay overlay = make_overlay(session.get(), read_overlay("gemm_s8_s32"));
    auto product = std::make_unique<Product>(session.get(), overlay.get(), 20, 30, 40, 1);
    product->inputs().sync(npuenc_module_to_device);
    npuenc_module_submission* running = submit(session.get(), {product->command()});
    session.reset();
    overlay.reset();
    npuenc_module_failure failure;
    require(module().wait(running, &failure), failure, "wait");
    product->outputs().sync(npuenc_module_from_device);
    assert_true(product->is_right());
    product.reset();
    assert_nothing_left();
}

void bad_commands_are_refused() {
    const Session session = open_session();
    const Overlay overlay = make_overlay(session.get(), read_overlay("gemm_s8_s32"));
    const Overlay other = make_overlay(session.get(), read_overlay("gemm_s8_s32", 1));
    const Product product(session.get(), overlay.get(), 20, 30, 40, 1);
    const Product of_other(session.get(), other.get(), 20, 30, 40, 1);
    std::vector<npuenc_module_command> bad(6, product.command());
    bad[0].n_arguments = 0;
    bad[1].n_arguments = npuenc_module_max_arguments + 1;
    bad[2].arguments[1].offset += 1;
    bad[3].arguments[1].bytes += 1 << 20;
    bad[4].arguments[1].offset = SIZE_MAX / 4096 * 4096;
    bad[5].arguments[1].bytes = 0;
    npuenc_module_failure failure;
    npuenc_module_submission* submission;
    for (const npuenc_module_command& command : bad) {
        assert_int_equal(module().submit(session.get(), &command, 1, &submission, &failure),
                         NPUENC_E_INVALID);
        assert_null(submission);
    }
    const npuenc_module_command mixed[] = {product.command(), of_other.command()};
    assert_int_equal(module().submit(session.get(), mixed, 2, &submission, &failure),
                     NPUENC_E_INVALID);
    assert_int_equal(module().submit(session.get(), mixed, 0, &submission, &failure),
                     NPUENC_E_INVALID);
    product.run();
    assert_true(product.is_right());
}

void bad_overlays_are_refused() {
    const Session session = open_session();
    const std::vector<uint8_t> good = read_overlay("gemm_s8_s32");
    for (const size_t bytes : {size_t{0}, size_t{1}, size_t{300}, size_t{1000}, good.size() - 1}) {
        npuenc_module_failure failure;
        npuenc_module_overlay* overlay;
        assert_int_equal(
            module().overlay_create(session.get(), good.data(), bytes, &overlay, &failure),
            NPUENC_E_UNSUPPORTED);
        assert_null(overlay);
        assert_true(failure.detail[0] != 0);
    }
}

void addresses_of_no_device_are_refused() {
    npuenc_module_failure failure;
    npuenc_module_session* session;
    for (const char* unknown : {"", "0", "junk", "0000:99:00.1"}) {
        assert_int_equal(module().session_open(unknown, &session, &failure), NPUENC_E_NOT_FOUND);
        assert_null(session);
    }
}

// Eight threads on one session, with results that are each thread's own.
void run_threads(const std::vector<Overlay>& overlays, npuenc_module_session* session) {
    std::array<std::string, 8> failures;
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < failures.size(); ++t)
        threads.emplace_back([&, t] {
            try {
                npuenc_module_overlay* const overlay = overlays[t % overlays.size()].get();
                for (uint32_t i = 0; i < 10; ++i) {
                    const Product product(session, overlay, 10 + t, 20 + i, 30, 100 * t + i);
                    product.run();
                    if (!product.is_right())
                        failures[t] = "a wrong result";
                }
            } catch (const std::exception& error) {
                failures[t] = error.what();
            }
        });
    for (std::thread& thread : threads)
        thread.join();
    for (const std::string& failure : failures)
        assert_string_equal(failure.c_str(), "");
}

void threads_share_contexts() {
    const Session session = open_session();
    std::vector<Overlay> overlays;
    for (unsigned i = 0; i < 2; ++i)
        overlays.push_back(make_overlay(session.get(), read_overlay("gemm_s8_s32", i)));
    run_threads(overlays, session.get());
}

// More overlays than contexts, and nobody is left out.
void threads_take_turns() {
    const Session session = open_session();
    std::vector<Overlay> overlays;
    for (unsigned i = 0; i < 8; ++i)
        overlays.push_back(make_overlay(session.get(), read_overlay("gemm_s8_s32", i)));
    run_threads(overlays, session.get());
}

// XRT's output is held back while the module is called, and nobody else's.
void what_others_print_comes_out() {
    const Session session = open_session();
    std::string printed, expected;
    {
        const Output output;
        std::atomic<bool> ends = false;
        std::thread caller([&] {
            for (int i = 0; i < 1000; ++i)
                const Buffer buffer(session.get(), 4096);
            ends = true;
        });
        for (int i = 0; !ends; ++i) {
            (i % 2 ? std::cerr : std::cout) << i << std::endl;
            expected += std::to_string(i) + '\n';
        }
        caller.join();
        printed = output.text();
    }
    assert_string_equal(printed.c_str(), expected.c_str());
}

// Sessions come and go in one thread while others use theirs.
void threads_open_and_close() {
    std::array<std::string, 4> failures;
    std::vector<std::thread> threads;
    for (std::string& failure : failures)
        threads.emplace_back([&failure] {
            try {
                for (uint32_t i = 0; i < 5; ++i) {
                    const Session session = open_session();
                    const Overlay overlay =
                        make_overlay(session.get(), read_overlay("gemm_s8_s32"));
                    const Product product(session.get(), overlay.get(), 10, 20, 30, i);
                    product.run();
                    if (!product.is_right())
                        failure = "a wrong result";
                }
            } catch (const std::exception& error) {
                failure = error.what();
            }
        });
    for (std::thread& thread : threads)
        thread.join();
    for (const std::string& failure : failures)
        assert_string_equal(failure.c_str(), "");
    assert_nothing_left();
}

// The heap has no room for the second program until the first has left it.
void instructions_make_room() {
    const Session session = open_session();
    const Overlay overlay = make_overlay(session.get(), read_overlay("gemm_s8_s32"));
    const Product first(session.get(), overlay.get(), 20, 30, 40, 1);
    first.run();
    const uint64_t buffers = alive().buffers;
    const Product second(session.get(), overlay.get(), 30, 20, 40, 1);
    assert_int_equal(virtual_npu_set_faults("memory:1"), 0);
    second.run();
    assert_int_equal(virtual_npu_set_faults(""), 0);
    // Two buffers of the product came; instructions and the run that reads them took the place of
    // others.
    assert_int_equal(alive().buffers, buffers + 2);
    for (const Product* product : {&first, &second}) {
        product->clear();
        product->run();
        assert_true(product->is_right());
    }
}

size_t resident_pages() {
    std::ifstream file("/proc/self/statm");
    size_t all = 0, resident = 0;
    file >> all >> resident;
    return resident;
}

void memory_stays_flat() {
    const Session session = open_session();
    const Overlay overlay = make_overlay(session.get(), read_overlay("gemm_s8_s32"));
    const Product one(session.get(), overlay.get(), 8, 8, 8, 1);
    const Product two(session.get(), overlay.get(), 9, 9, 9, 1);
    const auto work = [&](int n) {
        for (int i = 0; i < n; ++i) {
            one.run();
            run(session.get(), {one.command(), two.command()});
        }
    };
    work(200);
    const size_t pages = resident_pages();
    const virtual_npu_alive before = alive();
    work(5000); // two products each
    assert_int_equal(alive().buffers, before.buffers);
    // A page for each ten would be a leak of 400 bytes.
    assert_in_range(resident_pages(), 0, pages + 5000 / 10);
}

} // namespace

int main(int argc, char** argv) {
    synchronise_through_driver();
    const std::string group = argc > 1 ? argv[1] : "";
    if (group == "steady") {
        const CMUnitTest tests[] = {cmocka_unit_test(guarded<memory_stays_flat>)};
        return cmocka_run_group_tests_name("module steady", tests, nullptr, nullptr);
    }
    if (group == "own flush") {
        unsigned a, b = 0, c, d;
        if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_CLFLUSHOPT)) {
            std::puts("this CPU has no CLFLUSHOPT: its synchronisations are XRT's");
            return 77;
        }
        const CMUnitTest tests[] = {
            cmocka_unit_test(guarded<syncs_are_no_calls>),
            cmocka_unit_test(guarded<long_syncs_are_shared>),
            cmocka_unit_test(guarded<products_are_right>),
            cmocka_unit_test(guarded<threads_share_contexts>),
        };
        return cmocka_run_group_tests_name("module own flush", tests, nullptr, nullptr);
    }
    if (group == "threads") {
        const CMUnitTest tests[] = {
            cmocka_unit_test(guarded<threads_share_contexts>),
            cmocka_unit_test(guarded<threads_take_turns>),
            cmocka_unit_test(guarded<threads_open_and_close>),
            cmocka_unit_test(guarded<what_others_print_comes_out>),
        };
        return cmocka_run_group_tests_name("module threads", tests, nullptr, nullptr);
    }
    const CMUnitTest tests[] = {
        cmocka_unit_test(guarded<products_are_right>),
        cmocka_unit_test(guarded<buffers_are_whole_zeroed_pages>),
        cmocka_unit_test(guarded<counts_are_those_of_the_calls>),
        cmocka_unit_test(guarded<streamed_inputs_arrive>),
        cmocka_unit_test(guarded<run_objects_are_used_again>),
        cmocka_unit_test(guarded<seven_overlays_take_turns>),
        cmocka_unit_test(guarded<contexts_in_use_are_kept>),
        cmocka_unit_test(guarded<sessions_share_the_contexts>),
        cmocka_unit_test(guarded<handles_are_freed_in_any_order>),
        cmocka_unit_test(guarded<bad_commands_are_refused>),
        cmocka_unit_test(guarded<bad_overlays_are_refused>),
        cmocka_unit_test(guarded<addresses_of_no_device_are_refused>),
        cmocka_unit_test(guarded<instructions_make_room>),
    };
    return cmocka_run_group_tests_name("module sessions", tests, nullptr, nullptr);
}
