// SPDX-License-Identifier: MIT
#include "audio_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "failure.hpp"
#include "interruption.hpp"

namespace npuenc {
namespace {

// Rates that recordings have, with room on both sides; a header with another is damaged.
constexpr int least_rate = 1000;
constexpr int greatest_rate = 1'000'000;

constexpr size_t frames_at_once = 4096;

[[noreturn]] void fail_to_read(const std::string& name, int error) {
    fail(error == ENOENT || error == ENOTDIR ? exit_not_found : exit_failed, "%s: %s", name.c_str(),
         std::strerror(error));
}

// All that can be read from `from`, in a file that can be read back and forth.
Descriptor copy_of(const Descriptor& from, const std::string& name) {
    Descriptor copy = unnamed_file();
    std::vector<char> block(1 << 18);
    for (;;) {
        throw_if_interrupted();
        const ssize_t count = read(from.get(), block.data(), block.size());
        if (count == 0)
            break;
        if (count > 0)
            write_all(copy, block.data(), static_cast<size_t>(count), "a temporary file");
        else if (errno != EINTR)
            fail_to_read(name, errno);
    }
    lseek(copy.get(), 0, SEEK_SET);
    return copy;
}

Descriptor open_seekable(const std::string& path, const std::string& name) {
    Descriptor file(path == "-" ? dup(STDIN_FILENO) : open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status;
    if (file.get() < 0 || fstat(file.get(), &status) != 0)
        fail_to_read(name, errno);
    if (S_ISDIR(status.st_mode))
        fail_to_read(name, EISDIR);
    return path != "-" && S_ISREG(status.st_mode) ? std::move(file) : copy_of(file, name);
}

} // namespace

AudioFile::AudioFile(const std::string& path)
    : name_(path == "-" ? "standard input" : path), descriptor_(open_seekable(path, name_)),
      file_(sf_open_fd(descriptor_.get(), SFM_READ, &info_, SF_FALSE), sf_close) {
    if (!file_)
        fail(exit_failed, "%s: not a recording that libsndfile reads: %s", name_.c_str(),
             sf_strerror(nullptr));
    if (info_.samplerate < least_rate || info_.samplerate > greatest_rate)
        fail(exit_failed, "%s: the sample rate is %d Hz, expected %d to %d", name_.c_str(),
             info_.samplerate, least_rate, greatest_rate);
    frames_.resize(frames_at_once * n_channels());
}

uint64_t AudioFile::n_frames() const {
    return static_cast<uint64_t>(std::max<sf_count_t>(info_.frames, 0));
}

size_t AudioFile::read_mono(float* out, size_t count) {
    size_t done = 0;
    while (done < count) {
        const size_t wanted = std::min(count - done, frames_at_once);
        const sf_count_t read =
            sf_readf_float(file_.get(), frames_.data(), static_cast<sf_count_t>(wanted));
        if (sf_error(file_.get()) != SF_ERR_NO_ERROR)
            fail(exit_failed, "%s: damaged after %.3f s: %s", name_.c_str(),
                 static_cast<double>(position_) / rate(), sf_strerror(file_.get()));
        if (read <= 0)
            break;
        for (size_t i = 0; i < static_cast<size_t>(read); ++i)
            out[done++] = average(i);
        position_ += static_cast<uint64_t>(read);
    }
    return done;
}

float AudioFile::average(size_t frame) const {
    const float* samples = frames_.data() + frame * n_channels();
    double sum = 0;
    for (size_t channel = 0; channel < n_channels(); ++channel)
        sum += double{samples[channel]};
    const float mean = static_cast<float>(sum / n_channels());
    if (!std::isfinite(mean))
        fail(exit_failed, "%s: the sample at %.3f s is not finite", name_.c_str(),
             static_cast<double>(position_ + frame) / rate());
    return mean;
}

} // namespace npuenc
