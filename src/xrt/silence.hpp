// SPDX-License-Identifier: MIT
// Keeps XRT from writing to standard output and standard error.
#pragma once

namespace npuenc::module {

// XRT prints what it cannot throw: a line on std::cout for every buffer that the driver does not
// take back (xdna-driver, src/shim/buffer.cpp, drm_bo::~drm_bo), that is for all of a device that
// has gone; on std::cerr, after a banner, that memory is short or a run was dropped (XRT,
// core/common/message.cpp). While one of these lives, what its thread writes to these streams is
// lost, and what others write is not. The streams are the program's, so that calls in a steady
// state, of which XRT prints nothing, do without: things of XRT are made, freed and given up in
// silence.
class Silence {
  public:
    Silence() noexcept;
    ~Silence();
    Silence(const Silence&) = delete;
    Silence& operator=(const Silence&) = delete;
};

} // namespace npuenc::module
