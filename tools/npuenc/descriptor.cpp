// SPDX-License-Identifier: MIT
#include "descriptor.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "failure.hpp"
#include "interruption.hpp"

namespace npuenc {

Descriptor unnamed_file() {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), std::fclose);
    Descriptor descriptor(file ? fcntl(fileno(file.get()), F_DUPFD_CLOEXEC, 0) : -1);
    if (descriptor.get() < 0)
        fail(exit_failed, "cannot make a temporary file: %s", std::strerror(errno));
    return descriptor;
}

void write_all(const Descriptor& to, const void* data, size_t bytes, const char* what) {
    const char* rest = static_cast<const char*>(data);
    while (bytes > 0) {
        throw_if_interrupted();
        const ssize_t written = write(to.get(), rest, bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            fail(exit_failed, "cannot write %s: %s", what, std::strerror(errno));
        rest += written;
        bytes -= static_cast<size_t>(written);
    }
}

} // namespace npuenc
