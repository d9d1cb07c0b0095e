// SPDX-License-Identifier: MIT
#include "output_file.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>
#include <vector>

#include "failure.hpp"
#include "interruption.hpp"

namespace npuenc {
namespace {

mode_t mode_of_new_files() {
    const mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

[[noreturn]] void fail_to_write(const char* name, int error) {
    fail(error == ENOENT || error == ENOTDIR ? exit_not_found : exit_failed, "cannot write %s: %s",
         name, std::strerror(error));
}

} // namespace

OutputFile::OutputFile(std::string path) : path_(std::move(path)), target_(path_) {
    if (path_ == "-") {
        if (isatty(STDOUT_FILENO))
            fail(exit_usage, "standard output is a terminal: the .npy file needs a pipe or a file");
        descriptor_ = unnamed_file();
        return;
    }
    struct stat status;
    if (stat(path_.c_str(), &status) != 0) {
        if (errno != ENOENT)
            fail_to_write(name(), errno);
        make_temporary();
        fchmod(descriptor_.get(), mode_of_new_files());
        return;
    }
    if (S_ISDIR(status.st_mode))
        fail_to_write(name(), EISDIR);
    // Renaming would replace even a file that may not be written.
    if (access(path_.c_str(), W_OK) != 0)
        fail_to_write(name(), errno);
    if (!S_ISREG(status.st_mode)) {
        descriptor_ = unnamed_file();
        return;
    }
    const std::unique_ptr<char, void (*)(void*)> real(realpath(path_.c_str(), nullptr), std::free);
    if (!real)
        fail_to_write(name(), errno);
    target_ = real.get();
    make_temporary();
    fchmod(descriptor_.get(), status.st_mode & 0777);
}

OutputFile::~OutputFile() {
    if (!temporary_.empty())
        unlink(temporary_.c_str());
}

void OutputFile::write(const void* data, size_t bytes) {
    write_all(descriptor_, data, bytes, name());
}

void OutputFile::rewrite_begin(const void* data, size_t bytes) {
    lseek(descriptor_.get(), 0, SEEK_SET);
    write(data, bytes);
    lseek(descriptor_.get(), 0, SEEK_END);
}

void OutputFile::commit() {
    throw_if_interrupted();
    if (temporary_.empty()) {
        copy_to_target();
        return;
    }
    if (rename(temporary_.c_str(), target_.c_str()) != 0)
        fail_to_write(name(), errno);
    temporary_.clear();
}

void OutputFile::make_temporary() {
    const size_t slash = target_.rfind('/');
    const size_t base = slash == target_.npos ? 0 : slash + 1;
    std::string pattern = target_.substr(0, base) + ".npuenc-XXXXXX";
    descriptor_ = Descriptor(mkostemp(pattern.data(), O_CLOEXEC));
    if (descriptor_.get() < 0)
        fail_to_write(name(), errno);
    temporary_ = std::move(pattern);
}

void OutputFile::copy_to_target() {
    const Descriptor to(path_ == "-" ? dup(STDOUT_FILENO)
                                     : open(target_.c_str(), O_WRONLY | O_CLOEXEC));
    if (to.get() < 0)
        fail_to_write(name(), errno);
    lseek(descriptor_.get(), 0, SEEK_SET);
    std::vector<char> block(1 << 18);
    for (;;) {
        const ssize_t count = read(descriptor_.get(), block.data(), block.size());
        if (count == 0)
            return;
        if (count > 0)
            write_all(to, block.data(), static_cast<size_t>(count), name());
        else if (errno != EINTR)
            fail(exit_failed, "cannot read a temporary file: %s", std::strerror(errno));
    }
}

} // namespace npuenc
