// SPDX-License-Identifier: MIT
#include "npu/array.hpp"

#include <algorithm>
#include <string>

#include "error.hpp"

namespace npuenc {
namespace {

// Lists that are kept: one for each of as many calls at once as there may well be.
constexpr size_t most_lists = 16;

} // namespace

Array::Array(Session session, OverlayCatalog overlays, size_t most_bytes)
    : session_(std::move(session)), catalog_(std::move(overlays)), most_bytes_(most_bytes),
      buffers_(session_.core()) {
    programs_.reserve(most_programs);
    lists_.reserve(most_lists);
}

const LoadedOverlay& Array::overlay(std::string_view name) {
    const std::lock_guard lock(overlays_mutex_);
    for (const NamedOverlay& known : overlays_)
        if (known.name == name)
            return *known.overlay;
    const OverlayFile file = catalog_.get(std::string(name).c_str());
    overlays_.push_back({name, std::make_unique<LoadedOverlay>(session(), file.xclbin)});
    return *overlays_.back().overlay;
}

std::shared_ptr<const Program> Array::find(const ProgramKey& key) {
    const std::lock_guard lock(programs_mutex_);
    for (KnownProgram& known : programs_)
        if (known.key == key) {
            known.last_use = ++uses_;
            return known.program;
        }
    return nullptr;
}

// Two threads may make the same program at once: then both are there for a while.
std::shared_ptr<const Program> Array::add(const ProgramKey& key, const InstructionStream& stream) {
    const LoadedOverlay& loaded = overlay(key.overlay);
    std::shared_ptr<const Program> program;
    try {
        program = std::make_shared<const Program>(loaded, stream.words());
    } catch (const Error& error) {
        if (error.status() != NPUENC_E_NOMEM)
            throw;
        {
            const std::lock_guard lock(programs_mutex_);
            programs_.clear();
        }
        program = std::make_shared<const Program>(loaded, stream.words());
    }
    const std::lock_guard lock(programs_mutex_);
    if (programs_.size() == most_programs)
        programs_.erase(std::min_element(
            programs_.begin(), programs_.end(),
            [](const KnownProgram& a, const KnownProgram& b) { return a.last_use < b.last_use; }));
    programs_.push_back({key, program, ++uses_});
    return program;
}

Array::Lists Array::take_lists() {
    const std::lock_guard lock(lists_mutex_);
    if (lists_.empty())
        return {};
    Lists lists = std::move(lists_.back());
    lists_.pop_back();
    return lists;
}

void Array::give_back(Lists lists) noexcept {
    lists.commands.clear();
    lists.programs.clear();
    const std::lock_guard lock(lists_mutex_);
    if (lists_.size() < most_lists)
        lists_.push_back(std::move(lists));
}

} // namespace npuenc
