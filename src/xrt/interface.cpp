// SPDX-License-Identifier: MIT
// The module's functions, as C.
#include <algorithm>
#include <memory>
#include <vector>

#include "npu/module_interface.h"
#include "xrt/buffer.hpp"
#include "xrt/device.hpp"
#include "xrt/device_list.hpp"
#include "xrt/failure.hpp"
#include "xrt/overlay.hpp"
#include "xrt/program.hpp"
#include "xrt/silence.hpp"
#include "xrt/submission.hpp"

// Handles share what they need of each other, so that they may be freed in any order.

struct npuenc_module_session {
    std::shared_ptr<npuenc::module::Device> device;
};

struct npuenc_module_overlay {
    std::shared_ptr<npuenc::module::Device> device;
    std::shared_ptr<npuenc::module::Overlay> overlay;
};

struct npuenc_module_program {
    std::shared_ptr<npuenc::module::Program> program;
};

struct npuenc_module_buffer {
    npuenc::module::Buffer buffer;
};

struct npuenc_module_submission {
    npuenc::module::Submission submission;
};

namespace npuenc::module {
namespace {

// The same in silence.
template <class Body>
int32_t at_silent_border(npuenc_module_failure* failure, const Body& body) noexcept {
    const Silence silence;
    return at_border(failure, body);
}

template <class Handle>
void free_handle(Handle* handle) noexcept {
    const Silence silence;
    delete handle;
}

int32_t list(npuenc_module_device* devices, uint32_t capacity, uint32_t* count,
             npuenc_module_failure* failure) {
    *count = 0;
    return at_silent_border(failure, [&] {
        const std::vector<npuenc_module_device> found = list_devices();
        *count = static_cast<uint32_t>(found.size());
        std::copy_n(found.begin(), std::min<size_t>(capacity, found.size()), devices);
    });
}

int32_t session_open(const char* bus_address, npuenc_module_session** out,
                     npuenc_module_failure* failure) {
    *out = nullptr;
    return at_silent_border(failure,
                            [&] { *out = new npuenc_module_session{Device::open(bus_address)}; });
}

void session_close(npuenc_module_session* session) {
    free_handle(session);
}

int32_t overlay_create(npuenc_module_session* session, const void* xclbin, size_t bytes,
                       npuenc_module_overlay** out, npuenc_module_failure* failure) {
    *out = nullptr;
    return at_silent_border(failure, [&] {
        *out = new npuenc_module_overlay{session->device,
                                         std::make_shared<Overlay>(session->device, xclbin, bytes)};
    });
}

void overlay_free(npuenc_module_overlay* overlay) {
    free_handle(overlay);
}

int32_t program_create(npuenc_module_overlay* overlay, const uint32_t* words, size_t n_words,
                       npuenc_module_program** out, npuenc_module_failure* failure) {
    *out = nullptr;
    return at_silent_border(failure, [&] {
        *out =
            new npuenc_module_program{std::make_shared<Program>(overlay->overlay, words, n_words)};
    });
}

void program_free(npuenc_module_program* program) {
    free_handle(program);
}

int32_t buffer_create(npuenc_module_session* session, size_t bytes, npuenc_module_buffer** out,
                      void** memory, npuenc_module_failure* failure) {
    *out = nullptr;
    *memory = nullptr;
    return at_silent_border(failure, [&] {
        *out = new npuenc_module_buffer{Buffer(session->device, bytes)};
        *memory = (*out)->buffer.memory();
    });
}

void buffer_free(npuenc_module_buffer* buffer) {
    free_handle(buffer);
}

int32_t buffer_sync(npuenc_module_buffer* buffer, npuenc_module_direction direction, size_t offset,
                    size_t bytes, const npuenc_module_threads* threads,
                    npuenc_module_failure* failure) {
    return at_border(failure, [&] { buffer->buffer.sync(direction, offset, bytes, threads); });
}

Command read_command(const npuenc_module_command& command) {
    if (command.n_arguments == 0 || command.n_arguments > npuenc_module_max_arguments)
        fail(NPUENC_E_INVALID, "a command of %u arguments", command.n_arguments);
    Command read{command.program->program, {}};
    for (uint32_t i = 0; i < command.n_arguments; ++i) {
        const npuenc_module_argument& argument = command.arguments[i];
        read.arguments.push_back({&argument.buffer->buffer, argument.offset, argument.bytes});
    }
    return read;
}

int32_t submit(npuenc_module_session* session, const npuenc_module_command* commands, size_t n,
               npuenc_module_submission** out, npuenc_module_failure* failure) {
    *out = nullptr;
    return at_border(failure, [&] {
        if (n == 0)
            fail(NPUENC_E_INVALID, "a submission of no commands");
        std::vector<Command> read;
        read.reserve(n);
        for (size_t i = 0; i < n; ++i) {
            read.push_back(read_command(commands[i]));
            if (read[i].program->overlay() != read[0].program->overlay())
                fail(NPUENC_E_INVALID, "a submission of programs for different overlays");
        }
        *out = new npuenc_module_submission{Submission(session->device, read)};
    });
}

int32_t wait(npuenc_module_submission* submission, npuenc_module_failure* failure) {
    return at_border(failure, [&] {
        const std::unique_ptr<npuenc_module_submission> ended(submission);
        submission->submission.wait();
    });
}

constexpr npuenc_module functions = {
    NPUENC_MODULE_INTERFACE,
    list,
    session_open,
    session_close,
    overlay_create,
    overlay_free,
    program_create,
    program_free,
    buffer_create,
    buffer_free,
    buffer_sync,
    submit,
    wait,
};

} // namespace
} // namespace npuenc::module

extern "C" [[gnu::visibility("default")]] const npuenc_module*
npuenc_module_get(uint32_t interface) {
    return interface == NPUENC_MODULE_INTERFACE ? &npuenc::module::functions : nullptr;
}
