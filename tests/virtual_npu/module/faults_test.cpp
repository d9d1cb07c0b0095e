// SPDX-License-Identifier: MIT
// Each fault of the driver before each function of the module: the documented status and one line
// of words, nothing printed, nothing left behind, and the next use works.
#include <cstring>
#include <iterator>
#include <string>
#include <utility>

#include <npuenc/npuenc.h>

#include "npu/gemm_packing.hpp"
#include "npu/gemm_stream.hpp"
#include "support.hpp"

using namespace npuenc;

namespace {

enum Function { list, open, overlay, program, buffer, sync, submission, wait, n_functions };

constexpr const char* names[] = {"list",           "session_open",  "overlay_create",
                                 "program_create", "buffer_create", "buffer_sync",
                                 "submit",         "wait"};

constexpr int32_t ok = NPUENC_OK, unsupported = NPUENC_E_UNSUPPORTED, no_memory = NPUENC_E_NOMEM,
                  failed = NPUENC_E_DEVICE, lost = NPUENC_E_CTX_LOST, busy = NPUENC_E_BUSY,
                  timed_out = NPUENC_E_TIMEOUT;

// A fault, what each function returns while it lasts, and a part of the words.
struct Row {
    const char* fault;
    int32_t expected[n_functions];
    const char* words;
};

constexpr Row rows[] = {
    {"open", {ok, unsupported, ok, ok, ok, ok, ok, ok}, "usermod -aG render"},
    {"memlock", {ok, unsupported, ok, ok, ok, ok, ok, ok}, "memlock"},
    {"heap", {ok, no_memory, ok, ok, ok, ok, ok, ok}, "memory"},
    {"memory", {ok, ok, ok, ok, no_memory, ok, no_memory, ok}, "memory"},
    {"context", {ok, ok, ok, ok, ok, ok, busy, ok}, "other processes"},
    {"config", {ok, ok, ok, ok, ok, ok, unsupported, ok}, "firmware"},
    {"submit", {ok, ok, ok, ok, ok, ok, failed, ok}, "EXEC_CMD"},
    {"sync", {ok, ok, ok, ok, failed, failed, failed, ok}, "SYNC_BO"},
    {"error", {ok, ok, ok, ok, ok, ok, ok, failed}, "firmware failed"},
    {"timeout", {ok, ok, ok, ok, ok, ok, ok, timed_out}, "no progress"},
    {"reset", {ok, ok, ok, ok, ok, ok, ok, failed}, "aborted"},
    {"removed", {ok, unsupported, ok, ok, lost, lost, lost, lost}, "the NPU"},
};

// A use of the module from the first function to the last, the handles that it has so far.
struct Use {
    npuenc_module_failure failure{};
    Session session;
    Overlay overlay;
    Program program;
    Buffer buffer;
    npuenc_module_submission* submission = nullptr;

    int32_t call(Function function, const std::string& at) {
        static const std::vector<uint8_t> xclbin = read_overlay("gemm_s8_s32");
        static const GemmTiling tiling(gemm_s8_s32, 8, 8, 8);
        static const InstructionStream stream = gemm_stream(tiling);
        failure = {};
        switch (function) {
        case Function::list: {
            npuenc_module_device device;
            uint32_t count;
            return module().list(&device, 1, &count, &failure);
        }
        case Function::open: {
            npuenc_module_session* made;
            const int32_t status = module().session_open(at.c_str(), &made, &failure);
            session.reset(made);
            return status;
        }
        case Function::overlay: {
            npuenc_module_overlay* made;
            const int32_t status = module().overlay_create(session.get(), xclbin.data(),
                                                           xclbin.size(), &made, &failure);
            overlay.reset(made);
            return status;
        }
        case Function::program: {
            npuenc_module_program* made;
            const int32_t status = module().program_create(overlay.get(), stream.words().data(),
                                                           stream.words().size(), &made, &failure);
            program.reset(made);
            return status;
        }
        case Function::buffer: {
            npuenc_module_buffer* made;
            void* memory;
            buffer.bytes = 3 * part;
            const int32_t status =
                module().buffer_create(session.get(), buffer.bytes, &made, &memory, &failure);
            buffer.handle.reset(made);
            if (made) {
                const int8_t zeros[64] = {};
                Serial thread;
                pack_a(tiling, zeros, 8, memory, thread);
                pack_b(tiling, zeros, 8, BLayout::k_by_n, 0, static_cast<char*>(memory) + part,
                       thread);
            }
            return status;
        }
        case Function::sync:
            return module().buffer_sync(buffer.handle.get(), npuenc_module_to_device, 0,
                                        buffer.bytes, nullptr, &failure);
        case Function::submission: {
            npuenc_module_buffer* const b = buffer.handle.get();
            const npuenc_module_command command = {
                program.get(), 3, {{b, 0, part}, {b, part, part}, {b, 2 * part, part}}};
            return module().submit(session.get(), &command, 1, &submission, &failure);
        }
        default:
            return module().wait(std::exchange(submission, nullptr), &failure);
        }
    }

