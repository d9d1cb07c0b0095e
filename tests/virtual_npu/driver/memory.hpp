// SPDX-License-Identifier: MIT
// The buffer objects of one open file, and what host and device see of them.
//
// The file that the runtime holds is a sparse memfd. A buffer object is a range of its pages, and
// the offset that GET_BO_INFO tells is where it begins, so that mmap works as it is. Offsets are
// never given twice; pages go back when a buffer is freed.
//
// The device finds shared memory at the address that the process has it at (PASID: amdxdna_gem.c,
// amdxdna_gem_dev_addr and amdxdna_gem_obj_mmap), and the heap at fixed addresses of its own.
// Where memory is not coherent, the device has a copy of each buffer, and SYNC_BO copies.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace virtual_npu {

constexpr uint64_t page = 4096;

inline uint64_t whole_pages(uint64_t bytes) {
    return (bytes + page - 1) / page * page;
}

// npu1_regs.c, dev_npu1_info; aie2_pci.h, AIE2_DEVM_BASE and AIE2_DEVM_SIZE. The heap of an NPU of
// this generation does not grow: its first 64 MiB are the most it may have.
constexpr uint64_t heap_address = 0x4000000;
constexpr uint64_t heap_bytes = 64 << 20;
constexpr uint64_t heap_alignment = 32 << 10;

enum class Direction { to_device, from_device };

// Pages of the file, or of the process for a user pointer, as host and device see them.
class Pages {
  public:
    // Throws std::bad_alloc.
    Pages(int file, uint64_t offset, uint64_t bytes, bool coherent);
    Pages(uint8_t* user_memory, uint64_t bytes, bool coherent);
    ~Pages();
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;

    std::span<uint8_t> host() const { return {host_, bytes_}; }
    std::span<uint8_t> device() const { return {device_, bytes_}; }
    void sync(Direction direction, uint64_t offset, uint64_t bytes);
    // User memory may have been unmapped. The kernel would have it pinned.
    bool exist() const;

  private:
    const int file_; // -1: user memory
    const uint64_t offset_, bytes_;
    uint8_t* host_ = nullptr;
    uint8_t* device_ = nullptr; // host_ when coherent
};

// Of AMDXDNA_BO_CMD the driver makes a shared one (amdxdna_gem.c, amdxdna_drm_create_share_bo).
enum class BufferType { share, heap, device };

struct Buffer {
    BufferType type;
    uint64_t bytes;
    std::shared_ptr<Pages> pages;
    uint64_t first;       // where it begins in its pages
    uint64_t file_offset; // of pages that can be mapped
    uint64_t address;     // on the device: of the heap, what lies in it, and user memory
    uint64_t asked = 0;   // bytes, before they were made whole pages

    std::span<uint8_t> host() const { return pages->host().subspan(first, bytes); }
    std::span<uint8_t> device() const { return pages->device().subspan(first, bytes); }
};

// The addresses of the heap that are in use.
class HeapRanges {
  public:
    // The smallest gap that is large enough (amdxdna_gem.c, amdxdna_gem_heap_alloc:
    // DRM_MM_INSERT_BEST, aligned to 32 KiB).
    std::optional<uint64_t> take(uint64_t bytes);
    void give_back(uint64_t offset) { used_.erase(offset); }

  private:
    std::map<uint64_t, uint64_t> used_; // from offset to end
};

class Memory {
  public:
    Memory(int file, bool coherent) : file_(file), coherent_(coherent) {}

    // These return 0 or a negative errno, as the driver's functions do.
    int create_shared(uint64_t bytes, uint32_t& handle);
    int create_user(uint64_t address, uint64_t bytes, uint32_t& handle);
    int create_heap(uint64_t bytes, uint32_t& handle);
    int create_device(uint64_t bytes, uint32_t& handle);
    int close(uint32_t handle);
    void close_all();

    std::shared_ptr<Buffer> find(uint32_t handle) const; // null: no such buffer

    // What a context takes of the heap for itself; null where there is no more.
    std::shared_ptr<Buffer> take_from_heap(uint64_t bytes);
    bool has_heap() const { return heap_ != nullptr; }

    // The process maps and unmaps pages. A buffer lives on while it is mapped.
    void map(uint64_t file_offset, uint64_t address, uint64_t bytes);
    void unmap(uint64_t address, uint64_t bytes);

    // Where the process has it, if it has (amdxdna_gem.c, amdxdna_gem_uva).
    std::optional<uint64_t> mapped_at(const Buffer& buffer) const;

    // The device's view from an address to the end of its buffer, of these buffers alone: others
    // are not pinned. Empty: the address is in none of them.
    std::span<uint8_t> resolve(uint64_t address,
                               std::span<const std::shared_ptr<Buffer>> pinned) const;

    bool owns_heap_mapping(uint64_t file_offset) const;

    size_t buffers() const { return buffers_.size(); }
    uint64_t buffer_bytes() const;
    size_t mappings() const { return mappings_.size(); }

  private:
    struct Mapping {
        uint64_t bytes;
        uint64_t first; // of the buffer
        std::shared_ptr<Buffer> buffer;
    };

    std::shared_ptr<Buffer> make_pages(BufferType type, uint64_t bytes);
    uint32_t publish(std::shared_ptr<Buffer> buffer);

    const int file_;
    const bool coherent_;
    uint64_t next_offset_ = uint64_t(1) << 32; // as the kernel's offsets: none is 0
    uint32_t last_handle_ = 0;
    std::map<uint32_t, std::shared_ptr<Buffer>> buffers_;
    std::map<uint64_t, Mapping> mappings_; // by address
    std::shared_ptr<Buffer> heap_;
    std::shared_ptr<HeapRanges> heap_ranges_ = std::make_shared<HeapRanges>();
};

} // namespace virtual_npu
