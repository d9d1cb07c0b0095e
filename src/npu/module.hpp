// SPDX-License-Identifier: MIT
// npuenc-xrt.so, the module that drives NPUs through XRT: npuenc itself works without XRT.
#pragma once

#include <atomic>
#include <vector>

#include "npu/module_interface.h"

namespace npuenc {

class Module {
  public:
    // Loads it at the first call, from the directory in NPUENC_MODULE_PATH or the installed one,
    // and never unloads it. Throws Error E_UNSUPPORTED with the reason and the cure in words where
    // it cannot be had; a later call tries again.
    static const Module& instance();

    const npuenc_module& functions() const { return *functions_.load(std::memory_order_acquire); }

    // What XRT says of every NPU that it sees. Throws Error.
    std::vector<npuenc_module_device> devices() const;

    Module(const Module&) = delete;
    Module& operator=(const Module&) = delete;

  private:
    constexpr Module() = default;

    std::atomic<const npuenc_module*> functions_ = nullptr;
};

} // namespace npuenc
