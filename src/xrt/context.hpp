// SPDX-License-Identifier: MIT
// A hardware context: an overlay on the device, and all that ends with it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include <xrt/xrt_bo.h>
#include <xrt/xrt_device.h>
#include <xrt/xrt_hw_context.h>
#include <xrt/xrt_kernel.h>

namespace npuenc::module {

class Overlay;
class Program;

// XRT's run object with the instructions that it reads, which live as long.
struct Run {
    std::shared_ptr<const ::xrt::bo> instructions;
    ::xrt::run run;
};

class Context {
  public:
    // Throws what XRT throws, and Error E_UNSUPPORTED for an overlay that buffers do not fit.
    Context(const ::xrt::device& device, const Overlay& overlay);
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
    ~Context();

    const ::xrt::hw_context& xrt() const { return context_; }
    const ::xrt::kernel& kernel() const { return kernel_; }

    // A run of the program, its arguments not set: one that has ended, or a new one. A run object
    // lives in its context alone, so that none can outlive it.
    Run take_run(Program& program);
    void give_back(const Program& program, Run run);

    // The program is about to go, or its instructions are to be moved.
    void drop_runs(const Program& program) noexcept;

  private:
    ::xrt::hw_context context_;
    ::xrt::kernel kernel_;
    std::mutex mutex_;
    std::unordered_map<const Program*, std::vector<Run>> idle_;
};

} // namespace npuenc::module
