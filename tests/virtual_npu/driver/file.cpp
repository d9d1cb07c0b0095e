// SPDX-License-Identifier: MIT
#include "file.hpp"

#include <drm/amdxdna_accel.h>
#include <drm/drm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <new>

#include "device.hpp"
#include "driver.hpp"
#include "model.hpp"

namespace virtual_npu {
namespace {

constexpr uint32_t max_units = 32;          // aie2_msg_priv.h, MAX_NUM_CUS
constexpr uint32_t max_pinned = 4095;       // amdxdna_ctx.c, MAX_ARG_COUNT
constexpr uint32_t max_config_bytes = 4096; // amdxdna_ctx.c, amdxdna_drm_config_hwctx_ioctl

template <typename T>
T* pointer(uint64_t address) {
    return reinterpret_cast<T*>(static_cast<uintptr_t>(address));
}

template <typename T>
T& as(void* argument) {
    return *static_cast<T*>(argument);
}

// Absolute, of CLOCK_MONOTONIC, which steady_clock is.
std::chrono::steady_clock::time_point deadline_at(int64_t nanoseconds) {
    // Far enough for everybody, and short of what the C library's sums overflow at.
    constexpr int64_t far = int64_t(1) << 61;
    return std::chrono::steady_clock::time_point(
        std::chrono::nanoseconds(std::clamp<int64_t>(nanoseconds, 0, far)));
}

} // namespace

File::File(Driver& driver, Device& device, int pages)
    : driver_(driver), device_(device), pages_(pages),
      removals_(driver.shared.removals(device.index())), memory_(pages, driver.options.coherent) {}

File::~File() {
    ::close(pages_);
}

bool File::is_gone() const {
    return driver_.shared.removals(device_.index()) != removals_;
}

int File::ioctl(unsigned number, void* argument) {
    std::unique_lock lock(driver_.mutex);
    if (driver_.fault_always(FaultPoint::removed) && !driver_.shared.is_removed(device_.index()))
        driver_.shared.remove(device_.index());
    // Whatever is asked for, even to close a buffer (drm_ioctl.c, drm_ioctl_kernel).
    if (is_gone()) {
        remove_contexts(lock);
        return -ENODEV;
    }
    try {
        switch (number) {
        case _IOC_NR(DRM_IOCTL_VERSION):
            return virtual_npu::describe_driver(as<drm_version>(argument));
        case _IOC_NR(DRM_IOCTL_GEM_CLOSE): {
            const int result = memory_.close(as<drm_gem_close>(argument).handle);
            driver_.counters.buffers_destroyed += result == 0;
            return result;
        }
        case _IOC_NR(DRM_IOCTL_SYNCOBJ_CREATE):
            as<drm_syncobj_create>(argument).handle = ++last_syncobj_;
            syncobjs_.emplace(last_syncobj_, std::make_shared<Timeline>());
            return 0;
        case _IOC_NR(DRM_IOCTL_SYNCOBJ_DESTROY):
            return syncobjs_.erase(as<drm_syncobj_destroy>(argument).handle) ? 0 : -EINVAL;
        case _IOC_NR(DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT):
            return wait_for_points(lock, as<drm_syncobj_timeline_wait>(argument));
        case _IOC_NR(DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL):
            return signal_points(as<drm_syncobj_timeline_array>(argument));
        case DRM_COMMAND_BASE + DRM_AMDXDNA_CREATE_HWCTX:
            return create_context(as<amdxdna_drm_create_hwctx>(argument));
        case DRM_COMMAND_BASE + DRM_AMDXDNA_DESTROY_HWCTX:
            return destroy_context(lock, as<amdxdna_drm_destroy_hwctx>(argument));
        case DRM_COMMAND_BASE + DRM_AMDXDNA_CONFIG_HWCTX:
            return configure_context(as<amdxdna_drm_config_hwctx>(argument));
        case DRM_COMMAND_BASE + DRM_AMDXDNA_CREATE_BO:
            return create_buffer(as<amdxdna_drm_create_bo>(argument));
        case DRM_COMMAND_BASE + DRM_AMDXDNA_GET_BO_INFO:
            return describe_buffer(as<amdxdna_drm_get_bo_info>(argument));
        case DRM_COMMAND_BASE + DRM_AMDXDNA_SYNC_BO:
            return sync_buffer(as<amdxdna_drm_sync_bo>(argument));
        case DRM_COMMAND_BASE + DRM_AMDXDNA_EXEC_CMD: {
            const int result = submit(lock, as<amdxdna_drm_exec_cmd>(argument));
            lock.unlock();
            if (result == 0)
                driver_.called.notify_all();
            return result;
        }
        case DRM_COMMAND_BASE + DRM_AMDXDNA_WAIT_CMD:
            return wait_for_command(lock, as<amdxdna_drm_wait_cmd>(argument));
        case DRM_COMMAND_BASE + DRM_AMDXDNA_GET_INFO:
            return describe_device(as<amdxdna_drm_get_info>(argument));
        case DRM_COMMAND_BASE + DRM_AMDXDNA_GET_ARRAY:
            return describe_array(as<amdxdna_drm_get_array>(argument));
        }
    } catch (const std::bad_alloc&) {
        return -ENOMEM;
    }
    driver_.log("ioctl " + std::to_string(number) + " is not there");
    return -EOPNOTSUPP;
}

void File::stop() {
    for (const auto& [id, context] : contexts_)
        context->stop = true;
}

void File::release(std::unique_lock<std::mutex>& lock) {
    remove_contexts(lock);
    driver_.counters.buffers_destroyed += memory_.buffers();
    memory_.close_all();
    syncobjs_.clear();
}

// amdxdna_ctx.c, amdxdna_hwctx_remove_all.
void File::remove_contexts(Lock& lock) {
    while (!contexts_.empty()) {
        const std::shared_ptr<Context> context = contexts_.begin()->second;
        contexts_.erase(contexts_.begin());
        if (is_gone())
            context->stop = true;
        device_.remove(lock, context);
        driver_.shared.release_context(device_.index(), context->id);
        ++driver_.counters.contexts_destroyed;
    }
}

std::shared_ptr<Context> File::find_context(uint32_t id) const {
    const auto found = contexts_.find(id);
    return found == contexts_.end() ? nullptr : found->second;
}

// amdxdna_ctx.c, amdxdna_drm_create_hwctx_ioctl; aie2_ctx.c, aie2_hwctx_init.
int File::create_context(amdxdna_drm_create_hwctx& request) {
    if (request.ext || request.ext_flags)
        return -EINVAL;
    if (driver_.fault_occurs(FaultPoint::context))
        return -ENOSPC;
    if (!memory_.has_heap())
        return -ENOENT;
    // aie2_ctx.c, aie2_hwctx_col_list: four columns only fit from column 1 on, so that all contexts
    // of that width share them; five are put at column 0.
    const uint32_t columns = request.num_tiles / core_rows;
    if (columns == 0 || columns > array_columns)
        return -EINVAL;

    std::vector<std::shared_ptr<Buffer>> heap_buffers;
    for (size_t i = 0; i < context_heap_buffers; ++i) {
        heap_buffers.push_back(memory_.take_from_heap(context_heap_bytes));
        if (!heap_buffers.back())
            return -ENOSPC;
    }
    // The firmware has no room for more: its refusal is EINVAL (aie.c, aie_send_mgmt_msg_wait).
    const std::optional<uint32_t> id = driver_.shared.take_context(device_.index());
    if (!id) {
        driver_.log("no room for another context");
        return -EINVAL;
    }
    auto context = std::make_shared<Context>(*id);
    context->heap_buffers = std::move(heap_buffers);
    contexts_.emplace(*id, context);
    device_.add(context, *this);
    // aie2_ctx.c, aie2_ctx_syncobj_create.
    syncobjs_.emplace(++last_syncobj_, context->timeline);
    request.handle = *id;
    request.syncobj_handle = last_syncobj_;
    request.umq_doorbell = AMDXDNA_INVALID_DOORBELL_OFFSET;
    ++driver_.counters.contexts_created;
    return 0;
}

int File::destroy_context(Lock& lock, const amdxdna_drm_destroy_hwctx& request) {
    const std::shared_ptr<Context> context = find_context(request.handle);
    if (!context || request.pad)
        return -EINVAL;
    contexts_.erase(request.handle);
    device_.remove(lock, context);
    driver_.shared.release_context(device_.index(), context->id);
    ++driver_.counters.contexts_destroyed;
    return 0;
}

// amdxdna_ctx.c, amdxdna_drm_config_hwctx_ioctl; aie2_ctx.c, aie2_hwctx_cu_config.
int File::configure_context(const amdxdna_drm_config_hwctx& request) {
    const std::shared_ptr<Context> context = find_context(request.handle);
    if (!context || request.pad || request.param_type != DRM_AMDXDNA_HWCTX_CONFIG_CU)
        return -EINVAL;
    if (request.param_val_size > max_config_bytes)
        return -E2BIG;
    if (driver_.fault_occurs(FaultPoint::config))
        return -EINVAL;
    const auto* config = pointer<const amdxdna_hwctx_param_config_cu>(request.param_val);
    // Once for each context.
    if (!context->units.empty() || config->num_cus == 0 || config->num_cus > max_units ||
        sizeof *config + config->num_cus * sizeof(amdxdna_cu_config) > request.param_val_size)
        return -EINVAL;
    std::vector<std::shared_ptr<Buffer>> units;
    for (uint16_t i = 0; i < config->num_cus; ++i) {
        units.push_back(memory_.find(config->cu_configs[i].cu_bo));
        if (!units.back() || units.back()->type != BufferType::device)
            return -EINVAL;
    }
    context->units = std::move(units);
    return 0;
}

// amdxdna_gem.c, amdxdna_drm_create_bo_ioctl.
int File::create_buffer(amdxdna_drm_create_bo& request) {
    if (request.flags)
        return -EINVAL;
    if (driver_.fault_occurs(request.type == AMDXDNA_BO_DEV_HEAP ? FaultPoint::heap
                                                                 : FaultPoint::memory))
        return -ENOMEM;
    int result = -EINVAL;
    switch (request.type) {
    case AMDXDNA_BO_SHARE:
    case AMDXDNA_BO_CMD:
        if (request.vaddr) {
            const auto* table = pointer<const amdxdna_drm_va_tbl>(request.vaddr);
            if (table->num_entries != 1) // what the runtime never asks for
                return -EOPNOTSUPP;
            result = memory_.create_user(table->va_entries[0].vaddr, table->va_entries[0].len,
                                         request.handle);
        } else {
            result = memory_.create_shared(request.size, request.handle);
        }
        break;
    case AMDXDNA_BO_DEV_HEAP:
        result = memory_.create_heap(request.size, request.handle);
        break;
    case AMDXDNA_BO_DEV:
        result = memory_.create_device(request.size, request.handle);
        break;
    }
    driver_.counters.buffers_created += result == 0;
    return result;
}

// amdxdna_gem.c, amdxdna_drm_get_bo_info_ioctl.
int File::describe_buffer(amdxdna_drm_get_bo_info& request) {
    if (request.ext || request.ext_flags || request.pad)
        return -EINVAL;
    const std::shared_ptr<Buffer> buffer = memory_.find(request.handle);
    if (!buffer)
        return -ENOENT;
    const uint64_t address = memory_.mapped_at(*buffer).value_or(AMDXDNA_INVALID_ADDR);
    const bool is_user = buffer->type == BufferType::share && buffer->address != 0;
    request.vaddr = is_user ? buffer->address : address;
    request.xdna_addr = buffer->address ? buffer->address : address;
    request.map_offset = buffer->file_offset ? buffer->file_offset : AMDXDNA_INVALID_ADDR;
    return 0;
}

// amdxdna_gem.c, amdxdna_drm_sync_bo_ioctl and amdxdna_flush_bo.
int File::sync_buffer(const amdxdna_drm_sync_bo& request) {
    const std::shared_ptr<Buffer> buffer = memory_.find(request.handle);
    if (!buffer)
        return -ENOENT;
    if (request.offset >= buffer->bytes || request.direction > SYNC_DIRECT_FROM_DEVICE)
        return -EINVAL;
    if (driver_.fault_occurs(FaultPoint::sync))
        return -EIO;
    const uint64_t bytes = std::min(request.size, buffer->bytes - request.offset);
    const bool to_device = request.direction == SYNC_DIRECT_TO_DEVICE;
    buffer->pages->sync(to_device ? Direction::to_device : Direction::from_device,
                        buffer->first + request.offset, bytes);
    virtual_npu_counters& counters = driver_.counters;
    ++(to_device ? counters.syncs_to_device : counters.syncs_from_device);
    (to_device ? counters.bytes_to_device : counters.bytes_from_device) += bytes;
    return 0;
}

// amdxdna_ctx.c, amdxdna_drm_submit_execbuf and amdxdna_cmd_submit; aie2_ctx.c, aie2_cmd_submit.
int File::submit(Lock& lock, amdxdna_drm_exec_cmd& request) {
    if (request.ext || request.ext_flags || request.type != AMDXDNA_CMD_SUBMIT_EXEC_BUF ||
        request.cmd_count != 1 || request.arg_count > max_pinned)
        return -EINVAL;
    ++driver_.counters.submissions;
    if (driver_.fault_occurs(FaultPoint::submit))
        return -EIO;
    if (driver_.fault_occurs(FaultPoint::removed)) {
        driver_.shared.remove(device_.index());
        remove_contexts(lock);
        return -ENODEV;
    }
    Job job;
    job.packet = memory_.find(static_cast<uint32_t>(request.cmd_handles));
    if (!job.packet || job.packet->type != BufferType::share)
        return -EINVAL;
    const auto* pinned = pointer<const uint32_t>(request.args);
    for (uint32_t i = 0; i < request.arg_count; ++i) {
        job.pinned.push_back(memory_.find(pinned[i]));
        if (!job.pinned.back())
            return -ENOENT;
    }
    const std::shared_ptr<Context> context = find_context(request.hwctx);
    if (!context)
        return -EINVAL;

    ++context->blocked;
    driver_.changed.wait(lock, [&] { return context->jobs.size() < max_jobs || context->stop; });
    --context->blocked;
    if (context->destroyed) // Device::remove waits for this
        driver_.changed.notify_all();
    if (context->stop)
        return is_gone() ? -ENODEV : -EINVAL;
    context->jobs.push_back(std::move(job));
    request.seq = context->timeline->submitted++;
    device_.start();
    return 0;
}

// aie2_ctx.c, aie2_cmd_wait of drivers that answer it: 0 is without a deadline.
int File::wait_for_command(Lock& lock, const amdxdna_drm_wait_cmd& request) {
    ++driver_.counters.waits;
    const std::shared_ptr<Context> context = find_context(request.hwctx);
    if (!context || request.seq >= context->timeline->submitted)
        return -EINVAL;
    const std::shared_ptr<Timeline> timeline = context->timeline;
    const auto done = [&] { return request.seq < timeline->signalled; };
    if (request.timeout == 0)
        driver_.changed.wait(lock, done);
    else if (!driver_.changed.wait_for(lock, std::chrono::milliseconds(request.timeout), done))
        return -ETIME;
    return 0;
}

// drm_syncobj.c, drm_syncobj_timeline_wait_ioctl.
int File::wait_for_points(Lock& lock, drm_syncobj_timeline_wait& request) {
    constexpr uint32_t known =
        DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL | DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT;
    if (request.flags & ~known || request.count_handles == 0)
        return -EINVAL;
    ++driver_.counters.waits;
    const auto* handles = pointer<const uint32_t>(request.handles);
    const auto* points = pointer<const uint64_t>(request.points);
    std::vector<std::shared_ptr<Timeline>> timelines;
    for (uint32_t i = 0; i < request.count_handles; ++i) {
        const auto found = syncobjs_.find(handles[i]);
        if (found == syncobjs_.end())
            return -ENOENT;
        timelines.push_back(found->second);
        if (!(request.flags & DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT) &&
            !timelines.back()->is_submitted(points[i]))
            return -EINVAL;
    }
    const bool all = request.flags & DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL;
    const auto done = [&] {
        bool any = false, every = true;
        for (uint32_t i = 0; i < request.count_handles; ++i) {
            const bool signalled = timelines[i]->is_signalled(points[i]);
            if (signalled && !any)
                request.first_signaled = i;
            any |= signalled;
            every &= signalled;
        }
        return all ? every : any;
    };
    return driver_.changed.wait_until(lock, deadline_at(request.timeout_nsec), done) ? 0 : -ETIME;
}

int File::signal_points(const drm_syncobj_timeline_array& request) {
    const auto* handles = pointer<const uint32_t>(request.handles);
    const auto* points = pointer<const uint64_t>(request.points);
    for (uint32_t i = 0; i < request.count_handles; ++i) {
        const auto found = syncobjs_.find(handles[i]);
        if (found == syncobjs_.end())
            return -ENOENT;
        Timeline& timeline = *found->second;
        timeline.submitted = std::max(timeline.submitted, points[i] + 1);
        timeline.signalled = std::max(timeline.signalled, points[i] + 1);
    }
    driver_.changed.notify_all();
    return 0;
}

int File::describe_device(amdxdna_drm_get_info& request) {
    return virtual_npu::describe_device(request, driver_.fault_always(FaultPoint::firmware_old),
                                        driver_.shared.contexts());
}

// No errors are kept, and other processes' contexts are nobody's business here.
int File::describe_array(amdxdna_drm_get_array& request) {
    if (request.param != DRM_AMDXDNA_HW_LAST_ASYNC_ERR &&
        request.param != DRM_AMDXDNA_HW_CONTEXT_ALL)
        return -EOPNOTSUPP;
    request.num_element = 0;
    return 0;
}

} // namespace virtual_npu
