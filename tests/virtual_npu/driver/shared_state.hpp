// SPDX-License-Identifier: MIT
// What all processes on the virtual NPU have in common, as the kernel would keep it: the array's
// contexts and whose they are, whether a device is there, the faults to come.
//
// It lies in a file that they all map. Where a process dies, by kill -9 too, its contexts are
// released when somebody looks next: the kernel does that when it closes the dead process's files
// (amdxdna_pci_drv.c, amdxdna_drm_close; amdxdna_ctx.c, amdxdna_hwctx_remove_all).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "faults.hpp"

namespace virtual_npu {

constexpr unsigned max_devices = 8;

// npu1_regs.c, npu1_dev_priv.hwctx_limit.
constexpr unsigned max_contexts = 6;

class SharedState {
  public:
    // The file is made where it is not there yet. Without a path: memory of this process, and of
    // those that it forks. Throws std::system_error.
    explicit SharedState(const std::string& path);
    SharedState(const SharedState&) = delete;
    SharedState& operator=(const SharedState&) = delete;

    // A place on the array, and a number that no other context of the device has had for long
    // (amdxdna_ctx.c, amdxdna_hwctx_id_alloc); none when all are taken.
    std::optional<uint32_t> take_context(unsigned device);
    void release_context(unsigned device, uint32_t id);

    unsigned contexts();        // of all devices
    uint64_t reclaimed() const; // contexts of dead processes, so far

    bool fault_occurs(FaultPoint point);
    bool fault_always(FaultPoint point) const;
    // And plugs removed devices in, or takes them all away.
    bool set_faults(const char* list);

    // How often a device has gone; whoever opened it before is left with nothing.
    uint32_t removals(unsigned device) const;
    bool is_removed(unsigned device) const;
    void remove(unsigned device);

  private:
    struct Contents;
    class Guard;

    static void reclaim(Contents& contents);

    Contents* contents_;
};

} // namespace virtual_npu
