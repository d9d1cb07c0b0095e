// SPDX-License-Identifier: MIT
#include "raw_npu.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>

#include "kernels/aie2/container/xclbin.hpp"
#include "npu/gemm_stream.hpp"
#include "tests/virtual_npu/products/product.hpp"

namespace virtual_npu {
namespace {

void expect(bool condition, const char* what) {
    if (condition)
        return;
    std::fprintf(stderr, "the virtual NPU did not %s: %s\n", what, std::strerror(errno));
    std::abort();
}

std::vector<uint8_t> read_pdi(const char* overlay) {
    const char* directory = std::getenv("NPUENC_OVERLAYS");
    return npuenc::aie2::parse_xclbin(npuenc::read_file(std::string(directory ? directory : ".") +
                                                        "/" + overlay + ".xclbin"))
        .images.at(0)
        .pdi;
}

// By the definition: row-major A and B, sums divided by 2^7 (kernels/aie2/matmul_s8_16x16.cpp).
std::vector<uint8_t> plain_product(const uint8_t* input) {
    std::vector<uint8_t> c(256);
    for (size_t i = 0; i < 16; ++i)
        for (size_t j = 0; j < 16; ++j) {
            int sum = 0;
            for (size_t k = 0; k < 16; ++k)
                sum += static_cast<int8_t>(input[i * 16 + k]) *
                       static_cast<int8_t>(input[256 + k * 16 + j]);
            const double scaled = std::nearbyint(std::ldexp(sum, -7));
            c[i * 16 + j] =
                static_cast<uint8_t>(static_cast<int8_t>(std::clamp(scaled, -128.0, 127.0)));
        }
    return c;
}

} // namespace

RawNpu::RawNpu(unsigned device) {
    const std::string path = "/dev/accel/accel" + std::to_string(device);
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (descriptor_ < 0)
        descriptor_ = -errno;
}

RawNpu::~RawNpu() {
    if (descriptor_ >= 0)
        ::close(descriptor_);
}

int RawNpu::call_number(unsigned long number, void* request) const {
    return ::ioctl(descriptor_, number, request) == 0 ? 0 : -errno;
}

int RawNpu::create_heap(uint64_t bytes) {
    amdxdna_drm_create_bo request{};
    request.type = AMDXDNA_BO_DEV_HEAP;
    request.size = bytes;
    if (const int error = call(DRM_IOCTL_AMDXDNA_CREATE_BO, request))
        return error;
    amdxdna_drm_get_bo_info info{};
    info.handle = request.handle;
    if (const int error = call(DRM_IOCTL_AMDXDNA_GET_BO_INFO, info))
        return error;
    void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_LOCKED,
                                descriptor_, static_cast<off_t>(info.map_offset));
    if (memory == MAP_FAILED)
        return -errno;
    heap_ = static_cast<uint8_t*>(memory);
    return 0;
}

int RawNpu::create(uint32_t type, uint64_t bytes, RawBuffer& buffer) {
    amdxdna_drm_create_bo request{};
    request.type = type;
    request.size = bytes;
    if (const int error = call(DRM_IOCTL_AMDXDNA_CREATE_BO, request))
        return error;
    amdxdna_drm_get_bo_info info{};
    info.handle = request.handle;
    if (const int error = call(DRM_IOCTL_AMDXDNA_GET_BO_INFO, info))
        return error;
    buffer = {request.handle, nullptr, info.xdna_addr, (bytes + 4095) / 4096 * 4096};
    if (type == AMDXDNA_BO_DEV) {
        buffer.memory = heap_ + (info.xdna_addr - 0x4000000);
        return 0;
    }
    void* const memory = ::mmap(nullptr, buffer.bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                                descriptor_, static_cast<off_t>(info.map_offset));
    if (memory == MAP_FAILED)
        return -errno;
    buffer.memory = static_cast<uint8_t*>(memory);
    buffer.address = reinterpret_cast<uint64_t>(memory);
    return 0;
}

