// SPDX-License-Identifier: MIT
// The functions of the C library that this library stands before: those that take a path, and those
// that the runtime uses on the device's descriptor.
#include <dirent.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <drm/drm.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <type_traits>

#include "driver.hpp"
#include "file.hpp"
#include "file_tree.hpp"
#include "inside.hpp"
#include "real.hpp"

#define REAL VIRTUAL_NPU_REAL

namespace {

using virtual_npu::Driver;
using virtual_npu::File;
using virtual_npu::FileTree;
using virtual_npu::Inside;

// A path as the C library is to have it.
class Path {
  public:
    explicit Path(const char* path) : path_(path) {
        if (Inside::is_set() || !FileTree::has(path))
            return;
        const Inside guard;
        Driver& driver = Driver::instance();
        const FileTree& tree = driver.tree();
        const std::lock_guard lock(driver.mutex);
        real_ = tree.real_path(path);
        path_ = real_->c_str();
    }

    operator const char*() const { return path_; }
    bool is_changed() const { return real_.has_value(); }

  private:
    const char* path_;
    std::optional<std::string> real_;
};

int fail(int negative) {
    errno = -negative;
    return -1;
}

// Of the device's node: a descriptor, or -1 with errno. None: another path.
std::optional<int> open_node(const char* path, int flags) {
    if (Inside::is_set() || !FileTree::has(path))
        return {};
    const Inside guard;
    Driver& driver = Driver::instance();
    const std::optional<unsigned> device = driver.tree().device_of_node(path);
    if (!device)
        return {};
    const int descriptor = driver.open(*device, flags);
    return descriptor < 0 ? fail(descriptor) : descriptor;
}

std::shared_ptr<File> file_of(int descriptor) {
    Driver* driver = Inside::is_set() ? nullptr : Driver::existing();
    return driver && descriptor >= 0 ? driver->find(descriptor) : nullptr;
}

bool takes_mode(int flags) {
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

void* map(void* address, size_t bytes, int protection, int flags, int descriptor, off_t offset) {
    const std::shared_ptr<File> file = flags & MAP_ANONYMOUS ? nullptr : file_of(descriptor);
    if (!file)
        return REAL(mmap)(address, bytes, protection, flags, descriptor, offset);
    const Inside guard;
    Driver& driver = Driver::instance();
    const std::lock_guard lock(driver.mutex);
    if (file->is_gone()) { // drm_gem.c, drm_gem_mmap
        errno = ENODEV;
        return MAP_FAILED;
    }
    const bool is_heap = file->memory().owns_heap_mapping(static_cast<uint64_t>(offset));
    if (is_heap && driver.fault_occurs(virtual_npu::FaultPoint::memlock)) {
        errno = EAGAIN;
        return MAP_FAILED;
    }
    // Nothing is locked: the limit of the machine that tests is not that of a machine with an NPU.
    void* const mapped =
        REAL(mmap)(address, bytes, protection, flags & ~MAP_LOCKED, descriptor, offset);
    if (mapped != MAP_FAILED)
        file->memory().map(static_cast<uint64_t>(offset), reinterpret_cast<uint64_t>(mapped),
                           bytes);
    return mapped;
}

// The text of a real path as the program may know it.
char* show(char* real, char* buffer) {
    const std::optional<std::string> shown = Driver::instance().tree().shown_path(real);
    const std::string text = shown ? *shown : real;
    std::free(real);
    return buffer ? std::strcpy(buffer, text.c_str()) : ::strdup(text.c_str());
}

} // namespace

#define EXPORT __attribute__((visibility("default")))

extern "C" {

EXPORT int open(const char* path, int flags, ...) {
    mode_t mode = 0;
    if (takes_mode(flags)) {
        va_list list;
        va_start(list, flags);
        mode = va_arg(list, mode_t);
        va_end(list);
    }
    if (const std::optional<int> node = open_node(path, flags))
        return *node;
    return REAL(open)(Path(path), flags, mode);
}

EXPORT int open64(const char* path, int flags, ...) {
    mode_t mode = 0;
    if (takes_mode(flags)) {
        va_list list;
        va_start(list, flags);
        mode = va_arg(list, mode_t);
        va_end(list);
    }
    return open(path, flags | O_LARGEFILE, mode);
}

EXPORT int __open_2(const char* path, int flags) {
    return open(path, flags, 0);
}

EXPORT int __open64_2(const char* path, int flags) {
    return open(path, flags | O_LARGEFILE, 0);
}

EXPORT int openat(int directory, const char* path, int flags, ...) {
    mode_t mode = 0;
    if (takes_mode(flags)) {
        va_list list;
        va_start(list, flags);
        mode = va_arg(list, mode_t);
        va_end(list);
    }
    if (const std::optional<int> node = open_node(path, flags))
        return *node;
    return REAL(openat)(directory, Path(path), flags, mode);
}

EXPORT int openat64(int directory, const char* path, int flags, ...) {
    mode_t mode = 0;
    if (takes_mode(flags)) {
        va_list list;
        va_start(list, flags);
        mode = va_arg(list, mode_t);
        va_end(list);
    }
    return openat(directory, path, flags | O_LARGEFILE, mode);
}

EXPORT FILE* fopen(const char* path, const char* mode) {
    return REAL(fopen)(Path(path), mode);
}

EXPORT FILE* fopen64(const char* path, const char* mode) {
    return REAL(fopen64)(Path(path), mode);
}

EXPORT DIR* opendir(const char* path) {
    return REAL(opendir)(Path(path));
}

EXPORT int stat(const char* path, struct stat* status) noexcept {
    return REAL(stat)(Path(path), status);
}

EXPORT int stat64(const char* path, struct stat64* status) noexcept {
    return REAL(stat64)(Path(path), status);
}

EXPORT int lstat(const char* path, struct stat* status) noexcept {
    return REAL(lstat)(Path(path), status);
}

EXPORT int lstat64(const char* path, struct stat64* status) noexcept {
    return REAL(lstat64)(Path(path), status);
}

EXPORT int fstatat(int directory, const char* path, struct stat* status, int flags) noexcept {
    return REAL(fstatat)(directory, Path(path), status, flags);
}

EXPORT int fstatat64(int directory, const char* path, struct stat64* status, int flags) noexcept {
    return REAL(fstatat64)(directory, Path(path), status, flags);
}

EXPORT int statx(int directory, const char* path, int flags, unsigned mask,
                 struct statx* status) noexcept {
    return REAL(statx)(directory, Path(path), flags, mask, status);
}

EXPORT int access(const char* path, int mode) noexcept {
    return REAL(access)(Path(path), mode);
}

EXPORT int faccessat(int directory, const char* path, int mode, int flags) noexcept {
    return REAL(faccessat)(directory, Path(path), mode, flags);
}

EXPORT ssize_t readlink(const char* path, char* buffer, size_t bytes) noexcept {
    return REAL(readlink)(Path(path), buffer, bytes);
}

EXPORT ssize_t readlinkat(int directory, const char* path, char* buffer, size_t bytes) noexcept {
    return REAL(readlinkat)(directory, Path(path), buffer, bytes);
}

EXPORT char* realpath(const char* path, char* buffer) noexcept {
    const Path real(path);
    if (!real.is_changed())
        return REAL(realpath)(path, buffer);
    char* const found = REAL(realpath)(real, nullptr);
    return found ? show(found, buffer) : nullptr;
}

EXPORT void* mmap(void* address, size_t bytes, int protection, int flags, int descriptor,
                  off_t offset) noexcept {
    return map(address, bytes, protection, flags, descriptor, offset);
}

EXPORT void* mmap64(void* address, size_t bytes, int protection, int flags, int descriptor,
                    off64_t offset) noexcept {
    return map(address, bytes, protection, flags, descriptor, offset);
}

EXPORT int munmap(void* address, size_t bytes) noexcept {
    // Before the addresses are anybody else's.
    if (Driver* driver = Inside::is_set() ? nullptr : Driver::existing()) {
        const Inside guard;
        driver->unmap(reinterpret_cast<uint64_t>(address), bytes);
    }
    return REAL(munmap)(address, bytes);
}

EXPORT int close(int descriptor) {
    if (const std::shared_ptr<File> file = file_of(descriptor)) {
        const Inside guard;
        Driver::instance().close(descriptor);
    }
    return REAL(close)(descriptor);
}

EXPORT int ioctl(int descriptor, unsigned long request, ...) noexcept {
    va_list list;
    va_start(list, request);
    void* const argument = va_arg(list, void*);
    va_end(list);
    const std::shared_ptr<File> file = file_of(descriptor);
    if (!file || _IOC_TYPE(request) != DRM_IOCTL_BASE)
        return REAL(ioctl)(descriptor, request, argument);
    const Inside guard;
    const int result = file->ioctl(_IOC_NR(request), argument);
    return result < 0 ? fail(result) : 0;
}

} // extern "C"
