// SPDX-License-Identifier: MIT
// An open array as the operators use it: overlays loaded at their first use, programs and buffers
// that outlive a call, and submissions.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "device/stats.hpp"
#include "npu/buffer_pool.hpp"
#include "npu/instruction_stream.hpp"
#include "npu/overlay_catalog.hpp"
#include "npu/session.hpp"

namespace npuenc {

// What tells programs apart: their overlay, and what their stream was made from.
struct ProgramKey {
    std::string_view overlay; // static storage
    std::array<uint64_t, 4> made_from;
    bool operator==(const ProgramKey&) const = default;
};

class Array {
  public:
    // Programs that are kept. At 32 KiB each, far more than any stream has, they take an eighth of
    // the 64 MiB that the device has for instructions.
    static constexpr size_t most_programs = 256;

    static constexpr size_t default_most_bytes = size_t{256} << 20;

    // most_bytes: of the inputs and outputs of a submission, without weights. Only what cannot be
    // cut any further takes more.
    Array(Session session, OverlayCatalog overlays, size_t most_bytes);

    // Throws Error E_CTX_LOST where nothing can run any more.
    void check() const { session()->check(); }
    npuenc_status status() const { return session_.status(); }
    const std::shared_ptr<SessionCore>& session() const { return session_.core(); }
    BufferPool& buffers() { return buffers_; }
    size_t most_bytes() const { return most_bytes_; }

    // make() returns the InstructionStream of a program that is not there yet.
    template <class Make>
    std::shared_ptr<const Program> program(const ProgramKey& key, const Make& make) {
        if (std::shared_ptr<const Program> known = find(key))
            return known;
        return add(key, make());
    }

  private:
    friend class Submission;

    // What a submission lists. They are handed on from one to the next with their memory.
    struct Lists {
        std::vector<npuenc_module_command> commands;
        std::vector<std::shared_ptr<const Program>> programs;
    };
    Lists take_lists();
    void give_back(Lists lists) noexcept;

    std::shared_ptr<const Program> find(const ProgramKey& key);
    std::shared_ptr<const Program> add(const ProgramKey& key, const InstructionStream& stream);
    const LoadedOverlay& overlay(std::string_view name);

    struct NamedOverlay {
        std::string_view name;
        std::unique_ptr<LoadedOverlay> overlay;
    };
    struct KnownProgram {
        ProgramKey key;
        std::shared_ptr<const Program> program;
        uint64_t last_use;
    };

    const Session session_;
    const OverlayCatalog catalog_;
    const size_t most_bytes_;
    std::mutex overlays_mutex_;
    std::vector<NamedOverlay> overlays_;
    std::mutex programs_mutex_;
    std::vector<KnownProgram> programs_;
    uint64_t uses_ = 0;
    BufferPool buffers_;
    std::mutex lists_mutex_;
    std::vector<Lists> lists_;
};

} // namespace npuenc