int RawNpu::create_user(void* memory, uint64_t bytes, RawBuffer& buffer) {
    alignas(amdxdna_drm_va_tbl)
        uint8_t user[sizeof(amdxdna_drm_va_tbl) + sizeof(amdxdna_drm_va_entry)]{};
    auto* table = reinterpret_cast<amdxdna_drm_va_tbl*>(user);
    table->dmabuf_fd = -1;
    table->num_entries = 1;
    table->va_entries[0] = {reinterpret_cast<uint64_t>(memory), bytes};
    amdxdna_drm_create_bo request{};
    request.type = AMDXDNA_BO_SHARE;
    request.vaddr = reinterpret_cast<uint64_t>(user);
    if (const int error = call(DRM_IOCTL_AMDXDNA_CREATE_BO, request))
        return error;
    buffer = {request.handle, static_cast<uint8_t*>(memory), reinterpret_cast<uint64_t>(memory),
              bytes};
    return 0;
}

int RawNpu::close_buffer(const RawBuffer& buffer) {
    drm_gem_close request{};
    request.handle = buffer.handle;
    const bool is_mapped = buffer.address == reinterpret_cast<uint64_t>(buffer.memory);
    if (is_mapped)
        ::munmap(buffer.memory, buffer.bytes);
    return call(DRM_IOCTL_GEM_CLOSE, request);
}

int RawNpu::sync(const RawBuffer& buffer, uint32_t direction) {
    return sync(buffer, direction, 0, buffer.bytes);
}

int RawNpu::sync(const RawBuffer& buffer, uint32_t direction, uint64_t offset, uint64_t bytes) {
    amdxdna_drm_sync_bo request{buffer.handle, direction, offset, bytes};
    return call(DRM_IOCTL_AMDXDNA_SYNC_BO, request);
}

int RawNpu::create_context(RawContext& context, uint32_t tiles) {
    amdxdna_qos_info qos{};
    amdxdna_drm_create_hwctx request{};
    request.qos_p = reinterpret_cast<uint64_t>(&qos);
    request.num_tiles = tiles;
    if (const int error = call(DRM_IOCTL_AMDXDNA_CREATE_HWCTX, request))
        return error;
    context = {request.handle, request.syncobj_handle};
    return 0;
}

int RawNpu::configure(const RawContext& context, const RawBuffer& pdi) {
    alignas(amdxdna_hwctx_param_config_cu)
        uint8_t bytes[sizeof(amdxdna_hwctx_param_config_cu) + sizeof(amdxdna_cu_config)]{};
    auto* config = reinterpret_cast<amdxdna_hwctx_param_config_cu*>(bytes);
    config->num_cus = 1;
    config->cu_configs[0].cu_bo = pdi.handle;
    amdxdna_drm_config_hwctx request{};
    request.handle = context.handle;
    request.param_type = DRM_AMDXDNA_HWCTX_CONFIG_CU;
    request.param_val = reinterpret_cast<uint64_t>(bytes);
    request.param_val_size = sizeof bytes;
    return call(DRM_IOCTL_AMDXDNA_CONFIG_HWCTX, request);
}

int RawNpu::destroy(const RawContext& context) {
    amdxdna_drm_destroy_hwctx request{context.handle, 0};
    return call(DRM_IOCTL_AMDXDNA_DESTROY_HWCTX, request);
}

int RawNpu::submit(const RawContext& context, const RawBuffer& command,
                   std::span<const uint32_t> pinned, uint64_t& sequence) {
    amdxdna_drm_exec_cmd request{};
    request.hwctx = context.handle;
    request.type = AMDXDNA_CMD_SUBMIT_EXEC_BUF;
    request.cmd_handles = command.handle;
    request.cmd_count = 1;
    request.args = reinterpret_cast<uint64_t>(pinned.data());
    request.arg_count = static_cast<uint32_t>(pinned.size());
    if (const int error = call(DRM_IOCTL_AMDXDNA_EXEC_CMD, request))
        return error;
    sequence = request.seq;
    return 0;
}

