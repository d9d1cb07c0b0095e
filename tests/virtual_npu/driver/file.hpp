// SPDX-License-Identifier: MIT
// An open file of the device: what its ioctls do. Each has buffers, contexts and syncobjs of its
// own.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "context.hpp"
#include "memory.hpp"

struct amdxdna_drm_config_hwctx;
struct amdxdna_drm_create_bo;
struct amdxdna_drm_create_hwctx;
struct amdxdna_drm_destroy_hwctx;
struct amdxdna_drm_exec_cmd;
struct amdxdna_drm_get_array;
struct amdxdna_drm_get_bo_info;
struct amdxdna_drm_get_info;
struct amdxdna_drm_sync_bo;
struct amdxdna_drm_wait_cmd;
struct drm_syncobj_timeline_array;
struct drm_syncobj_timeline_wait;

namespace virtual_npu {

class Device;
class Driver;

class File {
  public:
    // `pages` is a memfd, which it closes.
    File(Driver& driver, Device& device, int pages);
    ~File();
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    // Returns 0 or a negative errno. By number alone: kernel and runtime do not agree about the
    // direction of WAIT_CMD.
    int ioctl(unsigned number, void* argument);

    // With the driver's mutex held:
    Memory& memory() { return memory_; }
    const Memory& memory() const { return memory_; }
    size_t contexts() const { return contexts_.size(); }
    size_t syncobjs() const { return syncobjs_.size(); }
    // The device has gone since it was opened, whether or not it is back.
    bool is_gone() const;
    // Nothing of it is to run any more.
    void stop();
    // What the kernel does when the last descriptor is closed.
    void release(std::unique_lock<std::mutex>& lock);

  private:
    using Lock = std::unique_lock<std::mutex>;

    int create_context(amdxdna_drm_create_hwctx& request);
    int destroy_context(Lock& lock, const amdxdna_drm_destroy_hwctx& request);
    int configure_context(const amdxdna_drm_config_hwctx& request);
    int create_buffer(amdxdna_drm_create_bo& request);
    int describe_buffer(amdxdna_drm_get_bo_info& request);
    int sync_buffer(const amdxdna_drm_sync_bo& request);
    int submit(Lock& lock, amdxdna_drm_exec_cmd& request);
    int wait_for_command(Lock& lock, const amdxdna_drm_wait_cmd& request);
    int wait_for_points(Lock& lock, drm_syncobj_timeline_wait& request);
    int signal_points(const drm_syncobj_timeline_array& request);
    int describe_device(amdxdna_drm_get_info& request);
    int describe_array(amdxdna_drm_get_array& request);

    void remove_contexts(Lock& lock);
    std::shared_ptr<Context> find_context(uint32_t id) const;

    Driver& driver_;
    Device& device_;
    const int pages_;
    const uint32_t removals_; // of the device before this file was opened
    Memory memory_;
    std::map<uint32_t, std::shared_ptr<Context>> contexts_;
    std::map<uint32_t, std::shared_ptr<Timeline>> syncobjs_;
    uint32_t last_syncobj_ = 0;
};

} // namespace virtual_npu
