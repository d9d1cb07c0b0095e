// SPDX-License-Identifier: MIT
#include "xrt/program.hpp"

#include "xrt/device.hpp"
#include "xrt/overlay.hpp"
#include "xrt/silence.hpp"

namespace npuenc::module {
namespace {

constexpr int instructions_argument = 1;

} // namespace

Program::Program(std::shared_ptr<Overlay> overlay, const uint32_t* words, size_t n_words)
    : overlay_(std::move(overlay)), words_(words, words + n_words) {
    overlay_->device().require();
    if (n_words == 0 || n_words > UINT32_MAX / sizeof *words)
        fail(NPUENC_E_INVALID, "a program of %zu words", n_words);
    overlay_->device().instruction_heap().add(*this);
}

Program::~Program() {
    overlay_->device().instruction_heap().remove(*this);
    unload();
}

std::shared_ptr<const ::xrt::bo> Program::instructions(const ::xrt::kernel& kernel) {
    {
        const std::lock_guard lock(mutex_);
        if (instructions_)
            return instructions_;
    }
    const Silence silence;
    // Without the lock, for the heap may have to take it. That of another thread does as well.
    std::shared_ptr<const ::xrt::bo> loaded = overlay_->device().instruction_heap().load(
        words_, static_cast<::xrt::memory_group>(kernel.group_id(instructions_argument)));
    const std::lock_guard lock(mutex_);
    if (!instructions_)
        instructions_ = std::move(loaded);
    return instructions_;
}

void Program::unload() noexcept {
    overlay_->device().contexts().forget(*this);
    const std::lock_guard lock(mutex_);
    instructions_.reset();
}

} // namespace npuenc::module