int RawNpu::wait(const RawContext& context, uint64_t sequence, std::chrono::milliseconds timeout) {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    drm_syncobj_timeline_wait request{};
    request.handles = reinterpret_cast<uint64_t>(&context.syncobj);
    request.points = reinterpret_cast<uint64_t>(&sequence);
    request.count_handles = 1;
    request.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT;
    request.timeout_nsec = (now.tv_sec * 1000 + timeout.count()) * 1'000'000 + now.tv_nsec;
    return call(DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, request);
}

ert_cmd_state state_of(const RawBuffer& command) {
    const auto* header = reinterpret_cast<const uint32_t*>(command.memory);
    return static_cast<ert_cmd_state>(__atomic_load_n(header, __ATOMIC_ACQUIRE) & 0xf);
}

Product::Product(RawNpu& device, bool with_context) : npu(device) {
    using npuenc::matmul_s8_16x16;
    npu.create_heap(); // the first product's
    const std::vector<uint8_t> image = read_pdi(matmul_s8_16x16.name);
    const npuenc::InstructionStream stream = npuenc::one_to_one_stream(matmul_s8_16x16, 1);
    words_ = static_cast<uint32_t>(stream.words().size());
    expect(npu.create(AMDXDNA_BO_DEV, image.size(), pdi) == 0, "take a PDI");
    expect(npu.create(AMDXDNA_BO_DEV, stream.bytes(), instructions) == 0, "take instructions");
    expect(npu.create(AMDXDNA_BO_CMD, 4096, command) == 0, "make a command");
    expect(npu.create(AMDXDNA_BO_SHARE, matmul_s8_16x16.input_bytes, input) == 0, "make an input");
    expect(npu.create(AMDXDNA_BO_SHARE, matmul_s8_16x16.output_bytes, output) == 0,
           "make an output");
    std::memcpy(pdi.memory, image.data(), image.size());
    std::memcpy(instructions.memory, stream.words().data(), stream.bytes());
    write_problem(1);
    write_command(command);
    if (!with_context)
        return;
    expect(npu.create_context(context) == 0, "make a context");
    expect(npu.configure(context, pdi) == 0, "configure it");
}

void Product::write_command(const RawBuffer& to) const {
    const auto put = [&](size_t word, uint64_t value, size_t bytes) {
        std::memcpy(to.memory + 4 * word, &value, bytes);
    };
    constexpr uint32_t payload = 9; // what to do, stream, its length, two buffers
    ert_packet header{};
    header.opcode = ERT_START_CU;
    header.state = ERT_CMD_STATE_NEW;
    header.count = 1 + payload;
    put(0, header.header, 4);
    put(1, 1, 4); // the first compute unit
    put(2, 3, 8); // a transaction
    put(4, instructions.address, 8);
    put(6, words_, 4);
    put(7, input.address, 8);
    put(9, output.address, 8);
}

void Product::write_problem(uint32_t seed) {
    std::mt19937 random(seed);
    for (size_t i = 0; i < npuenc::matmul_s8_16x16.input_bytes; ++i)
        input.memory[i] = static_cast<uint8_t>(random());
    std::memset(output.memory, 0xa5, npuenc::matmul_s8_16x16.output_bytes);
}

int Product::submit(uint64_t& sequence) {
    return submit(command, sequence);
}

int Product::submit(const RawBuffer& other, uint64_t& sequence) {
    const uint32_t pinned[] = {instructions.handle, input.handle, output.handle};
    return npu.submit(context, other, pinned, sequence);
}

ert_cmd_state Product::run() {
    uint64_t sequence;
    expect(submit(sequence) == 0, "take a command");
    expect(npu.wait(context, sequence) == 0, "finish");
    return state_of(command);
}

bool Product::is_right() const {
    const std::vector<uint8_t> expected = plain_product(input.memory);
    return std::equal(expected.begin(), expected.end(), output.memory);
}

void Product::sync_all() {
    for (const RawBuffer* buffer : {&pdi, &instructions, &input, &output})
        expect(npu.sync(*buffer, SYNC_DIRECT_TO_DEVICE) == 0, "sync");
}

} // namespace virtual_npu
