// SPDX-License-Identifier: MIT
// Commands that the device runs one after another.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include <xrt/experimental/xrt_kernel.h>

#include "xrt/context.hpp"
#include "xrt/context_pool.hpp"

namespace npuenc::module {

class Buffer;
class Device;
class Program;

struct Command {
    struct Argument {
        const Buffer* buffer;
        size_t offset, bytes;
    };

    std::shared_ptr<Program> program;
    std::vector<Argument> arguments;
};

class Submission {
  public:
    // Hands the commands over.
    Submission(std::shared_ptr<Device> device, std::span<const Command> commands);
    Submission(const Submission&) = delete;
    Submission& operator=(const Submission&) = delete;

    // Until the last has ended; throws Error of the first that failed.
    void wait();

  private:
    struct Step {
        std::shared_ptr<Program> program;
        Run run;
    };

    void start();
    ert_cmd_state wait_for_run();
    ert_cmd_state wait_for_list();
    bool goes_on(unsigned attempt) noexcept;
    void discard() noexcept;

    const std::shared_ptr<Device> device_;
    ContextUse context_;
    std::vector<Step> steps_;
    ::xrt::runlist list_; // of more steps than one
};

} // namespace npuenc::module
