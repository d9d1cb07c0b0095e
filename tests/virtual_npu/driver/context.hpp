// SPDX-License-Identifier: MIT
// Hardware contexts, and the jobs that wait in them.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "memory.hpp"
#include "tests/virtual_npu/firmware/firmware.hpp"

namespace virtual_npu {

// aie2_pci.h, HWCTX_MAX_CMDS: more wait before they are queued.
constexpr size_t max_jobs = 4;

// aie2_ctx.c, aie2_hwctx_init: the buffers that a context takes from the heap for chains.
constexpr size_t context_heap_buffers = 4;
constexpr uint64_t context_heap_bytes = 4096;

// The points of a syncobj: one for each job of a context, in the order of submission.
struct Timeline {
    uint64_t submitted = 0; // points below have a job
    uint64_t signalled = 0; // points below have happened

    // The kernel takes point 0 for the newest one (dma-fence-chain.c, dma_fence_chain_find_seqno).
    bool is_submitted(uint64_t point) const {
        return point == 0 ? submitted > 0 : point < submitted;
    }
    bool is_signalled(uint64_t point) const {
        return is_submitted(point) && (point == 0 ? signalled == submitted : point < signalled);
    }
};

struct Job {
    std::shared_ptr<Buffer> packet;
    std::vector<std::shared_ptr<Buffer>> pinned;
};

struct Context {
    explicit Context(uint32_t number) : id(number) {}

    const uint32_t id;
    std::vector<std::shared_ptr<Buffer>> heap_buffers;
    std::vector<std::shared_ptr<Buffer>> units; // PDIs; empty until they are configured
    std::shared_ptr<Timeline> timeline = std::make_shared<Timeline>();
    std::deque<Job> jobs;           // the first may be at work
    size_t blocked = 0;             // threads in EXEC_CMD, before a full queue
    std::atomic<bool> stop = false; // whatever is at work is to end
    bool destroyed = false;

    // Where every context has an array of its own.
    std::unique_ptr<Firmware> firmware;
    size_t loaded_unit = 0;
};

} // namespace virtual_npu
