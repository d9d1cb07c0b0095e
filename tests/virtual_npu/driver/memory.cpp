// SPDX-License-Identifier: MIT
#include "memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

namespace virtual_npu {
namespace {

// Past whoever else stands before the C library: these pages are the device's, not the program's.
uint8_t* map_pages(uint64_t bytes, int flags, int file, uint64_t offset) {
    const long address = ::syscall(SYS_mmap, nullptr, bytes, PROT_READ | PROT_WRITE, flags, file,
                                   static_cast<off_t>(offset));
    if (address == -1)
        throw std::bad_alloc();
    return reinterpret_cast<uint8_t*>(address);
}

} // namespace

Pages::Pages(int file, uint64_t offset, uint64_t bytes, bool coherent)
    : file_(file), offset_(offset), bytes_(bytes) {
    host_ = map_pages(bytes, MAP_SHARED, file, offset);
    device_ =
        coherent ? host_ : map_pages(bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

Pages::Pages(uint8_t* user_memory, uint64_t bytes, bool coherent)
    : file_(-1), offset_(0), bytes_(bytes), host_(user_memory) {
    device_ =
        coherent ? host_ : map_pages(bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

Pages::~Pages() {
    if (device_ != host_)
        ::syscall(SYS_munmap, device_, bytes_);
    if (file_ < 0)
        return;
    ::syscall(SYS_munmap, host_, bytes_);
    ::fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset_),
                static_cast<off_t>(bytes_));
}

bool Pages::exist() const {
    return file_ >= 0 || ::msync(host_, bytes_, MS_ASYNC) == 0;
}

void Pages::sync(Direction direction, uint64_t offset, uint64_t bytes) {
    if (device_ == host_)
        return;
    if (direction == Direction::to_device)
        std::memcpy(device_ + offset, host_ + offset, bytes);
    else
        std::memcpy(host_ + offset, device_ + offset, bytes);
}

std::optional<uint64_t> HeapRanges::take(uint64_t bytes) {
    std::optional<uint64_t> best;
    uint64_t best_gap = ~uint64_t(0);
    uint64_t begin = 0;
    const auto consider = [&](uint64_t end) {
        const uint64_t aligned = (begin + heap_alignment - 1) / heap_alignment * heap_alignment;
        if (aligned + bytes <= end && end - begin < best_gap) {
            best = aligned;
            best_gap = end - begin;
        }
    };
    for (const auto& [offset, end] : used_) {
        consider(offset);
        begin = end;
    }
    consider(heap_bytes);
    if (best)
        used_.emplace(*best, *best + bytes);
    return best;
}

std::shared_ptr<Buffer> Memory::make_pages(BufferType type, uint64_t bytes) {
    const uint64_t offset = next_offset_;
    if (::ftruncate(file_, static_cast<off_t>(offset + bytes)) != 0)
        return nullptr;
    auto pages = std::make_shared<Pages>(file_, offset, bytes, coherent_);
    next_offset_ += bytes;
    return std::make_shared<Buffer>(Buffer{type, bytes, std::move(pages), 0, offset, 0});
}

uint32_t Memory::publish(std::shared_ptr<Buffer> buffer) {
    buffers_.emplace(++last_handle_, std::move(buffer));
    return last_handle_;
}

int Memory::create_shared(uint64_t bytes, uint32_t& handle) {
    if (bytes == 0)
        return -EINVAL;
    std::shared_ptr<Buffer> buffer = make_pages(BufferType::share, whole_pages(bytes));
    if (!buffer)
        return -ENOMEM;
    handle = publish(std::move(buffer));
    return 0;
}

// amdxdna_ubuf.c, amdxdna_alloc_ubuf_bo: whole pages, which must be there.
int Memory::create_user(uint64_t address, uint64_t bytes, uint32_t& handle) {
    if (address % page != 0 || bytes % page != 0 || bytes == 0)
        return -EINVAL;
    auto pages = std::make_shared<Pages>(reinterpret_cast<uint8_t*>(address), bytes, coherent_);
    if (!pages->exist())
        return -EFAULT;
    handle = publish(std::make_shared<Buffer>(
        Buffer{BufferType::share, bytes, std::move(pages), 0, 0, address}));
    return 0;
}

// amdxdna_gem.c, amdxdna_drm_create_dev_heap_bo.
int Memory::create_heap(uint64_t bytes, uint32_t& handle) {
    if (bytes == 0 || bytes % heap_bytes != 0)
        return -EINVAL;
    if (heap_ || bytes > heap_bytes)
        return -ENOSPC;
    heap_ = make_pages(BufferType::heap, bytes);
    if (!heap_)
        return -ENOMEM;
    heap_->address = heap_address;
    handle = publish(heap_);
    return 0;
}

std::shared_ptr<Buffer> Memory::take_from_heap(uint64_t bytes) {
    const std::optional<uint64_t> offset = heap_ranges_->take(bytes);
    if (!offset)
        return nullptr;
    const auto release = [ranges = heap_ranges_](Buffer* buffer) {
        ranges->give_back(buffer->first);
        delete buffer;
    };
    return {new Buffer{BufferType::device, bytes, heap_->pages, *offset, 0, heap_address + *offset},
            release};
}

// amdxdna_gem.c, amdxdna_drm_create_dev_bo and amdxdna_gem_heap_alloc.
int Memory::create_device(uint64_t bytes, uint32_t& handle) {
    if (bytes == 0 || whole_pages(bytes) > heap_bytes)
        return -EINVAL;
    if (!heap_)
        return -EAGAIN;
    // The process must have mapped the heap: amdxdna_gem.c, amdxdna_init_dev_bo.
    if (!mapped_at(*heap_))
        return -EAGAIN;
    std::shared_ptr<Buffer> buffer = take_from_heap(whole_pages(bytes));
    if (!buffer)
        return -ENOSPC;
    buffer->asked = bytes;
    handle = publish(std::move(buffer));
    return 0;
}

int Memory::close(uint32_t handle) {
    return buffers_.erase(handle) ? 0 : -EINVAL;
}

void Memory::close_all() {
    buffers_.clear();
    mappings_.clear();
    heap_.reset();
}

std::shared_ptr<Buffer> Memory::find(uint32_t handle) const {
    const auto found = buffers_.find(handle);
    return found == buffers_.end() ? nullptr : found->second;
}

void Memory::map(uint64_t file_offset, uint64_t address, uint64_t bytes) {
    unmap(address, bytes);
    for (const auto& [handle, buffer] : buffers_)
        if (buffer->file_offset != 0 && file_offset >= buffer->file_offset &&
            file_offset - buffer->file_offset < buffer->bytes) {
            mappings_.emplace(address, Mapping{bytes, file_offset - buffer->file_offset, buffer});
            return;
        }
}

void Memory::unmap(uint64_t address, uint64_t bytes) {
    const uint64_t end = address + bytes;
    auto at = mappings_.upper_bound(address);
    if (at != mappings_.begin())
        --at;
    while (at != mappings_.end() && at->first < end) {
        const uint64_t begin = at->first;
        const Mapping mapping = at->second;
        const uint64_t mapping_end = begin + mapping.bytes;
        if (mapping_end <= address) {
            ++at;
            continue;
        }
        at = mappings_.erase(at);
        if (begin < address)
            mappings_.emplace(begin, Mapping{address - begin, mapping.first, mapping.buffer});
        if (mapping_end > end)
            mappings_.emplace(
                end, Mapping{mapping_end - end, mapping.first + (end - begin), mapping.buffer});
    }
}

std::optional<uint64_t> Memory::mapped_at(const Buffer& buffer) const {
    for (const auto& [address, mapping] : mappings_)
        if (mapping.buffer.get() == &buffer && mapping.first == 0)
            return address;
    return {};
}

std::span<uint8_t> Memory::resolve(uint64_t address,
                                   std::span<const std::shared_ptr<Buffer>> pinned) const {
    for (const std::shared_ptr<Buffer>& buffer : pinned) {
        if (buffer->address != 0) {
            if (address >= buffer->address && address - buffer->address < buffer->bytes &&
                buffer->pages->exist())
                return buffer->device().subspan(address - buffer->address);
            continue;
        }
        auto at = mappings_.upper_bound(address);
        if (at == mappings_.begin())
            continue;
        --at;
        const Mapping& mapping = at->second;
        if (mapping.buffer == buffer && address - at->first < mapping.bytes)
            return buffer->device().subspan(mapping.first + (address - at->first));
    }
    return {};
}

bool Memory::owns_heap_mapping(uint64_t file_offset) const {
    return heap_ && file_offset - heap_->file_offset < heap_->bytes;
}

uint64_t Memory::buffer_bytes() const {
    uint64_t bytes = 0;
    for (const auto& [handle, buffer] : buffers_)
        if (buffer->type != BufferType::device) // the heap's are counted with it
            bytes += buffer->bytes;
    return bytes;
}

} // namespace virtual_npu
