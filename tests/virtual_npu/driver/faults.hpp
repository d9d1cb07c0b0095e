// SPDX-License-Identifier: MIT
// Faults on demand: which of what happens next fails.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace virtual_npu {

enum class FaultPoint : uint32_t {
    open,         // the node cannot be opened: EACCES
    memlock,      // the heap cannot be locked in memory: EAGAIN of mmap
    heap,         // CREATE_BO of the heap: ENOMEM
    memory,       // CREATE_BO of anything else: ENOMEM
    context,      // CREATE_HWCTX: ENOSPC
    config,       // CONFIG_HWCTX: EINVAL
    submit,       // EXEC_CMD: EIO
    sync,         // SYNC_BO: EIO
    error,        // the command ends with ERROR
    timeout,      // the command hangs
    reset,        // the device is reset while the command runs
    removed,      // the device goes: at once, or with the n-th EXEC_CMD
    wrong_data,   // one byte of what the command's last argument holds is wrong
    firmware_old, // fw_version is one that cannot be used
    no_driver,    // a device on the bus that no driver has taken
    node_missing, // no file in /dev/accel
};

// What VIRTUAL_NPU_FAULT says: points, separated by commas; "point" is every time and "point:n" the
// n-th time from now on, counted from 1. Plain memory, so that processes can share it.
class FaultList {
  public:
    // False: the text is no such list, and the list is as it was.
    bool read(std::string_view text);

    // Something happens that may fail: whether it does.
    bool occurs(FaultPoint point);
    // Whether it fails every time. Counts nothing.
    bool always(FaultPoint point) const;
    bool empty() const { return size_ == 0; }

  private:
    struct Entry {
        FaultPoint point;
        uint32_t at; // 0: always
        uint32_t seen;
    };
    uint32_t size_ = 0;
    std::array<Entry, 16> entries_{};
};

} // namespace virtual_npu
