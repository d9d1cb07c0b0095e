// SPDX-License-Identifier: MIT
// The driver as this process has it: its devices, its open files, its counters.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "options.hpp"
#include "shared_state.hpp"
#include "virtual_npu.h"

namespace virtual_npu {

class Device;
class File;
class FileTree;

class Driver {
  public:
    // Of this process; made at the first use. A child after fork has one of its own: what its
    // parent had open is the parent's.
    static Driver& instance();
    static Driver* existing(); // null: nobody has used it

    Driver();
    ~Driver();

    // The paths of sysfs and /dev that it answers for.
    FileTree& tree();

    // Returns a file descriptor, or a negative errno.
    int open(unsigned device, int flags);
    std::shared_ptr<File> find(int descriptor);
    void close(int descriptor);
    void unmap(uint64_t address, uint64_t bytes);

    bool fault_occurs(FaultPoint point);
    bool fault_always(FaultPoint point);
    bool set_faults(const char* list);

    // What the kernel would have in its log; the report has the last lines.
    void log(std::string line);

    virtual_npu_alive alive();
    void reset_counters();
    // At exit: reports counters and what is left, and ends what still runs.
    void finish();

    const Options options;
    SharedState shared;

    // For everything below, and for all that files, contexts and devices hold.
    std::mutex mutex;
    // Waited on in ioctls: a job has ended, a context is to. Whoever can releases the mutex before
    // it notifies: else the other thread wakes only to wait for the mutex.
    std::condition_variable changed;
    // Waited on by the threads of the devices: there is a job, or a reason to stop. A device may be
    // gone at exit when a thread that has released the mutex notifies; this is not.
    std::condition_variable called;
    virtual_npu_counters counters{};

  private:
    FaultList own_faults_; // VIRTUAL_NPU_FAULT
    std::vector<std::unique_ptr<Device>> devices_;
    std::map<int, std::shared_ptr<File>> files_;
    std::unique_ptr<FileTree> tree_;
    std::vector<std::string> log_;
    bool used_ = false;
};

} // namespace virtual_npu
