// SPDX-License-Identifier: MIT
// An instruction stream, and the device's copy of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include <xrt/xrt_bo.h>
#include <xrt/xrt_kernel.h>

namespace npuenc::module {

class Overlay;

class Program {
  public:
    Program(std::shared_ptr<Overlay> overlay, const uint32_t* words, size_t n_words);
    ~Program();

    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    const std::shared_ptr<Overlay>& overlay() const { return overlay_; }
    uint32_t n_words() const { return static_cast<uint32_t>(words_.size()); }

    // In the device's memory, copied there where they are not: no context owns them. The kernel
    // says where instructions belong.
    std::shared_ptr<const ::xrt::bo> instructions(const ::xrt::kernel& kernel);

    // Makes room: the next run copies them again.
    void unload() noexcept;

  private:
    const std::shared_ptr<Overlay> overlay_;
    const std::vector<uint32_t> words_;
    std::mutex mutex_;
    std::shared_ptr<const ::xrt::bo> instructions_;
};

} // namespace npuenc::module