    // As much as the product's packed operands and its result need, and more.
    static constexpr size_t part = 1 << 19;
};

void check_failure(const Row& row, Function function, const Use& use, int32_t status) {
    const std::string found = std::string(row.fault) + ", " + names[function] + ": " +
                              std::to_string(status) + ", \"" + use.failure.detail + "\"";
    if (status != row.expected[function])
        throw Unexpected(found);
    if (status == ok)
        return;
    assert_int_equal(use.failure.status, status);
    if (!std::strstr(use.failure.detail, row.words) || std::strchr(use.failure.detail, '\n'))
        throw Unexpected(found);
}

// The fault before one function; then none, and what is there goes on to its end.
void use_with_fault(const Row& row, Function function, const std::string& at) {
    const bool is_lost = std::string(row.fault) == "removed";
    Use use;
    for (int before = list; before < function; ++before) {
        // What befalls a command has to be there before it begins, and what befalls the device
        // before it ends.
        if (before == submission && function == wait && (is_lost || row.expected[submission] == ok))
            assert_int_equal(virtual_npu_set_faults(is_lost ? "timeout" : row.fault), 0);
        require(use.call(static_cast<Function>(before), at), use.failure, names[before]);
    }
    assert_int_equal(virtual_npu_set_faults(row.fault), 0);
    const int32_t status = use.call(function, at);
    if (use.submission && function == submission) {
        npuenc_module_failure ignored;
        module().wait(std::exchange(use.submission, nullptr), &ignored);
    }
    check_failure(row, function, use, status);
    assert_int_equal(virtual_npu_set_faults(""), 0);

    for (int after = open; use.session && after < n_functions; ++after) {
        const int32_t again = use.call(static_cast<Function>(after), at);
        if (after != open && is_lost)
            break;
        require(again, use.failure, names[after]);
    }
}

// The device goes when all is there, and nobody has noticed when the handles are freed.
void free_after_removal() {
    const std::string at = address();
    Use use;
    for (int function = list; function < n_functions; ++function)
        require(use.call(static_cast<Function>(function), at), use.failure, names[function]);
    assert_int_equal(virtual_npu_set_faults("removed"), 0);
}

// Calls `use`, which prints nothing and leaves nothing.
template <class Call>
void quietly(const Call& use) {
    std::string printed;
    {
        const Output output;
        use();
        printed = output.text();
    }
    if (!printed.empty())
        throw Unexpected("printed: " + printed);
    assert_nothing_left();
}

void check_next_use() {
    const Session session = open_session();
    const Overlay overlay = make_overlay(session.get(), read_overlay("gemm_s8_s32"));
    const Product product(session.get(), overlay.get(), 32, 24, 40, 1);
    product.run();
    assert_true(product.is_right());
}

template <size_t row>
void every_function() {
    for (int function = list; function < n_functions; ++function) {
        const std::string at = address();
        quietly([&] { use_with_fault(rows[row], static_cast<Function>(function), at); });
        check_next_use();
    }
}

void removed_unnoticed() {
    quietly(free_after_removal);
    assert_int_equal(virtual_npu_set_faults(""), 0);
    check_next_use();
}

// After a device did not open, whichever of these comes next.
void next_after_no_open() {
    const std::string at = address();
    for (const bool is_list_next : {true, false}) {
        assert_int_equal(virtual_npu_set_faults("open"), 0);
        npuenc_module_failure failure;
        npuenc_module_session* session;
        assert_int_equal(module().session_open(at.c_str(), &session, &failure), unsupported);
        assert_int_equal(virtual_npu_set_faults(""), 0);
        const Session opened = is_list_next ? Session() : open_session(at);
        npuenc_module_device device;
        uint32_t count;
        require(module().list(&device, 1, &count, &failure), failure, "list");
        assert_int_equal(device.status, ok);
    }
}

template <size_t... row>
int run_all(std::index_sequence<row...>) {
    const CMUnitTest tests[] = {
        {rows[row].fault, guarded<every_function<row>>, nullptr, nullptr, nullptr}...,
        cmocka_unit_test(guarded<removed_unnoticed>),
        cmocka_unit_test(guarded<next_after_no_open>)};
    return cmocka_run_group_tests_name("module faults", tests, nullptr, nullptr);
}

} // namespace

int main() {
    synchronise_through_driver();
    return run_all(std::make_index_sequence<std::size(rows)>());
}
