// SPDX-License-Identifier: MIT
#include "driver.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <new>

#include "device.hpp"
#include "file.hpp"
#include "file_tree.hpp"
#include "report.hpp"

namespace virtual_npu {
namespace {

constexpr size_t log_lines = 64;

// Never destroyed: the program may still close files while its own objects are.
std::atomic<Driver*> the_driver{nullptr};
std::mutex making;

// The parent's threads, locks and files are not the child's.
void forget_in_child() {
    the_driver = nullptr;
    new (&making) std::mutex;
}

} // namespace

Driver* Driver::existing() {
    return the_driver;
}

Driver& Driver::instance() {
    if (Driver* driver = the_driver)
        return *driver;
    std::lock_guard lock(making);
    if (!the_driver) {
        static const int registered = pthread_atfork(nullptr, nullptr, forget_in_child);
        static_cast<void>(registered);
        the_driver = new Driver;
    }
    return *the_driver;
}

Driver::Driver() : options(read_options()), shared(options.state) {
    own_faults_.read(options.faults);
    for (unsigned i = 0; i < options.devices; ++i)
        devices_.push_back(std::make_unique<Device>(*this, i));
}

Driver::~Driver() = default;

FileTree& Driver::tree() {
    std::lock_guard lock(mutex);
    if (!tree_)
        tree_ = std::make_unique<FileTree>(*this);
    return *tree_;
}

int Driver::open(unsigned device, int flags) {
    std::lock_guard lock(mutex);
    used_ = true;
    if (shared.is_removed(device)) // drm_drv.c, drm_minor_acquire
        return -ENODEV;
    if (fault_occurs(FaultPoint::open))
        return -EACCES;
    if (fault_always(FaultPoint::node_missing) || fault_always(FaultPoint::no_driver))
        return -ENOENT;
    const int pages = ::memfd_create("virtual-npu", MFD_CLOEXEC);
    if (pages < 0)
        return -errno;
    const int descriptor = ::fcntl(pages, flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 3);
    if (descriptor < 0) {
        const int error = errno;
        ::close(pages);
        return -error;
    }
    files_[descriptor] = std::make_shared<File>(*this, *devices_[device], pages);
    return descriptor;
}

std::shared_ptr<File> Driver::find(int descriptor) {
    std::lock_guard lock(mutex);
    const auto found = files_.find(descriptor);
    return found == files_.end() ? nullptr : found->second;
}

void Driver::close(int descriptor) {
    std::shared_ptr<File> file;
    std::unique_lock lock(mutex);
    const auto found = files_.find(descriptor);
    if (found == files_.end())
        return;
    file = std::move(found->second);
    files_.erase(found);
    file->release(lock);
    lock.unlock();
}

void Driver::unmap(uint64_t address, uint64_t bytes) {
    std::lock_guard lock(mutex);
    for (const auto& [descriptor, file] : files_)
        file->memory().unmap(address, bytes);
}

bool Driver::fault_occurs(FaultPoint point) {
    const bool own = own_faults_.occurs(point);
    return shared.fault_occurs(point) || own;
}

bool Driver::fault_always(FaultPoint point) {
    return own_faults_.always(point) || shared.fault_always(point);
}

bool Driver::set_faults(const char* list) {
    std::lock_guard lock(mutex);
    if (!shared.set_faults(list))
        return false;
    own_faults_ = {};
    called.notify_all(); // what hangs ends with the device
    return true;
}

void Driver::log(std::string line) {
    if (log_.size() == log_lines)
        log_.erase(log_.begin());
    log_.push_back(std::move(line));
}

virtual_npu_alive Driver::alive() {
    virtual_npu_alive alive{};
    std::lock_guard lock(mutex);
    alive.files = files_.size();
    for (const auto& [descriptor, file] : files_) {
        alive.contexts += file->contexts();
        alive.buffers += file->memory().buffers();
        alive.buffer_bytes += file->memory().buffer_bytes();
        alive.mappings += file->memory().mappings();
        alive.syncobjs += file->syncobjs();
    }
    for (const std::unique_ptr<Device>& device : devices_)
        alive.jobs += device->jobs();
    alive.contexts_of_all = shared.contexts();
    alive.contexts_reclaimed = shared.reclaimed();
    return alive;
}

void Driver::reset_counters() {
    std::lock_guard lock(mutex);
    counters = {};
}

// A process that only looked at files has nothing to report.
void Driver::finish() {
    const virtual_npu_alive left = alive();
    {
        // As the kernel does with the files of a process that has ended.
        std::unique_lock lock(mutex);
        for (const auto& [descriptor, file] : files_) {
            file->stop();
            file->release(lock);
        }
    }
    devices_.clear();
    tree_.reset();
    if (used_ && !options.report.empty())
        write_report(options.report, counters, left, log_);
}

} // namespace virtual_npu
