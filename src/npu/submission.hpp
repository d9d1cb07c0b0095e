// SPDX-License-Identifier: MIT
// Commands that go to the array together. What they read lies in one buffer and what they write in
// another, so that each direction is synchronised once; weights have buffers of their own, and so
// has what one command leaves to a later one. They run one after another, each until tokens have
// said that all its results are written; the host has no part in what the next one then reads.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>

#include "device/stats.hpp"
#include "npu/array.hpp"

namespace npuenc {

// Everything in the two buffers begins on a multiple of npuenc_module_alignment.
size_t whole_pages(size_t bytes);

// A part of a buffer.
struct DevicePart {
    const DeviceBuffer* buffer;
    size_t offset, bytes;
};

// How the host has written the inputs.
enum class Written {
    through_caches,
    past_caches, // all that the device reads, by threads that have ended their streaming
};

class Submission {
  public:
    Submission(Array& array, size_t input_bytes, size_t output_bytes);
    ~Submission();
    Submission(const Submission&) = delete;
    Submission& operator=(const Submission&) = delete;

    char* inputs() const { return inputs_.buffer().data(); }
    const char* outputs() const { return outputs_.buffer().data(); }
    DevicePart input(size_t offset, size_t bytes) const {
        return {&inputs_.buffer(), offset, bytes};
    }
    DevicePart output(size_t offset, size_t bytes) const {
        return {&outputs_.buffer(), offset, bytes};
    }

    void add(std::shared_ptr<const Program> program, std::initializer_list<DevicePart> arguments);

    // Inputs have been written; returns when the outputs can be read. Throws Error with what the
    // module says; the device does not touch the buffers any more then either. `threads` are for
    // synchronising.
    void run(Written inputs, Parallel& threads, Stats& stats);

  private:
    Array& array_;
    const size_t input_bytes_, output_bytes_;
    BufferPool::Lease inputs_, outputs_;
    Array::Lists lists_;
};

} // namespace npuenc
