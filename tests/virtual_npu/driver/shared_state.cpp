// SPDX-License-Identifier: MIT
#include "shared_state.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <system_error>

namespace virtual_npu {
namespace {

struct Process {
    pid_t id;
    uint64_t started; // another process may have the same number later
};

// What /proc says of a process; none when it has ended, a zombie included: its files are closed.
std::optional<Process> find_process(pid_t id) {
    char path[32], text[512];
    std::snprintf(path, sizeof path, "/proc/%d/stat", id);
    const int file = ::open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return {};
    const ssize_t n = ::read(file, text, sizeof text - 1);
    ::close(file);
    if (n <= 0)
        return {};
    text[n] = 0;
    // The name in parentheses may hold anything; the state is field 3, the start field 22.
    const char* p = std::strrchr(text, ')');
    char state;
    unsigned long long started;
    if (!p || std::sscanf(p + 1,
                          " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                          "%*s %llu",
                          &state, &started) != 2)
        return {};
    if (state == 'Z' || state == 'X')
        return {};
    return Process{id, started};
}

} // namespace

struct SharedState::Contents {
    struct Context {
        Process owner; // of number 0: nobody's
        uint32_t id;
    };
    struct Device {
        uint32_t removals;
        bool removed;
        Context contexts[max_contexts];
    };

    pthread_mutex_t mutex;
    uint32_t last_context;
    uint64_t reclaimed;
    FaultList faults;
    Device devices[max_devices];
};

// The lock of the whole. A process that died with it leaves nothing half done that matters.
class SharedState::Guard {
  public:
    explicit Guard(Contents& contents) : mutex_(contents.mutex) {
        if (pthread_mutex_lock(&mutex_) == EOWNERDEAD)
            pthread_mutex_consistent(&mutex_);
    }
    ~Guard() { pthread_mutex_unlock(&mutex_); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

  private:
    pthread_mutex_t& mutex_;
};

SharedState::SharedState(const std::string& path) {
    int file = -1;
    if (!path.empty()) {
        file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (file < 0)
            throw std::system_error(errno, std::generic_category(), path);
        ::flock(file, LOCK_EX);
    }
    const bool is_new = file < 0 || ::lseek(file, 0, SEEK_END) == 0;
    if (file >= 0 && is_new && ::ftruncate(file, sizeof(Contents)) != 0)
        throw std::system_error(errno, std::generic_category(), path);
    void* memory = ::mmap(nullptr, sizeof(Contents), PROT_READ | PROT_WRITE,
                          MAP_SHARED | (file < 0 ? MAP_ANONYMOUS : 0), file, 0);
    if (memory == MAP_FAILED)
        throw std::system_error(errno, std::generic_category(), "mmap");
    contents_ = static_cast<Contents*>(memory);
    if (is_new) {
        new (contents_) Contents{};
        pthread_mutexattr_t attributes;
        pthread_mutexattr_init(&attributes);
        pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
        pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
        pthread_mutex_init(&contents_->mutex, &attributes);
        pthread_mutexattr_destroy(&attributes);
    }
    if (file >= 0) {
        ::flock(file, LOCK_UN); // the mapping keeps the file open
        ::close(file);
    }
}

void SharedState::reclaim(Contents& contents) {
    for (Contents::Device& device : contents.devices)
        for (Contents::Context& context : device.contexts) {
            if (context.owner.id == 0)
                continue;
            const std::optional<Process> owner = find_process(context.owner.id);
            if (owner && owner->started == context.owner.started)
                continue;
            context = {};
            ++contents.reclaimed;
        }
}

std::optional<uint32_t> SharedState::take_context(unsigned device) {
    const std::optional<Process> self = find_process(::getpid());
    Guard guard(*contents_);
    reclaim(*contents_);
    for (Contents::Context& context : contents_->devices[device].contexts)
        if (context.owner.id == 0 && self) {
            context = {*self, ++contents_->last_context};
            return context.id;
        }
    return {};
}

void SharedState::release_context(unsigned device, uint32_t id) {
    Guard guard(*contents_);
    for (Contents::Context& context : contents_->devices[device].contexts)
        if (context.owner.id != 0 && context.id == id)
            context = {};
}

unsigned SharedState::contexts() {
    Guard guard(*contents_);
    reclaim(*contents_);
    unsigned n = 0;
    for (const Contents::Device& device : contents_->devices)
        for (const Contents::Context& context : device.contexts)
            n += context.owner.id != 0;
    return n;
}

uint64_t SharedState::reclaimed() const {
    Guard guard(*contents_);
    return contents_->reclaimed;
}

bool SharedState::fault_occurs(FaultPoint point) {
    Guard guard(*contents_);
    return contents_->faults.occurs(point);
}

bool SharedState::fault_always(FaultPoint point) const {
    Guard guard(*contents_);
    return contents_->faults.always(point);
}

bool SharedState::set_faults(const char* list) {
    Guard guard(*contents_);
    if (!contents_->faults.read(list))
        return false;
    for (Contents::Device& device : contents_->devices) {
        device.removed = contents_->faults.always(FaultPoint::removed);
        device.removals += device.removed;
    }
    return true;
}

uint32_t SharedState::removals(unsigned device) const {
    Guard guard(*contents_);
    return contents_->devices[device].removals;
}

bool SharedState::is_removed(unsigned device) const {
    Guard guard(*contents_);
    return contents_->devices[device].removed;
}

void SharedState::remove(unsigned device) {
    Guard guard(*contents_);
    contents_->devices[device].removed = true;
    ++contents_->devices[device].removals;
}

} // namespace virtual_npu
