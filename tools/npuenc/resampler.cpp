// SPDX-License-Identifier: MIT
#include "resampler.hpp"

#include "failure.hpp"

namespace npuenc {
namespace {

constexpr size_t samples_at_once = 4096;

soxr_t make_soxr(double from_rate, double to_rate, const std::string& name) {
    const soxr_io_spec_t types = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
    const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
    soxr_error_t error = nullptr;
    const soxr_t made = soxr_create(from_rate, to_rate, 1, &error, &types, &quality, nullptr);
    if (!made)
        fail(exit_failed, "%s: cannot resample from %.0f Hz: %s", name.c_str(), from_rate, error);
    return made;
}

} // namespace

Resampler::Resampler(AudioFile& file, double to_rate)
    : file_(file), soxr_(make_soxr(file.rate(), to_rate, file.name()), soxr_delete),
      input_(samples_at_once) {}

size_t Resampler::read(float* out, size_t count) {
    size_t done = 0;
    while (done < count) {
        if (begin_ == end_ && !at_end_)
            refill();
        // Without input, soxr gives what it still holds.
        const float* input = at_end_ && begin_ == end_ ? nullptr : input_.data() + begin_;
        size_t taken = 0, given = 0;
        const soxr_error_t error = soxr_process(soxr_.get(), input, end_ - begin_, &taken,
                                                out + done, count - done, &given);
        if (error)
            fail(exit_failed, "%s: cannot resample: %s", file_.name().c_str(), error);
        begin_ += taken;
        done += given;
        if (!input && given == 0)
            break;
    }
    return done;
}

void Resampler::refill() {
    begin_ = 0;
    end_ = file_.read_mono(input_.data(), input_.size());
    at_end_ = end_ < input_.size();
}

} // namespace npuenc
