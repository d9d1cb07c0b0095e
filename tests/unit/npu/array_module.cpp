// SPDX-License-Identifier: MIT
#include "array_module.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <npuenc/npuenc.h>

#include "kernels/aie2/container/xclbin.hpp"

namespace {

using npuenc::Misbehaviour;
using npuenc::ModuleCall;

thread_local int depth = 0;

class Inside {
  public:
    Inside() { ++depth; }
    ~Inside() { --depth; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
};

[[noreturn]] void broken(const char* rule) {
    std::fprintf(stderr, "array module: %s\n", rule);
    std::abort();
}

void require(bool kept, const char* rule) {
    if (!kept)
        broken(rule);
}

constexpr size_t page = npuenc_module_alignment;

// Zeroed. What nobody touches takes no memory.
struct Pages {
    explicit Pages(size_t n)
        : bytes(n), data(static_cast<uint8_t*>(mmap(nullptr, n, PROT_READ | PROT_WRITE,
                                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
        require(data != MAP_FAILED, "no memory");
    }
    ~Pages() { munmap(data, bytes); }
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;

    size_t bytes;
    uint8_t* data;
};

// Of the device's copy, what is there before anything else: no zeros.
constexpr size_t most_poisoned = size_t{64} << 20;

} // namespace

struct npuenc_module_session {
    std::unique_ptr<virtual_npu::Firmware> firmware;
    const npuenc_module_overlay* loaded = nullptr;
};

struct npuenc_module_overlay {
    npuenc_module_session* session;
    std::vector<uint8_t> pdi;
};

struct npuenc_module_program {
    npuenc_module_overlay* overlay;
    std::vector<uint32_t> words;
};

struct npuenc_module_buffer {
    Pages host, device;
    size_t used_before = 0; // an offset
};

struct npuenc_module_submission {
    int32_t status;
    std::string detail;
};

namespace {

struct State {
    std::mutex mutex;
    npuenc::ModuleCounts counts{};
    virtual_npu::Mode mode = virtual_npu::Mode::functional;
    Misbehaviour misbehaviour = Misbehaviour::none;
    uint64_t fail_in[static_cast<int>(ModuleCall::n_calls)] = {};
    int32_t fail_with[static_cast<int>(ModuleCall::n_calls)] = {};
    bool lost = false;
    std::map<const void*, int> buffers; // alive
};
State state;

int32_t failed(npuenc_module_failure* failure, int32_t status, const std::string& detail) {
    failure->status = status;
    std::snprintf(failure->detail, sizeof failure->detail, "%s", detail.c_str());
    return status;
}

// One call of the table: counted, failed if that is its turn, and alone.
template <class Body>
int32_t call(ModuleCall which, npuenc_module_failure* failure, const Body& body) {
    const Inside inside;
    const std::lock_guard lock(state.mutex);
    const int i = static_cast<int>(which);
    ++state.counts.calls[i];
    int32_t status = state.lost ? NPUENC_E_CTX_LOST : NPUENC_OK;
    if (state.fail_in[i] != 0 && --state.fail_in[i] == 0)
        status = state.fail_with[i];
    if (status == NPUENC_E_CTX_LOST)
        state.lost = true;
    try {
        return body(status);
    } catch (const std::exception& error) {
        return failed(failure, NPUENC_E_DEVICE, error.what());
    }
}

int32_t list(npuenc_module_device*, uint32_t, uint32_t* count, npuenc_module_failure*) {
    *count = 0;
    return NPUENC_OK;
}

int32_t session_open(const char* bus_address, npuenc_module_session** out,
                     npuenc_module_failure* failure) {
    *out = nullptr;
    return call(ModuleCall::session_open, failure, [&](int32_t status) {
        if (status != NPUENC_OK)
            return failed(failure, status, "session_open was told to fail");
        if (std::strcmp(bus_address, npuenc::array_bus_address) != 0)
            return failed(failure, NPUENC_E_NOT_FOUND, "no such device");
        *out = new npuenc_module_session{virtual_npu::make_firmware(state.mode)};
        ++state.counts.sessions;
        return int32_t{NPUENC_OK};
    });
}

void session_close(npuenc_module_session* session) {
    const Inside inside;
    const std::lock_guard lock(state.mutex);
    state.counts.sessions -= session != nullptr;
    delete session;
}

int32_t overlay_create(npuenc_module_session* session, const void* xclbin, size_t bytes,
                       npuenc_module_overlay** out, npuenc_module_failure* failure) {
    *out = nullptr;
    return call(ModuleCall::overlay_create, failure, [&](int32_t status) {
        if (status != NPUENC_OK)
            return failed(failure, status, "overlay_create was told to fail");
        const auto* file = static_cast<const uint8_t*>(xclbin);
        const npuenc::aie2::Xclbin overlay = npuenc::aie2::parse_xclbin({file, bytes});
        *out = new npuenc_module_overlay{session, overlay.images.at(0).pdi};
        ++state.counts.overlays;
        return int32_t{NPUENC_OK};
    });
}

void overlay_free(npuenc_module_overlay* overlay) {
    const Inside inside;
    const std::lock_guard lock(state.mutex);
    if (!overlay)
        return;
    --state.counts.overlays;
    delete overlay;
}

int32_t program_create(npuenc_module_overlay* overlay, const uint32_t* words, size_t n_words,
                       npuenc_module_program** out, npuenc_module_failure* failure) {
    *out = nullptr;
    return call(ModuleCall::program_create, failure, [&](int32_t status) {
        if (status != NPUENC_OK)
            return failed(failure, status, "program_create was told to fail");
        *out = new npuenc_module_program{overlay, {words, words + n_words}};
        ++state.counts.programs;
        ++state.counts.programs_made;
        return int32_t{NPUENC_OK};
    });
}

void program_free(npuenc_module_program* program) {
    const Inside inside;
    const std::lock_guard lock(state.mutex);
    state.counts.programs -= program != nullptr;
    delete program;
}

int32_t buffer_create(npuenc_module_session*, size_t bytes, npuenc_module_buffer** out,
                      void** memory, npuenc_module_failure* failure) {
    *out = nullptr;
    return call(ModuleCall::buffer_create, failure, [&](int32_t status) {
        if (status != NPUENC_OK)
            return failed(failure, status, "buffer_create was told to fail");
        require(bytes > 0, "a buffer without bytes");
        const size_t whole = (bytes + page - 1) / page * page;
        *out = new npuenc_module_buffer{Pages(whole), Pages(whole)};
        std::memset((*out)->device.data, 0xa5, std::min(whole, most_poisoned));
        *memory = (*out)->host.data;
        state.buffers[*out] = 1;
        ++state.counts.buffers;
        ++state.counts.buffers_made;
        return int32_t{NPUENC_OK};
    });
}

void buffer_free(npuenc_module_buffer* buffer) {
    const Inside inside;
    const std::lock_guard lock(state.mutex);
    if (!buffer)
        return;
    require(state.buffers.erase(buffer) == 1, "a buffer that is not there is freed");
    --state.counts.buffers;
    delete buffer;
}

int32_t buffer_sync(npuenc_module_buffer* buffer, npuenc_module_direction direction, size_t offset,
                    size_t bytes, const npuenc_module_threads*, npuenc_module_failure* failure) {
    return call(ModuleCall::buffer_sync, failure, [&](int32_t status) {
        if (status != NPUENC_OK)
            return failed(failure, status, "buffer_sync was told to fail");
        require(state.buffers.count(buffer) == 1, "a buffer that is not there is synchronised");
        require(offset <= buffer->host.bytes && bytes <= buffer->host.bytes - offset,
                "more of a buffer is synchronised than there is");
        const bool in = direction != npuenc_module_from_device;
        ++state.counts.syncs;
        (in ? state.counts.bytes_to_device : state.counts.bytes_from_device) += bytes;
        if (state.misbehaviour ==
            (in ? Misbehaviour::no_sync_to_device : Misbehaviour::no_sync_from_device))
            return int32_t{NPUENC_OK};
        uint8_t* to = (in ? buffer->device : buffer->host).data + offset;
        std::memcpy(to, (in ? buffer->host : buffer->device).data + offset, bytes);
        return int32_t{NPUENC_OK};
    });
}

void run(npuenc_module_session& session, const npuenc_module_command& command) {
    const npuenc_module_program& program = *command.program;
    if (session.loaded != program.overlay) {
        session.firmware->load(program.overlay->pdi);
        session.loaded = program.overlay;
    }
    require(command.n_arguments <= npuenc_module_max_arguments, "too many arguments");
    std::vector<virtual_npu::Argument> arguments;
    for (uint32_t i = 0; i < command.n_arguments; ++i) {
        uint32_t from = i;
        if (state.misbehaviour == Misbehaviour::swapped_arguments && i < 2)
            from = 1 - i;
        const npuenc_module_argument& argument = command.arguments[from];
        require(state.buffers.count(argument.buffer) == 1, "an argument that is not there");
        Pages& memory = argument.buffer->device;
        require(argument.offset % page == 0, "an argument that begins within a page");
        require(argument.bytes > 0 && argument.offset <= memory.bytes &&
                    argument.bytes <= memory.bytes - argument.offset,
                "an argument beyond its buffer");
        size_t offset = argument.offset;
        if (state.misbehaviour == Misbehaviour::stale_argument)
            std::swap(offset, argument.buffer->used_before);
        uint8_t* data = memory.data + offset;
        const size_t bytes = std::min(argument.bytes, memory.bytes - offset);
        arguments.push_back({reinterpret_cast<uintptr_t>(data), {data, bytes}});
    }
    const std::atomic<bool> stop = false;
    const auto* words = reinterpret_cast<const uint8_t*>(program.words.data());
    session.firmware->run({words, program.words.size() * sizeof(uint32_t)}, arguments, stop);
}

int32_t submit(npuenc_module_session* session, const npuenc_module_command* commands, size_t n,
               npuenc_module_submission** out, npuenc_module_failure* failure) {
    *out = nullptr;
    return call(ModuleCall::submit, failure, [&](int32_t status) {
        if (status != NPUENC_OK)
            return failed(failure, status, "submit was told to fail");
        require(n > 0, "no commands");
        auto submission =
            std::make_unique<npuenc_module_submission>(npuenc_module_submission{NPUENC_OK, {}});
        for (size_t i = 0; i < n && submission->status == NPUENC_OK; ++i) {
            require(commands[i].program->overlay == commands[0].program->overlay,
                    "commands of two overlays");
            try {
                run(*session, commands[i]);
            } catch (const std::exception& error) {
                session->loaded = nullptr;
                *submission = {NPUENC_E_DEVICE, error.what()};
            }
        }
        ++state.counts.submissions;
        ++state.counts.submitted;
        state.counts.commands += n;
        *out = submission.release();
        return int32_t{NPUENC_OK};
    });
}

int32_t wait(npuenc_module_submission* submission, npuenc_module_failure* failure) {
    return call(ModuleCall::wait, failure, [&](int32_t status) {
        --state.counts.submissions;
        const std::unique_ptr<npuenc_module_submission> ended(submission);
        if (status != NPUENC_OK)
            return failed(failure, status, "wait was told to fail");
        if (ended->status != NPUENC_OK)
            return failed(failure, ended->status, ended->detail);
        return int32_t{NPUENC_OK};
    });
}

} // namespace

namespace npuenc {

const npuenc_module& array_module() {
    static const npuenc_module module = {NPUENC_MODULE_INTERFACE,
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
                                         wait};
    return module;
}

void set_firmware(virtual_npu::Mode mode) {
    const std::lock_guard lock(state.mutex);
    state.mode = mode;
}

ModuleCounts module_counts() {
    const std::lock_guard lock(state.mutex);
    return state.counts;
}

bool nothing_is_left() {
    const ModuleCounts counts = module_counts();
    return counts.sessions + counts.overlays + counts.programs + counts.buffers +
               counts.submissions ==
           0;
}

void fail_call(ModuleCall which, uint64_t n, int32_t status) {
    const std::lock_guard lock(state.mutex);
    state.fail_in[static_cast<int>(which)] = n;
    state.fail_with[static_cast<int>(which)] = status;
}

bool stop_failing() {
    const std::lock_guard lock(state.mutex);
    bool pending = false;
    for (uint64_t& turns : state.fail_in)
        pending = std::exchange(turns, 0) != 0 || pending;
    state.lost = false;
    return !pending;
}

void misbehave(Misbehaviour how) {
    const std::lock_guard lock(state.mutex);
    state.misbehaviour = how;
}

bool is_inside_module() {
    return depth > 0;
}

} // namespace npuenc
