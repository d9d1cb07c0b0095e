// SPDX-License-Identifier: MIT
#include "xrt/context.hpp"

#include "xrt/failure.hpp"
#include "xrt/overlay.hpp"
#include "xrt/program.hpp"
#include "xrt/silence.hpp"

namespace npuenc::module {
namespace {

// Arguments of a kernel before its buffers: opcode, instructions, number of instruction words.
constexpr int opcode_argument = 0, instructions_argument = 1, words_argument = 2;

// amdxdna, aie2_msg_priv.h, AIE2_EXEC_BUFFER_KERNEL_OP_TXN.
constexpr uint64_t run_instructions = 3;

// The memory bank in a group id (XRT, xrt/detail/xrt_mem.h, xcl_bo_flags).
constexpr uint32_t bank_mask = 0xffff;

} // namespace

Context::Context(const ::xrt::device& device, const Overlay& overlay)
    : context_(device, overlay.uuid()), kernel_(context_, overlay.kernel_name()) {
    // For a buffer in another bank XRT would quietly make a copy.
    for (size_t i = 0; i < overlay.n_buffers(); ++i) {
        const int argument = first_buffer_argument + static_cast<int>(i);
        if ((static_cast<uint32_t>(kernel_.group_id(argument)) & bank_mask) != buffer_bank)
            fail(NPUENC_E_UNSUPPORTED, "the overlay wants buffer %zu outside of host memory", i);
    }
}

Context::~Context() {
    const Silence silence;
    idle_.clear();
    kernel_ = {};
    context_ = {};
}

Run Context::take_run(Program& program) {
    const std::shared_ptr<const ::xrt::bo> instructions = program.instructions(kernel_);
    {
        const std::lock_guard lock(mutex_);
        std::vector<Run>& idle = idle_[&program];
        while (!idle.empty()) {
            Run run = std::move(idle.back());
            idle.pop_back();
            if (run.instructions == instructions)
                return run;
        }
    }
    const Silence silence;
    Run run{instructions, ::xrt::run(kernel_)};
    run.run.set_arg(opcode_argument, run_instructions);
    run.run.set_arg(instructions_argument, *instructions);
    run.run.set_arg(words_argument, program.n_words());
    return run;
}

void Context::give_back(const Program& program, Run run) {
    const std::lock_guard lock(mutex_);
    idle_[&program].push_back(std::move(run));
}

void Context::drop_runs(const Program& program) noexcept {
    const std::lock_guard lock(mutex_);
    idle_.erase(&program);
}

} // namespace npuenc::module
