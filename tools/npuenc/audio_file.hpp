// SPDX-License-Identifier: MIT
// A recording on disk or on standard input, through libsndfile: WAV, FLAC, Ogg and what else that
// reads, its channels averaged to one.
#pragma once

#include <sndfile.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "descriptor.hpp"

namespace npuenc {

class AudioFile {
  public:
    // "-": standard input, which is copied to an unnamed temporary file first, as is anything else
    // that is not a regular file: most formats need to be read back and forth.
    explicit AudioFile(const std::string& path);

    const std::string& name() const { return name_; } // for messages
    uint32_t rate() const { return static_cast<uint32_t>(info_.samplerate); }
    uint32_t n_channels() const { return static_cast<uint32_t>(info_.channels); }
    uint64_t n_frames() const; // by the file's header; what there is may differ

    // Reads the next frames; fewer than `count` at the end only.
    size_t read_mono(float* out, size_t count);

  private:
    float average(size_t frame) const; // of a frame that has been read

    std::string name_;
    Descriptor descriptor_;
    SF_INFO info_{};
    std::unique_ptr<SNDFILE, int (*)(SNDFILE*)> file_;
    std::vector<float> frames_; // interleaved
    uint64_t position_ = 0;
};

} // namespace npuenc
