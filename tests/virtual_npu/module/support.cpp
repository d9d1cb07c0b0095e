// SPDX-License-Identifier: MIT
#include "support.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "cpu/cpu_device.hpp"
#include "kernels/aie2/container/xclbin.hpp"
#include "npu/gemm_packing.hpp"
#include "npu/gemm_stream.hpp"
#include "tests/unit/random.hpp"

namespace npuenc {
namespace {

const npuenc_module& load() {
    const char* path = std::getenv("NPUENC_MODULE");
    void* library = dlopen(path ? path : "npuenc-xrt.so", RTLD_NOW | RTLD_LOCAL);
    const auto get = library
                         ? reinterpret_cast<npuenc_module_get_fn>(dlsym(library, NPUENC_MODULE_GET))
                         : nullptr;
    const npuenc_module* table = get ? get(NPUENC_MODULE_INTERFACE) : nullptr;
    if (!table) {
        std::fprintf(stderr, "%s\n", library ? "not a module" : dlerror());
        std::exit(1);
    }
    return *table;
}

size_t whole_pages(size_t bytes) {
    return (bytes + npuenc_module_alignment - 1) / npuenc_module_alignment *
           npuenc_module_alignment;
}

} // namespace

void fail_test(const std::string& why) {
    print_error("%s\n", why.c_str());
    _fail(__FILE__, __LINE__);
    std::abort();
}

const npuenc_module& module() {
    static const npuenc_module& table = load();
    return table;
}

void synchronise_through_driver() {
    module();
    void* runtime = dlopen("libxrt_coreutil.so.2", RTLD_NOW | RTLD_NOLOAD);
    const auto set = reinterpret_cast<int (*)(const char*, const char*)>(
        runtime ? dlsym(runtime, "xrtIniStringSet") : nullptr);
    if (!set || set("Debug.force_driver_sync", "true") != 0)
        throw Unexpected("XRT cannot be told to synchronise through the driver");
}

void require(int32_t status, const npuenc_module_failure& failure, const char* call) {
    if (status != 0)
        throw Unexpected(std::string(call) + ": " + std::to_string(status) + ", " + failure.detail);
}

std::string address() {
    npuenc_module_device device;
    npuenc_module_failure failure;
    uint32_t count = 0;
    require(module().list(&device, 1, &count, &failure), failure, "list");
    if (count == 0)
        throw Unexpected("list: no NPU");
    return device.bus_address;
}

Buffer::Buffer(npuenc_module_session* session, size_t size) : bytes(size) {
    npuenc_module_buffer* made;
    npuenc_module_failure failure;
    void* mapped;
    require(module().buffer_create(session, size, &made, &mapped, &failure), failure,
            "buffer_create");
    handle.reset(made);
    memory = static_cast<char*>(mapped);
}

void Buffer::sync(npuenc_module_direction direction) const {
    npuenc_module_failure failure;
    require(module().buffer_sync(handle.get(), direction, 0, bytes, nullptr, &failure), failure,
            "buffer_sync");
}

Session open_session(const std::string& at) {
    npuenc_module_session* session;
    npuenc_module_failure failure;
    require(module().session_open(at.c_str(), &session, &failure), failure, "session_open");
    return Session(session);
}

std::vector<uint8_t> read_overlay(const char* name, unsigned variant) {
    const char* directory = std::getenv("NPUENC_OVERLAYS");
    const std::string path = std::string(directory ? directory : ".") + '/' + name + ".xclbin";
    std::ifstream file(path, std::ios::binary);
    std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
    if (bytes.empty())
        throw Unexpected(path + " cannot be read");
    if (variant == 0)
        return bytes;
    aie2::Xclbin overlay = aie2::parse_xclbin(bytes);
    overlay.kernels[0].instance += std::to_string(variant);
    return aie2::write_xclbin(overlay);
}

Overlay make_overlay(npuenc_module_session* session, const std::vector<uint8_t>& xclbin) {
    npuenc_module_overlay* overlay;
    npuenc_module_failure failure;
    require(module().overlay_create(session, xclbin.data(), xclbin.size(), &overlay, &failure),
            failure, "overlay_create");
    return Overlay(overlay);
}

npuenc_module_submission* submit(npuenc_module_session* session,
                                 const std::vector<npuenc_module_command>& commands) {
    npuenc_module_submission* submission;
    npuenc_module_failure failure;
    require(module().submit(session, commands.data(), commands.size(), &submission, &failure),
            failure, "submit");
    return submission;
}

void run(npuenc_module_session* session, const std::vector<npuenc_module_command>& commands) {
    npuenc_module_failure failure;
    require(module().wait(submit(session, commands), &failure), failure, "wait");
}

Product::Product(npuenc_module_session* session, npuenc_module_overlay* overlay, size_t m, size_t n,
                 size_t k, uint32_t seed)
    : session_(session), tiling_(gemm_s8_s32, m, n, k), b_offset_(whole_pages(tiling_.a_bytes())) {
    Random random(seed);
    a_ = random.bytes(m * k);
    b_ = random.bytes(k * n);
    const InstructionStream stream = gemm_stream(tiling_);
    npuenc_module_program* program;
    npuenc_module_failure failure;
    require(module().program_create(overlay, stream.words().data(), stream.words().size(), &program,
                                    &failure),
            failure, "program_create");
    program_.reset(program);
    inputs_ = Buffer(session, b_offset_ + tiling_.b_bytes());
    outputs_ = Buffer(session, tiling_.c_bytes());
    Serial thread;
    pack_a(tiling_, a_.data(), k, inputs_.memory, thread);
    pack_b(tiling_, b_.data(), n, BLayout::k_by_n, 0, inputs_.memory + b_offset_, thread);
    clear();
}

npuenc_module_command Product::command() const {
    return {program_.get(),
            3,
            {{inputs_.handle.get(), 0, tiling_.a_bytes()},
             {inputs_.handle.get(), b_offset_, tiling_.b_bytes()},
             {outputs_.handle.get(), 0, tiling_.c_bytes()}}};
}

void Product::run() const {
    inputs_.sync(npuenc_module_to_device);
    npuenc::run(session_, {command()});
    outputs_.sync(npuenc_module_from_device);
}

void Product::clear() const {
    std::memset(outputs_.memory, 0xa5, outputs_.bytes);
}

bool Product::is_right() const {
    const size_t m = tiling_.m(), n = tiling_.n(), k = tiling_.k();
    std::vector<int32_t> c(m * n);
    Serial thread;
    unpack_c(select_kernels(nullptr).unpack, tiling_, outputs_.memory, c.data(), n, thread);
    for (size_t i = 0; i < m; ++i)
        for (size_t j = 0; j < n; ++j) {
            int32_t sum = 0;
            for (size_t l = 0; l < k; ++l)
                sum += a_[i * k + l] * b_[l * n + j];
            if (c[i * n + j] != sum)
                return false;
        }
    return true;
}

Output::Output()
    : file_(fileno(std::tmpfile())), output_(dup(STDOUT_FILENO)), error_(dup(STDERR_FILENO)) {
    std::fflush(nullptr);
    dup2(file_, STDOUT_FILENO);
    dup2(file_, STDERR_FILENO);
}

Output::~Output() {
    std::fflush(nullptr);
    dup2(output_, STDOUT_FILENO);
    dup2(error_, STDERR_FILENO);
    for (const int descriptor : {file_, output_, error_})
        close(descriptor);
}

std::string Output::text() const {
    std::fflush(nullptr);
    std::string text(static_cast<size_t>(lseek(file_, 0, SEEK_END)), ' ');
    const ssize_t n = pread(file_, text.data(), text.size(), 0);
    text.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return text;
}

void assert_nothing_left() {
    virtual_npu_alive alive;
    virtual_npu_read_alive(&alive);
    assert_int_equal(alive.contexts, 0);
    assert_int_equal(alive.buffers, 0);
    assert_int_equal(alive.syncobjs, 0);
    assert_int_equal(alive.jobs, 0);
    assert_int_equal(alive.files, 0);
}

} // namespace npuenc
